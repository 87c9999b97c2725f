import Environment

/// The tables of the accounts database, inside one transaction.
///
/// ```swift
/// let owner = try await database.transaction { connection in
///   try await AccountsTables(connection).sessions.owner(of: session, at: now, rules)
/// }
/// ```
///
/// Each method is one statement or a few that belong together. A method that throws leaves nothing
/// behind, since its transaction is undone.
///
/// On a server, transactions run at READ COMMITTED. Each that decides about an account first locks
/// its row of `users`; the other rows follow in the order `user_sessions`, `used_refresh_tokens`,
/// `revoked_logins`, `session_events`.
struct AccountsTables {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  var users: UsersTables { UsersTables(connection) }
  var names: NameKeys { NameKeys(connection) }
  var tokens: TokensTables { TokensTables(connection) }
  var sessions: UserSessionsTable { UserSessionsTable(connection) }
  var events: SessionEventsTable { SessionEventsTable(connection) }

  /// Completes rows that an operator inserted with the seed's columns alone.
  /// - Returns: The accounts whose email or username another account has; nobody can log in by that
  ///   name.
  func completeRows(at now: Timestamp) async throws(DatabaseError) -> [AccountID] {
    try await connection.lock(.schema)
    try await sessions.completeRows(at: now)
    return try await names.fold(onlyMissing: true)
  }

  /// Gives keys to names that an operator has added to a server's tables since the start.
  private func completeNames() async throws(DatabaseError) {
    guard try await names.areMissing() else { return }
    try await connection.lock(.schema)
    _ = try await names.fold(onlyMissing: true)
  }

  /// Finds an account by its email or username.
  func find(_ name: AccountName) async throws(DatabaseError) -> StoredUser? {
    if let user = try await users.find(name) { return user }
    try await completeNames()
    return try await users.find(name)
  }

  /// Refuses an email or a username that another account has.
  func requireFree(_ email: EmailAddress, _ username: Username) async throws {
    try await completeNames()
    try await users.requireFree(email, username)
  }

  /// Finds the account that an operator names by its id, its email or its username. An id comes
  /// first, since a user may choose a username that is another account's id.
  func named(_ text: String) async throws(DatabaseError) -> AccountID? {
    let id = AccountID(text)
    if !text.utf8.contains(0), try await users.username(of: id) != nil { return id }
    guard let name = AccountName(text) else { return nil }
    return try await find(name)?.id
  }

  /// Ends all sessions of an account, and makes its tokens invalid. `change` runs before the events
  /// are added, which have to be the last statements.
  /// - Returns: The number of sessions that ended.
  func revoke(
    _ user: AccountID, with change: (UsersTables) async throws -> Void = { _ in }
  ) async throws -> Int {
    try await users.lock(user)
    try await users.beginGeneration(of: user)
    try await change(users)
    let ended = try await sessions.endAll(of: user)
    for session in ended { try await events.add(.sessionEnded, user: user, session: session) }
    return ended.count
  }

  /// Deletes an account with its sessions, and adds the events that tell other services.
  /// - Returns: The number of sessions that ended.
  @discardableResult
  func deleteUser(_ user: AccountID, generation: Int64? = nil) async throws -> Int {
    try await users.lock(user, generation: generation)
    let ended = try await sessions.all(of: user)
    try await users.delete(user)
    for session in ended { try await events.add(.sessionEnded, user: user, session: session) }
    let event = try await events.add(.userDeleted, user: user, session: nil)
    try await events.addDeletedUser(user, event)
    return ended.count
  }
}
