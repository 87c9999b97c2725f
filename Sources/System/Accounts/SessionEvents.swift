import Environment

/// An ended session or a deleted user, as `GET /session-events` sends it.
struct SessionEvent: Sendable {
  enum Kind: String, Sendable {
    case sessionEnded = "session_ended"
    case userDeleted = "user_deleted"
  }

  let id: Int64
  /// A `Kind`, unless another release wrote the row.
  let kind: String
  let user: AccountID
  /// The session; empty for a deleted user.
  let session: String

  /// The event as a server-sent event (WHATWG HTML §9.2).
  var text: String {
    var members: [JSONValue.Member] = [.init("user_id", .string(user.value))]
    if !session.isEmpty { members.append(.init("session_id", .string(session))) }
    return "id: \(id)\nevent: \(kind)\ndata: \(JSONValue.object(members).text)\n\n"
  }
}

/// A deleted account. Unlike session events, these are kept for good: services hold rows by the id
/// of an account, and a service that was away for long must still learn that the account was
/// deleted.
struct DeletedUser: Sendable {
  /// The id of the `user_deleted` event.
  let event: Int64
  /// The id of the account, which is never used again.
  let user: AccountID
}

/// The tables `session_events` and `deleted_users`.
struct SessionEventsTable {
  /// The number of events that are kept. A listener that missed more is told to forget all
  /// sessions.
  static let keptEvents: Int64 = 10_000

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Adds an event, and returns its id.
  ///
  /// The ids have no gaps, and follow the order of the commits: whoever has read an event has read
  /// all before it. So events are added by one transaction at a time, as its last statements.
  @discardableResult
  func add(_ kind: SessionEvent.Kind, user: AccountID, session: UserSessionID?) async throws(DatabaseError) -> Int64 {
    try await connection.lock(.sessionEvents)
    let id = try await lastID() + 1
    try await connection.execute(
      "INSERT INTO session_events (event_id, kind, user_id, session_id) VALUES ($1, $2, $3, $4)", .int(id),
      .text(kind.rawValue), .text(user.value), .text(session?.value ?? ""))
    try await connection.execute("DELETE FROM session_events WHERE event_id <= $1", .int(id - Self.keptEvents))
    return id
  }

  /// Adds a deleted account under the id of its event.
  func addDeletedUser(_ user: AccountID, _ event: Int64) async throws(DatabaseError) {
    try await connection.execute(
      "INSERT INTO deleted_users (event_id, user_id) VALUES ($1, $2)", .int(event), .text(user.value))
  }

  /// Returns the id of the last event; 0 before the first.
  func lastID() async throws(DatabaseError) -> Int64 {
    try await connection.first("SELECT max(event_id) FROM session_events") { $0.int(0) } ?? 0
  }

  /// Returns the next events after `id`, or nil if some of them are no longer kept.
  func after(_ id: Int64, limit: Int64) async throws(DatabaseError) -> [SessionEvent]? {
    let events = try await connection.query(
      "SELECT event_id, kind, user_id, session_id FROM session_events WHERE event_id > $1 ORDER BY event_id LIMIT $2",
      .int(id), .int(limit)
    ) { SessionEvent(id: $0.int(0), kind: $0.text(1), user: AccountID($0.text(2)), session: $0.text(3)) }
    if let first = events.first, first.id > id + 1 { return nil }
    if events.isEmpty, try await lastID() < id { return nil }
    return events
  }

  /// Returns the next accounts that were deleted after the event `id`, at most `limit`, oldest
  /// first.
  func deletedUsers(after id: Int64, limit: Int) async throws(DatabaseError) -> [DeletedUser] {
    try await connection.query(
      "SELECT event_id, user_id FROM deleted_users WHERE event_id > $1 ORDER BY event_id LIMIT $2", .int(id),
      .int(Int64(limit))
    ) { DeletedUser(event: $0.int(0), user: AccountID($0.text(1))) }
  }
}
