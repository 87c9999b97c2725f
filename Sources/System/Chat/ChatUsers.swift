/// Accounts and sessions, which the User Service keeps, as users of the chat. All methods throw
/// `ChatRefusal` and `DatabaseError`.
struct ChatUsers: Sendable {
  let accounts: AccountsClient
  let directory: SessionDirectory

  /// Registers an account. `address` is the client's, by which registrations are limited.
  func register(_ username: String, _ password: String, address: String) async throws -> ChatUser {
    try await vouched(try await accounts.register(username, password, address: address))
  }

  /// Logs in and starts a session.
  func login(
    _ username: String, _ password: String, address: String
  ) async throws -> (session: ChatSessionID, user: ChatUser) {
    let (session, account) = try await accounts.login(username, password, address: address)
    return (session, try await vouched(account))
  }

  /// Ends a session and closes its sockets.
  func logout(_ session: ChatSessionID, token: String?) async throws {
    _ = try await directory.user(of: session, token: token)
    guard try await accounts.logout(session) else { throw ChatRefusal.noSuchSession }
    await directory.end(session)
  }

  /// The user of a session.
  func user(of session: ChatSessionID, token: String?) async throws -> ChatUser {
    try await directory.user(of: session, token: token)
  }

  /// The user who has a name now, also one who has never used the chat; nil when nobody has it.
  func user(having name: String) async throws -> ChatUser? {
    guard let account = try await accounts.user(called: name) else { return nil }
    return try await directory.chatUser(account)
  }

  /// The user who has a name now. `field` names the place of the name in the request.
  func user(called name: String, in field: String) async throws -> ChatUser {
    guard let user = try await user(having: name) else { throw ChatRefusal.noSuchUser(field: field) }
    return user
  }

  /// The user of an account that the User Service has just named. It may be known here to be
  /// deleted since.
  private func vouched(_ account: AccountsClient.Account) async throws -> ChatUser {
    guard let user = try await directory.chatUser(account) else { throw ChatRefusal.accountDeleted }
    return user
  }
}
