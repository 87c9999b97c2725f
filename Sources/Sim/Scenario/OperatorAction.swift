/// The actions of operators.
public enum OperatorAction: String, CaseIterable, Sendable {
  case disable, enable, revoke
  case setPassword = "set-password"
  /// One of the others with `dry_run`. It changes nothing.
  case tryOut = "try-out"
  /// Dead letters are published again.
  case replayLetters = "replay-letters"
  case dropLetters = "drop-letters"

  /// Whether it is about an account. The others are about queues.
  var isAboutAccounts: Bool { self != .replayLetters && self != .dropLetters }
  /// The actions that change an account.
  static let changes: [OperatorAction] = [.disable, .enable, .revoke, .setPassword]
}
