/// The manager as it was when it stopped.
struct StoredManager: Sendable {
  var state: ManagerState
  /// The manager's name in the ids of its messages.
  let identity: String
  let handled: [String]
  let outbox: [OutboxRow]
  let lastCommit: Int64
  /// Rows that cannot be read, by table and key. They stay where they are, and nothing is made of them.
  let setAside: [String]
}

/// What the manager finds in its database when it starts. An older version may have stored what is
/// refused today, so each row is parsed like a message: clamped where that keeps its meaning, else set aside.
extension SQLConnection {
  /// The manager as it was when it stopped. `identity` is its name, if it has none yet.
  func managerState(identity: String) throws(DatabaseError) -> StoredManager {
    try execute(
      "INSERT INTO manager (only, identity, next_session) VALUES (1, $1, 1) ON CONFLICT DO NOTHING", .text(identity))
    let found = try first("SELECT identity, next_session FROM manager") { ($0.text(0), $0.int(1)) }
    let lastCommit = try lastCommit()
    // Nobody but the manager counts these up; at any other number it would do something twice, or not at all.
    guard let (identity, next) = found, (1...ClientBounds.counter).contains(next),
      (0...ManagerCommit.maximumNumber).contains(lastCommit)
    else { throw .corrupt("the counters of the table manager are out of range") }
    var setAside: [String] = []
    let sessions = try storedSessions(&setAside)
    let users = try storedUsers(of: Set(sessions.map(\.id)), &setAside)
    let demands = try storedDemands(&setAside)
    let handled = try query("SELECT message_id FROM handled ORDER BY position") { $0.text(0) }
    return StoredManager(
      state: ManagerState(pool: UserPool(users: users, demands: demands), sessions: sessions, nextSession: next),
      identity: identity, handled: handled, outbox: try outbox(after: 0), lastCommit: lastCommit, setAside: setAside)
  }

  /// The users. One whose session could not be read is free.
  private func storedUsers(
    of sessions: Set<SupervisorID>, _ setAside: inout [String]
  ) throws(DatabaseError) -> [(UserID, UserPool.User)] {
    try query("SELECT user_key, connection, place, supervisor, turn FROM pool_users ORDER BY turn") {
      row -> (UserID, UserPool.User)? in
      guard let id = UserID(row.json(0)) else {
        setAside.append("pool_users \(row.text(0).shortened(toBytes: 64))")
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
      return (id, UserPool.User(connection: connection, place: place, turn: turn))
    }.compactMap { $0 }
  }

  private func storedDemands(_ setAside: inout [String]) throws(DatabaseError) -> [UserPool.Demand] {
    try query("SELECT demand_id, supervisor, user_count FROM demands ORDER BY demand_id") { row -> UserPool.Demand? in
      guard let supervisor = SupervisorID(row.text(1)), (1...ClientBounds.counter).contains(row.int(0)), row.int(2) > 0
      else {
        setAside.append("demands \(row.int(0))")
        return nil
      }
      return UserPool.Demand(
        id: row.int(0), supervisor: supervisor, count: Int(min(row.int(2), Int64(ClientBounds.users))))
    }.compactMap { $0 }
  }

  private func storedSessions(_ setAside: inout [String]) throws(DatabaseError) -> [ManagedSession] {
    try query(
      """
      SELECT supervisor, email, epoch, status, host, data, is_own, additional, request FROM sessions
      WHERE status <> 'ended' OR supervisor IN (SELECT supervisor FROM pool_users WHERE place = 'serving')
      ORDER BY supervisor
      """
    ) { row -> ManagedSession? in
      let email = CustomerEmail(row.text(1))
      let isOwn = row.int(6) != 0
      guard let id = SupervisorID(row.text(0)), let status = ManagedSession.Status(rawValue: row.text(3)),
        email != nil || !isOwn,
        (0...ClientBounds.counter).contains(row.int(2)), row.text(4).utf8.count <= QueueNames.maximumHost,
        row.text(8).utf8.count <= ClientBounds.identifier
      else {
        setAside.append("sessions \(row.text(0).shortened(toBytes: 64))")
        return nil
      }
      return ManagedSession(
        id: id, email: email, epoch: row.int(2), status: status, host: row.text(4), data: row.json(5),
        isOwn: isOwn, additional: min(max(row.int(7), 0), Int64(ClientBounds.users)), request: row.text(8))
    }.compactMap { $0 }
  }

  /// The number of the last commit of the manager.
  func lastCommit() throws(DatabaseError) -> Int64 {
    try first("SELECT last_commit FROM manager") { $0.int(0) } ?? 0
  }

  /// Removes the rows of the outbox up to a position, which were published.
  func forgetOutbox(through position: Int64) throws(DatabaseError) {
    try execute("DELETE FROM outbox WHERE position <= $1", .int(position))
  }

  /// The rows of the outbox after a position, in order. One of no known kind is passed over.
  func outbox(after position: Int64) throws(DatabaseError) -> [OutboxRow] {
    try query(
      """
      SELECT position, kind, exchange, routing_key, properties, body FROM outbox WHERE position > $1 ORDER BY position
      """, .int(position)
    ) { row -> OutboxRow? in
      guard let kind = OutboxRow.Kind(rawValue: row.text(1)) else { return nil }
      return OutboxRow(
        position: row.int(0), kind: kind, exchange: row.text(2), routingKey: row.text(3), properties: row.bytes(4),
        body: row.bytes(5))
    }.compactMap { $0 }
  }
}
