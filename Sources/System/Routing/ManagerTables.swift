import Environment

/// The tables of the User Manager, for the time of one transaction.
struct ManagerTables {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  var outbox: OutboxTable { OutboxTable(connection) }
  var transcripts: TranscriptTable { TranscriptTable(connection) }
  var forwarded: ForwardedTable { ForwardedTable(connection) }
  var ended: EndedSessionsTable { EndedSessionsTable(connection) }

  // MARK: Commits

  /// Notes that a commit is done. Returns false if it was done before.
  func begin(_ commit: Int64) async throws(DatabaseError) -> Bool {
    try await connection.execute("UPDATE manager SET last_commit = $1 WHERE last_commit < $1", .int(commit)) == 1
  }

  func setNextSession(_ number: Int64) async throws(DatabaseError) {
    try await connection.write("UPDATE manager SET next_session = $1", .int(number))
  }

  func addHandled(_ message: String) async throws(DatabaseError) {
    try await connection.write("INSERT INTO handled (message_id) VALUES ($1)", .text(message))
  }

  /// Deletes all but the latest handled messages.
  func trimHandled(to count: Int64) async throws(DatabaseError) {
    try await connection.write(
      "DELETE FROM handled WHERE position <= (SELECT max(position) FROM handled) - $1", .int(count))
  }

  // MARK: Users and sessions

  func put(_ user: UserPool.User, _ id: UserID) async throws(DatabaseError) {
    let (place, supervisor) = user.place.columns
    try await connection.write(
      """
      INSERT INTO pool_users (user_key, connection, place, supervisor, turn) VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (user_key) DO UPDATE SET connection = $2, place = $3, supervisor = $4, turn = $5
      """, .text(id.key), .int(user.connection.value), .text(place), .text(supervisor), .int(user.turn))
  }

  func put(_ demand: UserPool.Demand) async throws(DatabaseError) {
    try await connection.write(
      """
      INSERT INTO demands (demand_id, supervisor, user_count) VALUES ($1, $2, $3)
      ON CONFLICT (demand_id) DO UPDATE SET user_count = $3
      """, .int(demand.id.number), .text(demand.supervisor.text), .int(Int64(demand.count)))
  }

  func deleteDemand(_ id: UserPool.DemandID) async throws(DatabaseError) {
    try await connection.write("DELETE FROM demands WHERE demand_id = $1", .int(id.number))
  }

  /// Stores a session. One that has ended is stored once, at the time of its end.
  func put(_ session: ManagedSession, at now: Timestamp) async throws(DatabaseError) {
    try await connection.write(
      """
      INSERT INTO sessions (
        supervisor, email, epoch, status, host, data, is_own, additional, request, ended_at, email_key)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
      ON CONFLICT (supervisor) DO UPDATE SET epoch = $3, status = $4, host = $5, additional = $8, request = $9,
        ended_at = $10
      """, .text(session.id.text), .text(session.customer?.text ?? ""), .int(session.epoch.number),
      .text(session.status.rawValue), .text(session.host.text), .text(session.data.text),
      .int(session.isOwn ? 1 : 0), .int(session.additional), .text(session.request?.text ?? ""),
      .int(session.status == .ended ? now.microseconds : 0), .text(session.customer?.key ?? ""))
  }

  /// Whether the session is stored.
  func hasSession(_ session: SupervisorID) async throws(DatabaseError) -> Bool {
    try await connection.first("SELECT 1 FROM sessions WHERE supervisor = $1", .text(session.text)) { _ in true }
      ?? false
  }

  /// The customer of a session; with `status`, only while the session has that status.
  func customer(
    of session: SupervisorID, status: ManagedSession.Status? = nil
  ) async throws(DatabaseError) -> CustomerEmail? {
    let found = try await connection.first(
      "SELECT email, status FROM sessions WHERE supervisor = $1", .text(session.text)
    ) {
      (email: $0.text(0), status: $0.text(1))
    }
    guard let found, status == nil || found.status == status?.rawValue else { return nil }
    return CustomerEmail(found.email)
  }

  // MARK: The stored state

  /// Reads the state that the manager's last life left. `identity` becomes its name if it has none.
  ///
  /// An earlier release may have stored values that are refused today. A value is clamped where
  /// that keeps its meaning; otherwise its row is set aside: it stays in the table and is not used.
  func stored(identity: String) async throws(DatabaseError) -> StoredManager {
    try await connection.execute(
      #"INSERT INTO manager ("only", identity, next_session) VALUES (1, $1, 1) ON CONFLICT DO NOTHING"#, .text(identity)
    )
    let found = try await connection.first("SELECT identity, next_session, last_commit FROM manager") {
      (identity: $0.text(0), nextSession: $0.int(1), lastCommit: $0.int(2))
    }
    // Only the manager counts these up. With a wrong number it would repeat a commit or skip one.
    guard let found, (1...ClientBounds.counter).contains(found.nextSession),
      (0...ManagerCommit.maximumNumber).contains(found.lastCommit)
    else { throw .corrupt("the counters of the table manager are out of range") }
    let sessions = try await sessions()
    let pool = UserPool(users: try await users(of: Set(sessions.map(\.id))), demands: try await demands())
    return StoredManager(
      state: ManagerState(pool: pool, sessions: sessions, nextSession: found.nextSession),
      identity: found.identity,
      handled: try await connection.query("SELECT message_id FROM handled ORDER BY position") { $0.text(0) },
      outbox: try await outbox.rows(after: 0), lastCommit: found.lastCommit, erasing: try await ended.erasing())
  }

  /// The users. One whose session cannot be read is free.
  private func users(of sessions: Set<SupervisorID>) async throws(DatabaseError) -> [(UserID, UserPool.User)] {
    try await connection.query("SELECT user_key, connection, place, supervisor, turn FROM pool_users ORDER BY turn") {
      row -> (UserID, UserPool.User)? in
      guard let id = UserID(row.json(0)) else {
        connection.setAside("pool_users", row.text(0).shortened(toBytes: 64))
        return nil
      }
      let place: UserPool.Place =
        switch (row.text(2), SupervisorID(row.text(3))) {
        case ("serving", let supervisor?) where sessions.contains(supervisor): .serving(supervisor)
        case ("free", _), ("serving", _): .free
        default: .offline
        }
      let turn = min(max(row.int(4), 0), ClientBounds.counter)
      let connection = min(max(row.int(1), 0), ClientBounds.counter)
      return (id, UserPool.User(connection: ConnectionNumber(connection), place: place, turn: turn))
    }.compactMap { $0 }
  }

  private func demands() async throws(DatabaseError) -> [UserPool.Demand] {
    try await connection.query("SELECT demand_id, supervisor, user_count FROM demands ORDER BY demand_id") {
      row -> UserPool.Demand? in
      guard let supervisor = SupervisorID(row.text(1)), (1...ClientBounds.counter).contains(row.int(0)), row.int(2) > 0
      else {
        connection.setAside("demands", "\(row.int(0))")
        return nil
      }
      return UserPool.Demand(
        id: UserPool.DemandID(row.int(0)), supervisor: supervisor,
        count: Int(min(row.int(2), Int64(ClientBounds.users))))
    }.compactMap { $0 }
  }

  /// The sessions that go on, and those that ended and still have users.
  private func sessions() async throws(DatabaseError) -> [ManagedSession] {
    try await connection.query(
      """
      SELECT supervisor, email, epoch, status, host, data, is_own, additional, request FROM sessions
      WHERE status <> 'ended' OR supervisor IN (SELECT supervisor FROM pool_users WHERE place = 'serving')
      ORDER BY supervisor
      """
    ) { row -> ManagedSession? in
      let customer = CustomerEmail(row.text(1))
      let isOwn = row.int(6) != 0
      let request = RequestID(row.text(8))
      guard let id = SupervisorID(row.text(0)), customer != nil || !isOwn,
        let status = ManagedSession.Status(rawValue: row.text(3)), let host = HostName(row.text(4)),
        (0...ClientBounds.counter).contains(row.int(2)), request != nil || row.text(8).isEmpty
      else {
        connection.setAside("sessions", row.text(0).shortened(toBytes: 64))
        return nil
      }
      return ManagedSession(
        id: id, customer: customer, epoch: Epoch(row.int(2)), status: status, host: host, data: row.json(5),
        isOwn: isOwn, additional: min(max(row.int(7), 0), Int64(ClientBounds.users)), request: request)
    }.compactMap { $0 }
  }
}

/// The state of the manager as its last life left it.
struct StoredManager: Sendable {
  let state: ManagerState
  /// The manager's name in the ids of its messages.
  let identity: String
  /// The ids of the messages that were handled, oldest first.
  let handled: [String]
  let outbox: [OutboxRow]
  let lastCommit: Int64
  /// Sessions that are to be removed and still there.
  let erasing: Int64
}

extension UserPool.Place {
  fileprivate var columns: (place: String, supervisor: String) {
    switch self {
    case .offline: ("offline", "")
    case .free: ("free", "")
    case .serving(let id): ("serving", id.text)
    }
  }
}
