import Environment

/// What a client shows that wants to be recovered.
struct RecoveryRequest: Sendable {
  /// The longest `pid`, in bytes.
  private static let longestID = 64

  /// The `pid` of its former socket; nil without one.
  let id: String?
  /// The last event that it received; nil before the first.
  let offset: EventOffset?

  /// Reads the payload of CONNECT; nil without `"recover": true`. With a malformed `pid` or offset
  /// the client is new.
  init?(_ auth: JSONValue) {
    guard auth["recover"] == true else { return nil }
    let shown = auth["offset"] ?? .null
    offset = shown.string.flatMap { EventOffset($0) }
    let id = auth["pid"]?.string.flatMap { (1...Self.longestID).contains($0.utf8.count) ? $0 : nil }
    self.id = offset == nil && shown != .null ? nil : id
  }
}

/// A client that can be recovered, or was.
struct RecoverableSocket: Sendable {
  /// The `pid`, a secret of its client.
  let id: String
  /// The id of the first socket. The client keeps it.
  let socketID: String
  /// The last event that the client has received, or any before it.
  let offset: EventOffset
  let isRecovered: Bool
}

/// `recoveries`: the clients that want to be recovered. A row belongs to one socket at a time, and
/// stays for a while after its end.
struct RecoveriesTable {
  /// The time in which a client may come back. The contract says 2 minutes; the rest is for the
  /// differences of clocks.
  static let lifetime: Duration = .seconds(130)
  /// Rows that one transaction removes for their age.
  private static let page: Int64 = 10

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// The last time of an end after which a client may still come back at `now`.
  private static func limit(_ now: Timestamp) -> SQLValue { .int((now + (.zero - lifetime)).microseconds) }

  /// Whether any client may still come back.
  func mayComeBack(at now: Timestamp) async throws(DatabaseError) -> Bool {
    try await connection.first(
      "SELECT 1 FROM recoveries WHERE closed_at IS NULL OR closed_at > $1 LIMIT 1", Self.limit(now)
    ) { _ in true } ?? false
  }

  /// Gives the row of a former socket of the same user to a new socket, or stores a new row under
  /// the id `new`, for a client that receives what is emitted after `since`. `last` is the last
  /// position that is committed.
  func open(
    _ request: RecoveryRequest, for socket: SocketID, of user: UserNumber, new: String, since: Position,
    last: Position, at now: Timestamp
  ) async throws(DatabaseError) -> RecoverableSocket {
    try await removeOld(at: now)
    if let former = try await takeOver(request, for: socket, of: user, last: last, at: now) { return former }
    try await connection.execute(
      "INSERT INTO recoveries (pid, user_number, sid, socket_id, since_position) VALUES ($1, $2, $3, $4, $5)",
      .text(new), .int(user.value), .text(socket.id), .text(SocketsTable.key(socket)), .int(since.value))
    return RecoverableSocket(id: new, socketID: socket.id, offset: .end(of: since.value), isRecovered: false)
  }

  private func takeOver(
    _ request: RecoveryRequest, for socket: SocketID, of user: UserNumber, last: Position, at now: Timestamp
  ) async throws(DatabaseError) -> RecoverableSocket? {
    // Nobody has received what was not stored yet.
    guard let id = request.id, request.offset?.position ?? 0 <= last.value else { return nil }
    let found = try await connection.first(
      """
      SELECT sid, since_position FROM recoveries
      WHERE pid = $1 AND user_number = $2 AND (closed_at IS NULL OR closed_at > $3)
      """, .text(id), .int(user.value), Self.limit(now)
    ) { (socketID: $0.text(0), since: $0.int(1)) }
    guard let found else { return nil }
    try await connection.execute(
      "UPDATE recoveries SET socket_id = $1, closed_at = NULL WHERE pid = $2", .text(SocketsTable.key(socket)),
      .text(id))
    // A client keeps the offset that it got before its row was made.
    let offset = max(request.offset ?? .start, .end(of: found.since))
    return RecoverableSocket(id: id, socketID: found.socketID, offset: offset, isRecovered: true)
  }

  /// Replaces the row of a socket whose client cannot get what it missed.
  func replace(
    _ socket: SocketID, new: String, since: Position
  ) async throws(DatabaseError) -> RecoverableSocket {
    try await connection.execute(
      "UPDATE recoveries SET pid = $1, sid = $2, since_position = $3 WHERE socket_id = $4", .text(new),
      .text(socket.id), .int(since.value), .text(SocketsTable.key(socket)))
    return RecoverableSocket(id: new, socketID: socket.id, offset: .end(of: since.value), isRecovered: false)
  }

  /// Notes the end of a socket, unless its client is back already.
  func close(_ socket: SocketID, at now: Timestamp) async throws(DatabaseError) {
    try await connection.execute(
      "UPDATE recoveries SET closed_at = $1 WHERE socket_id = $2 AND closed_at IS NULL", .int(now.microseconds),
      .text(SocketsTable.key(socket)))
  }

  /// Notes the end of the sockets that have no row any more.
  func closeGone(at now: Timestamp) async throws(DatabaseError) {
    try await connection.execute(
      """
      UPDATE recoveries SET closed_at = $1
      WHERE closed_at IS NULL AND socket_id NOT IN (SELECT socket_id FROM sockets)
      """, .int(now.microseconds))
  }

  /// Notes the end of the sockets that `SocketsTable.removeSome` removes next.
  func closeSome(of life: String, limit: Int, at now: Timestamp) async throws(DatabaseError) {
    try await connection.execute(
      """
      UPDATE recoveries SET closed_at = $1 WHERE closed_at IS NULL AND socket_id IN
        (SELECT socket_id FROM sockets WHERE life = $2 ORDER BY user_number, socket_id LIMIT $3)
      """, .int(now.microseconds), .text(life), .int(Int64(limit)))
  }

  /// Removes the rows of a user.
  func removeAll(of user: UserNumber) async throws(DatabaseError) {
    try await connection.execute("DELETE FROM recoveries WHERE user_number = $1", .int(user.value))
  }

  /// Removes a few rows whose clients have not come back in time. Each transaction that adds one
  /// removes more.
  private func removeOld(at now: Timestamp) async throws(DatabaseError) {
    try await connection.execute(
      """
      DELETE FROM recoveries WHERE pid IN
        (SELECT pid FROM recoveries WHERE closed_at <= $1 ORDER BY closed_at, pid LIMIT $2)
      """, Self.limit(now), .int(Self.page))
  }
}
