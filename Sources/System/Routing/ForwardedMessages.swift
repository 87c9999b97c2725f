/// Users' messages that were sent to a supervisor and are not in the transcript. They are kept for the
/// next supervisor, so their number and bytes are bounded: nobody may make them wait without end.
struct ForwardedTotal: Sendable {
  var messages: Int64
  var bytes: Int64

  /// What one user may have waiting. The last message may exceed the bytes.
  static let ofUser = ForwardedTotal(messages: 1_000, bytes: 1 << 20)
  /// What all users may have waiting together. It is on the disk.
  static let ofAll = ForwardedTotal(messages: 50_000, bytes: 128 << 20)

  func reaches(_ bound: ForwardedTotal) -> Bool { messages >= bound.messages || bytes >= bound.bytes }
}

/// What became of a message that was to be kept.
enum Forwarding: Sendable {
  case added
  /// It waits already.
  case known
  case refused(String)
}

extension SQLConnection {
  /// Keeps a message until it is in the transcript. `total` is what waits in all; it is counted once in
  /// a commit and may be more than there is by then.
  func keepForwarded(
    _ message: JSONValue, id: String, of user: UserID, for supervisor: SupervisorID, total: inout ForwardedTotal?
  ) throws(DatabaseError) -> Forwarding {
    let known = try first(
      "SELECT 1 FROM forwarded WHERE supervisor = $1 AND message_id = $2", .text(supervisor.text), .text(id)
    ) { $0.int(0) }
    if known != nil { return .known }
    let ofUser = try first(
      "SELECT count(*), coalesce(sum(size), 0) FROM forwarded WHERE supervisor = $1 AND user_key = $2",
      .text(supervisor.text), .text(user.key), row: Self.total)
    if let ofUser, ofUser.reaches(.ofUser) {
      return .refused("too many messages of the user wait for the supervisor")
    }
    var all: ForwardedTotal
    if let total { all = total } else { all = try forwardedTotal() }
    if all.reaches(.ofAll) { return .refused("too many messages wait for supervisors") }
    let text = message.text
    try execute(
      "INSERT INTO forwarded (supervisor, message_id, user_key, message, size) VALUES ($1, $2, $3, $4, $5)",
      .text(supervisor.text), .text(id), .text(user.key), .text(text), .int(Int64(text.utf8.count)))
    all.messages += 1
    all.bytes += Int64(text.utf8.count)
    total = all
    return .added
  }

  private func forwardedTotal() throws(DatabaseError) -> ForwardedTotal {
    try first("SELECT count(*), coalesce(sum(size), 0) FROM forwarded", row: Self.total)
      ?? ForwardedTotal(messages: 0, bytes: 0)
  }

  private static func total(_ row: SQLRow) -> ForwardedTotal { ForwardedTotal(messages: row.int(0), bytes: row.int(1)) }
}
