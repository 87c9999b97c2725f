import Environment

/// The tables of the accounts database, inside one transaction.
///
/// ```swift
/// let owner = try await database.transaction { connection in
///   try AccountsTables(connection).sessions.owner(of: session, at: now, rules)
/// }
/// ```
///
/// Each method is one statement or a few that belong together. A method that throws leaves nothing behind, since its
/// transaction is undone.
struct AccountsTables {
  private let connection: SQLConnection

  init(_ connection: SQLConnection) { self.connection = connection }

  var users: UsersTables { UsersTables(connection) }
  var names: NameKeys { NameKeys(connection) }
  var tokens: TokensTables { TokensTables(connection) }
  var sessions: UserSessionsTable { UserSessionsTable(connection) }
  var events: SessionEventsTable { SessionEventsTable(connection) }

  /// Completes rows that an operator inserted with the seed's columns alone.
  /// - Returns: The accounts whose email or username another account has; nobody can log in by that name.
  func completeRows(at now: Timestamp) throws(DatabaseError) -> [AccountID] {
    try sessions.completeRows(at: now)
    return try names.fold(onlyMissing: true)
  }

  /// Deletes an account with its sessions, and adds the events that tell other services.
  func deleteUser(_ user: AccountID) throws {
    try users.require(user)
    for session in try sessions.all(of: user) { try events.add(.sessionEnded, user: user, session: session) }
    try users.delete(user)
    try events.add(.userDeleted, user: user, session: nil)
    try events.addDeletedUser(user)
  }
}
