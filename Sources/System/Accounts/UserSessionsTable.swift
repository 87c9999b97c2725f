import Environment

/// The account that a session belongs to.
struct SessionOwner: Sendable {
  let id: AccountID
  let username: String
  /// The generation of the owner's tokens that are valid.
  let generation: Int64
  /// Milliseconds since the epoch; nil in a row that an operator inserted.
  fileprivate let lastUsed: Int64?
}

/// A session of a user, as `GET /get-sessions` lists it.
struct UserSession: Sendable {
  let id: UserSessionID
  /// RFC 3339.
  let createdAt: String
}

/// The table `user_sessions`, and the number of sessions in `users`, which triggers keep.
struct UserSessionsTable {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Adds a session. The usual case is two statements; the reason of a refusal is looked up
  /// afterwards. A session is refused if tokens of `generation` are not valid any more, unless it
  /// is nil.
  /// - Returns: Whether unused sessions were ended to make room for it.
  @discardableResult
  func add(
    _ session: UserSessionID, of user: AccountID, login: LoginID?, generation: Int64?, at now: Timestamp,
    _ rules: SessionRules
  ) async throws -> Bool {
    if try await insert(session, user, login, generation, now, rules) { return false }
    if let login { try await TokensTables(connection).requireLive(login) }
    try await UsersTables(connection).lock(user, generation: generation)
    let madeRoom = try await endUnused(of: user, or: session, at: now, rules)
    if madeRoom, try await insert(session, user, login, generation, now, rules) { return true }
    if try await owner(of: session, at: now, rules) != nil { throw AccountRefusal.sessionTaken }
    throw AccountRefusal.tooManySessions
  }

  /// Inserts a session if its user exists, has room for it, and did not log out.
  ///
  /// `INSERT … SELECT` would be one statement, but the triggers make SQLite write its rows to a
  /// temporary table first, which costs more than the second statement.
  private func insert(
    _ session: UserSessionID, _ user: AccountID, _ login: LoginID?, _ generation: Int64?, _ now: Timestamp,
    _ rules: SessionRules
  ) async throws(DatabaseError) -> Bool {
    let isAllowed = try await connection.first(
      """
      SELECT 1 FROM users WHERE user_id = $1 AND session_count < $2 AND login_generation = coalesce($4, login_generation)
      AND NOT EXISTS (SELECT 1 FROM revoked_logins WHERE family = $3) FOR UPDATE
      """, .text(user.value), .int(Int64(rules.maximum)), login.map { .text($0.value) } ?? .null,
      generation.map { .int($0) } ?? .null
    ) { _ in true }
    guard isAllowed == true else { return false }
    return try await connection.execute(
      """
      INSERT INTO user_sessions (session_id, user_id, created_at, last_used) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
      """, .text(session.value), .text(user.value), .text(now.rfc3339), .int(now.milliseconds)) == 1
  }

  /// Lists the live sessions of a user in the order in which they were added, which `rowid` keeps
  /// when a clock is set back.
  func list(of user: AccountID, at now: Timestamp, _ rules: SessionRules) async throws(DatabaseError) -> [UserSession] {
    try await connection.query(
      """
      SELECT session_id, created_at FROM user_sessions WHERE user_id = $1 AND coalesce(last_used, $2) >= $2 ORDER BY rowid
      """, .text(user.value), .int(rules.earliestUse(at: now))
    ) { UserSession(id: UserSessionID(stored: $0.text(0)), createdAt: $0.text(1)) }
  }

  /// Returns all sessions of a user, also those that were unused for too long and are not removed
  /// yet.
  func all(of user: AccountID) async throws(DatabaseError) -> [UserSessionID] {
    try await connection.query("SELECT session_id FROM user_sessions WHERE user_id = $1", .text(user.value)) {
      UserSessionID(stored: $0.text(0))
    }
  }

  /// Ends all sessions of a user whose row is locked. The caller adds their events.
  /// - Returns: The sessions.
  func endAll(of user: AccountID) async throws(DatabaseError) -> [UserSessionID] {
    let ended = try await all(of: user)
    if !ended.isEmpty {
      try await connection.execute("DELETE FROM user_sessions WHERE user_id = $1", .text(user.value))
    }
    return ended
  }

  func delete(_ session: UserSessionID, of user: AccountID, generation: Int64? = nil) async throws {
    try await UsersTables(connection).lock(user, generation: generation)
    let deleted = try await connection.execute(
      "DELETE FROM user_sessions WHERE session_id = $1 AND user_id = $2", .text(session.value), .text(user.value))
    if deleted == 0 { throw AccountRefusal.sessionNotFound }
    try await SessionEventsTable(connection).add(.sessionEnded, user: user, session: session)
  }

  /// Returns the owner of a session; nil if it does not exist or was unused for too long.
  func owner(of session: UserSessionID, at now: Timestamp, _ rules: SessionRules) async throws(DatabaseError)
    -> SessionOwner?
  {
    try await connection.first(
      """
      SELECT u.user_id, u.username, s.last_used, u.login_generation FROM user_sessions s JOIN users u ON u.user_id = s.user_id
      WHERE s.session_id = $1 AND coalesce(s.last_used, $2) >= $2
      """, .text(session.value), .int(rules.earliestUse(at: now))
    ) {
      SessionOwner(
        id: AccountID($0.text(0)), username: $0.text(1), generation: $0.int(3),
        lastUsed: $0.isNull(2) ? nil : $0.int(2))
    }
  }

  // MARK: Use

  /// Records that a session is used now, unless that was recorded lately.
  func recordUse(of session: UserSessionID, by owner: SessionOwner, at now: Timestamp, _ rules: SessionRules)
    async throws(DatabaseError)
  {
    guard rules.lifetime > .zero else { return }
    // A use in the future was recorded before the clock was set back.
    let sinceUse = owner.lastUsed.map { now - Timestamp(milliseconds: $0) }
    if let sinceUse, sinceUse >= .zero, sinceUse < rules.precision / 2 { return }
    try await connection.execute(
      "UPDATE user_sessions SET last_used = $2 WHERE session_id = $1", .text(session.value), .int(now.milliseconds))
  }

  /// Counts rows that an operator inserted as used now.
  func completeRows(at now: Timestamp) async throws(DatabaseError) {
    try await connection.execute(
      "UPDATE user_sessions SET last_used = $1 WHERE last_used IS NULL", .int(now.milliseconds))
  }

  /// Ends up to `limit` sessions that were unused for too long, the least recently used first.
  /// - Returns: The number of sessions that ended.
  func endUnused(at now: Timestamp, _ rules: SessionRules, limit: Int64) async throws(DatabaseError) -> Int {
    let earliest = SQLValue.int(rules.earliestUse(at: now))
    try await connection.lock(
      """
      SELECT 1 FROM users WHERE user_id IN
        (SELECT user_id FROM user_sessions WHERE last_used < $1 ORDER BY last_used LIMIT $2)
      ORDER BY user_id FOR UPDATE
      """, earliest, .int(limit))
    let unused = try await connection.query(
      "SELECT session_id, user_id FROM user_sessions WHERE last_used < $1 ORDER BY last_used LIMIT $2", earliest,
      .int(limit), row: Self.ended)
    try await end(unused, before: earliest)
    return unused.count
  }

  /// Ends the sessions of `user`, and the session `session` of anybody, that were unused for too
  /// long.
  /// - Returns: Whether any ended.
  private func endUnused(of user: AccountID, or session: UserSessionID, at now: Timestamp, _ rules: SessionRules)
    async throws(DatabaseError) -> Bool
  {
    let earliest = SQLValue.int(rules.earliestUse(at: now))
    let unused = try await connection.query(
      "SELECT session_id, user_id FROM user_sessions WHERE last_used < $1 AND (user_id = $2 OR session_id = $3)",
      earliest, .text(user.value), .text(session.value), row: Self.ended)
    try await end(unused, before: earliest)
    return !unused.isEmpty
  }

  private static func ended(_ row: SQLRow) -> (id: UserSessionID, user: AccountID) {
    (UserSessionID(stored: row.text(0)), AccountID(row.text(1)))
  }

  /// Ends sessions, unless another transaction has used or ended them meanwhile.
  private func end(
    _ sessions: [(id: UserSessionID, user: AccountID)], before earliest: SQLValue
  ) async throws(DatabaseError) {
    var ended: [(id: UserSessionID, user: AccountID)] = []
    for session in sessions {
      let deleted = try await connection.execute(
        "DELETE FROM user_sessions WHERE session_id = $1 AND last_used < $2", .text(session.id.value), earliest)
      if deleted == 1 { ended.append(session) }
    }
    let events = SessionEventsTable(connection)
    for session in ended { try await events.add(.sessionEnded, user: session.user, session: session.id) }
  }
}

extension Timestamp {
  /// The time `milliseconds` after the epoch; saturates instead of overflowing.
  fileprivate init(milliseconds: Int64) {
    let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1000)
    self.init(microseconds: overflow ? (milliseconds < 0 ? .min : .max) : product)
  }
}
