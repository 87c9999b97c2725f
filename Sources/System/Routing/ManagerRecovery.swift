/// What the manager finds in its database when it starts.
extension SQLConnection {
  /// The manager as it was when it stopped. `identity` is its name in the ids of its messages, if it has none yet.
  func managerState(identity: String) throws(DatabaseError) -> (
    state: ManagerState, identity: String, handled: [String], outbox: [OutboxRow], lastCommit: Int64
  ) {
    try execute(
      "INSERT INTO manager (only, identity, next_session) VALUES (1, $1, 1) ON CONFLICT DO NOTHING", .text(identity))
    let (identity, next) = try first("SELECT identity, next_session FROM manager") { ($0.text(0), $0.int(1)) }!
    let users = try query("SELECT user_key, connection, place, supervisor, turn FROM pool_users ORDER BY turn") {
      row -> (UserID, UserPool.User)? in
      guard let id = UserID(row.json(0)) else { return nil }
      let place: UserPool.Place =
        switch (row.text(2), SupervisorID(row.text(3))) {
        case ("free", _): .free
        case ("serving", let supervisor?): .serving(supervisor)
        default: .offline
        }
      return (id, UserPool.User(connection: row.int(1), place: place, turn: row.int(4)))
    }
    let demands = try query("SELECT demand_id, supervisor, user_count FROM demands ORDER BY demand_id") { row in
      UserPool.Demand(id: row.int(0), supervisor: SupervisorID(row.text(1))!, count: Int(row.int(2)))
    }
    let sessions = try query(
      """
      SELECT supervisor, email, epoch, status, host, data, is_own, additional, request FROM sessions
      WHERE status <> 'ended' OR supervisor IN (SELECT supervisor FROM pool_users WHERE place = 'serving')
      ORDER BY supervisor
      """
    ) { row in
      ManagedSession(
        id: SupervisorID(row.text(0))!, email: row.text(1), epoch: row.int(2),
        status: ManagedSession.Status(rawValue: row.text(3))!, host: row.text(4), data: row.json(5),
        isOwn: row.int(6) != 0, additional: row.int(7), request: row.text(8))
    }
    let handled = try query("SELECT message_id FROM handled ORDER BY position") { $0.text(0) }
    let state = ManagerState(
      pool: UserPool(users: users.compactMap { $0 }, demands: demands), sessions: sessions, nextSession: next)
    return (state, identity, handled, try outbox(after: 0), try lastCommit())
  }

  /// The number of the last commit of the manager.
  func lastCommit() throws(DatabaseError) -> Int64 {
    try first("SELECT last_commit FROM manager") { $0.int(0) } ?? 0
  }

  /// Removes the rows of the outbox up to a position, which were published.
  func forgetOutbox(through position: Int64) throws(DatabaseError) {
    try execute("DELETE FROM outbox WHERE position <= $1", .int(position))
  }

  /// The rows of the outbox after a position, in order.
  func outbox(after position: Int64) throws(DatabaseError) -> [OutboxRow] {
    try query(
      """
      SELECT position, kind, exchange, routing_key, properties, body FROM outbox WHERE position > $1 ORDER BY position
      """, .int(position)
    ) { row in
      OutboxRow(
        position: row.int(0), kind: OutboxRow.Kind(rawValue: row.text(1))!, exchange: row.text(2),
        routingKey: row.text(3), properties: row.bytes(4), body: row.bytes(5))
    }
  }
}
