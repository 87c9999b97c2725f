/// The actions of users of the User Service.
public enum AccountAction: String, CaseIterable, Sendable {
  case register, login, refresh
  case addSession = "add-session"
  case getSessions = "get-sessions"
  case deleteSession = "delete-session"
  case deleteUser = "delete-user"
  /// The owner and a thief use the same refresh token at once.
  case stealRefresh = "steal-refresh"
  /// A used refresh token is used again.
  case replayRefresh = "replay-refresh"
  /// A dead token is used to list, add or delete a session.
  case useDeadToken = "use-dead-token"
  /// A session of another user is deleted. That must fail.
  case deleteOthersSession = "delete-others-session"
  case wrongPassword = "wrong-password"
}
