/// The actions of operators on the accounts of other users.
public enum OperatorAction: String, CaseIterable, Sendable {
  case disable, enable, revoke
  case setPassword = "set-password"
  /// One of the others with `dry_run`. It changes nothing.
  case tryOut = "try-out"
}
