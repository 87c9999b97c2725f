/// Who is there: a row for each socket, so that presence is a count and never the last thing that was heard of.
extension SQLConnection {
  /// Notes a socket; returns whether it is the user's first in this namespace.
  func addSocket(_ id: String, of user: UserNumber, namespace: String, life: String) throws(DatabaseError) -> Bool {
    let isFirst = try !hasSocket(user, in: namespace)
    try execute(
      "INSERT INTO sockets (socket_id, user_number, namespace, life) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
      .text(id), .int(user.value), .text(namespace), .text(life))
    return isFirst
  }

  /// Forgets a socket; returns whether it was the user's last in this namespace. What is forgotten already changes nothing.
  func removeSocket(_ id: String, of user: UserNumber, namespace: String) throws(DatabaseError) -> Bool {
    let removed = try execute("DELETE FROM sockets WHERE socket_id = $1", .text(id))
    guard removed == 1 else { return false }
    return try !hasSocket(user, in: namespace)
  }

  /// Forgets the sockets of earlier lives of this node: they ended with it. Who was available is so no more.
  func removeSockets(exceptOf life: String) throws(DatabaseError) {
    try execute(
      """
      INSERT INTO departures (user_number, connection)
      SELECT c.user_number, c.last_connection FROM connections c WHERE EXISTS
        (SELECT 1 FROM sockets s WHERE s.user_number = c.user_number AND s.namespace = $1 AND s.life <> $2)
      ORDER BY c.user_number
      """, .text(UserServer.namespace), .text(life))
    try execute("DELETE FROM sockets WHERE life <> $1", .text(life))
  }

  func isOnline(_ user: UserNumber) throws(DatabaseError) -> Bool { try hasSocket(user, in: "/") }

  private func hasSocket(_ user: UserNumber, in namespace: String) throws(DatabaseError) -> Bool {
    try first(
      "SELECT 1 FROM sockets WHERE user_number = $1 AND namespace = $2 LIMIT 1", .int(user.value), .text(namespace)
    ) { _ in true } ?? false
  }

  /// Who is told of a user's presence.
  func friends(of user: UserNumber) throws(DatabaseError) -> [UserNumber] {
    try query(
      """
      SELECT high FROM contacts WHERE low = $1 AND status = 'friend'
      UNION ALL SELECT low FROM contacts WHERE high = $1 AND status = 'friend'
      """, .int(user.value)
    ) { UserNumber($0.int(0)) }
  }

  /// The number of the next connection of a user to the User Server: it grows with each.
  func nextConnection(of user: UserNumber) throws(DatabaseError) -> Int64 {
    try first(
      """
      INSERT INTO connections (user_number, last_connection) VALUES ($1, 1)
      ON CONFLICT (user_number) DO UPDATE SET last_connection = last_connection + 1 RETURNING last_connection
      """, .int(user.value)
    ) { $0.int(0) }!
  }

  func lastConnection(of user: UserNumber) throws(DatabaseError) -> Int64 {
    try first("SELECT last_connection FROM connections WHERE user_number = $1", .int(user.value)) { $0.int(0) } ?? 0
  }

  // MARK: Those who are no longer available, until the User Manager knows

  /// Notes that a user's last connection is over.
  func noteDeparture(of user: UserNumber) throws(DatabaseError) {
    try execute(
      "INSERT INTO departures (user_number, connection) VALUES ($1, $2)", .int(user.value),
      .int(try lastConnection(of: user)))
  }

  func departures() throws(DatabaseError) -> [(id: Int64, user: Int64, connection: Int64)] {
    try query("SELECT departure_id, user_number, connection FROM departures ORDER BY departure_id LIMIT 100") {
      ($0.int(0), $0.int(1), $0.int(2))
    }
  }

  func forgetDeparture(_ id: Int64) throws(DatabaseError) {
    try execute("DELETE FROM departures WHERE departure_id = $1", .int(id))
  }
}
