/// `sockets`: one row for each connected socket. A user is online while there is a row, whatever
/// was heard last. `connections`: the number of each user's latest connection to the User Server.
struct SocketsTable {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Stores a socket. Returns whether it is the user's first in its namespace.
  func insert(_ socket: SocketID, of user: UserNumber, life: String) async throws(DatabaseError) -> Bool {
    let isFirst = try await !hasSocket(user, in: socket.namespace)
    try await connection.execute(
      "INSERT INTO sockets (socket_id, user_number, namespace, life) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
      .text(Self.key(socket)), .int(user.value), .text(socket.namespace), .text(life))
    return isFirst
  }

  /// Removes a socket. Returns whether it was the user's last in its namespace; false when there is
  /// no such row.
  func remove(_ socket: SocketID, of user: UserNumber) async throws(DatabaseError) -> Bool {
    let removed = try await connection.execute("DELETE FROM sockets WHERE socket_id = $1", .text(Self.key(socket)))
    guard removed == 1 else { return false }
    return try await !hasSocket(user, in: socket.namespace)
  }

  /// Removes the sockets of earlier lives of this node, which ended with it, and stores a departure
  /// for each user who was available on one.
  func removeAll(exceptOf life: String) async throws(DatabaseError) {
    try await connection.execute(
      """
      INSERT INTO departures (user_number, connection)
      SELECT c.user_number, c.last_connection FROM connections c WHERE EXISTS
        (SELECT 1 FROM sockets s WHERE s.user_number = c.user_number AND s.namespace = $1 AND s.life <> $2)
      ORDER BY c.user_number
      """, .text(UserServer.namespace), .text(life))
    try await connection.execute("DELETE FROM sockets WHERE life <> $1", .text(life))
  }

  /// The users with sockets in `/` of earlier lives of this node, in the order of their numbers.
  func online(exceptOf life: String) async throws(DatabaseError) -> [UserNumber] {
    try await connection.query(
      "SELECT DISTINCT user_number FROM sockets WHERE life <> $1 AND namespace = '/' ORDER BY user_number", .text(life)
    ) { UserNumber($0.int(0)) }
  }

  /// Removes sockets of a life of a node, at most `limit`. Returns how many there were, and the
  /// users for whom one was the last in its namespace, in the order of their numbers.
  func removeSome(
    of life: String, limit: Int
  ) async throws(DatabaseError) -> (count: Int, last: [(user: UserNumber, namespace: String)]) {
    let found = try await connection.query(
      "SELECT socket_id, user_number, namespace FROM sockets WHERE life = $1 ORDER BY user_number, socket_id LIMIT $2",
      .text(life), .int(Int64(limit))
    ) { (id: $0.text(0), user: UserNumber($0.int(1)), namespace: $0.text(2)) }
    var last: [(user: UserNumber, namespace: String)] = []
    for socket in found {
      try await connection.execute("DELETE FROM sockets WHERE socket_id = $1", .text(socket.id))
      if try await !hasSocket(socket.user, in: socket.namespace) { last.append((socket.user, socket.namespace)) }
    }
    return (found.count, last)
  }

  /// Whether a user has a socket in the namespace `/`.
  func isOnline(_ user: UserNumber) async throws(DatabaseError) -> Bool { try await hasSocket(user, in: "/") }

  private func hasSocket(_ user: UserNumber, in namespace: String) async throws(DatabaseError) -> Bool {
    try await connection.first(
      "SELECT 1 FROM sockets WHERE user_number = $1 AND namespace = $2 LIMIT 1", .int(user.value), .text(namespace)
    ) { _ in true } ?? false
  }

  static func key(_ socket: SocketID) -> String { socket.session + socket.namespace + socket.id }

  // MARK: Connections to the User Server

  /// Counts a new connection of a user and returns its number.
  func nextConnection(of user: UserNumber) async throws(DatabaseError) -> ConnectionNumber {
    try await connection.first(
      """
      INSERT INTO connections (user_number, last_connection) VALUES ($1, 1)
      ON CONFLICT (user_number) DO UPDATE SET last_connection = connections.last_connection + 1
      RETURNING last_connection
      """, .int(user.value)
    ) { ConnectionNumber($0.int(0)) }!
  }

  /// The number of a user's latest connection; 0 before the first.
  func lastConnection(of user: UserNumber) async throws(DatabaseError) -> ConnectionNumber {
    try await connection.first("SELECT last_connection FROM connections WHERE user_number = $1", .int(user.value)) {
      ConnectionNumber($0.int(0))
    } ?? ConnectionNumber(0)
  }
}
