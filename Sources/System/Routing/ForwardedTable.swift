/// The users' messages that were sent to a supervisor and are not in the transcript.
///
/// The next supervisor gets them again, so their number and bytes are bounded.
struct ForwardedTable {
  struct Total: Sendable {
    var messages: Int64
    var bytes: Int64

    /// The bound for one user of a session. The last message may exceed the bytes.
    static let ofUser = Total(messages: 1_000, bytes: 1 << 20)
    /// The bound for all users together, on the disk.
    static let ofAll = Total(messages: 50_000, bytes: 128 << 20)

    func reaches(_ bound: Total) -> Bool { messages >= bound.messages || bytes >= bound.bytes }
  }

  enum Outcome: Sendable {
    case added
    case known
    case refused(String)
  }

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Keeps a message until it is in the transcript.
  ///
  /// `total` counts the messages of all users. A commit counts them once and adds to the number,
  /// which may become too high, never too low.
  func add(
    _ message: SessionMessage, for session: SupervisorID, total: inout Total?
  ) async throws(DatabaseError) -> Outcome {
    let known = try await connection.first(
      "SELECT 1 FROM forwarded WHERE supervisor = $1 AND message_id = $2", .text(session.text),
      .text(message.id.text)
    ) { $0.int(0) }
    if known != nil { return .known }
    let ofUser = try await connection.first(
      "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM forwarded WHERE supervisor = $1 AND user_key = $2",
      .text(session.text), .text(message.sender.key), row: Self.total)
    if let ofUser, ofUser.reaches(.ofUser) {
      return .refused("too many messages of the user wait for the supervisor")
    }
    var all: Total
    if let total { all = total } else { all = try await self.total() }
    if all.reaches(.ofAll) { return .refused("too many messages wait for supervisors") }
    let text = message.text.text
    try await connection.write(
      "INSERT INTO forwarded (supervisor, message_id, user_key, message, size) VALUES ($1, $2, $3, $4, $5)",
      .text(session.text), .text(message.id.text), .text(message.sender.key), .text(text),
      .int(Int64(text.utf8.count)))
    all.messages += 1
    all.bytes += Int64(text.utf8.count)
    total = all
    return .added
  }

  func delete(_ message: SessionMessageID, of session: SupervisorID) async throws(DatabaseError) {
    try await connection.write(
      "DELETE FROM forwarded WHERE supervisor = $1 AND message_id = $2", .text(session.text), .text(message.text))
  }

  /// Whether an earlier message of the same user is still here.
  func hasEarlier(than message: SessionMessageID, of session: SupervisorID) async throws(DatabaseError) -> Bool {
    try await connection.first(
      """
      SELECT 1 FROM forwarded f JOIN forwarded e ON e.supervisor = f.supervisor AND e.user_key = f.user_key
      WHERE f.supervisor = $1 AND f.message_id = $2 AND e.position < f.position
      """, .text(session.text), .text(message.text)
    ) { $0.int(0) } != nil
  }

  /// The messages for a supervisor, in the order in which they were sent.
  func messages(of session: SupervisorID) async throws(DatabaseError) -> [SessionMessage] {
    try await connection.query(
      "SELECT user_key, message_id, message FROM forwarded WHERE supervisor = $1 ORDER BY position",
      .text(session.text), row: message
    ).compactMap { $0 }
  }

  /// The messages of one user.
  func messages(of session: SupervisorID, from user: UserID) async throws(DatabaseError) -> [SessionMessage] {
    try await connection.query(
      "SELECT user_key, message_id, message FROM forwarded WHERE supervisor = $1 AND user_key = $2 ORDER BY position",
      .text(session.text), .text(user.key), row: message
    ).compactMap { $0 }
  }

  private func message(_ row: SQLRow) -> SessionMessage? {
    guard let user = UserID(row.json(0)), let id = SessionMessageID(row.text(1)) else {
      connection.setAside("forwarded", row.text(1).shortened(toBytes: 64))
      return nil
    }
    return SessionMessage(id: id, sender: user, text: row.json(2))
  }

  private func total() async throws(DatabaseError) -> Total {
    try await connection.first(
      "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM forwarded", row: Self.total)
      ?? Total(messages: 0, bytes: 0)
  }

  private static func total(_ row: SQLRow) -> Total { Total(messages: row.int(0), bytes: row.int(1)) }
}
