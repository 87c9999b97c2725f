import Environment

/// An ended session or a deleted user, as `GET /session-events` tells it.
struct SessionEvent: Sendable {
  let id: Int64
  let kind: String
  let user: String
  let session: String

  /// As a server-sent event (WHATWG HTML §9.2).
  var text: String {
    var members: [JSONValue.Member] = [.init("user_id", .string(user))]
    if !session.isEmpty { members.append(.init("session_id", .string(session))) }
    return "id: \(id)\nevent: \(kind)\ndata: \(JSONValue.object(members).text)\n\n"
  }
}

extension SQLConnection {
  /// Events that are kept for those who come back; who was away for longer is told to forget all it knows.
  static let keptEvents: Int64 = 10_000

  func addEvent(_ kind: String, user: String, session: String) throws(DatabaseError) {
    try execute(
      "INSERT INTO session_events (kind, user_id, session_id) VALUES ($1, $2, $3)", .text(kind), .text(user),
      .text(session))
    try execute(
      "DELETE FROM session_events WHERE event_id <= (SELECT max(event_id) FROM session_events) - $1",
      .int(Self.keptEvents))
  }

  func lastEventID() throws(DatabaseError) -> Int64 {
    try first("SELECT max(event_id) FROM session_events") { $0.int(0) } ?? 0
  }

  /// The next events after `id`, or nil when some of them are no longer kept.
  func events(after id: Int64, limit: Int64) throws(DatabaseError) -> [SessionEvent]? {
    let events = try query(
      "SELECT event_id, kind, user_id, session_id FROM session_events WHERE event_id > $1 ORDER BY event_id LIMIT $2",
      .int(id), .int(limit)
    ) { SessionEvent(id: $0.int(0), kind: $0.text(1), user: $0.text(2), session: $0.text(3)) }
    if let first = events.first, first.id > id + 1 { return nil }
    if events.isEmpty, try lastEventID() < id { return nil }
    return events
  }
}

/// A deleted account. Unlike session events, these are kept for good: services hold rows by the id of an account, and one
/// that was away for long must still learn that the account is gone.
struct DeletedUser: Sendable {
  /// The id of the `user_deleted` event that tells it.
  let event: Int64
  /// The account's id, which is never used again.
  let user: String
}

extension SQLConnection {
  /// Deleted accounts in one answer.
  static let deletedUsersPage: Int64 = 500

  /// The next accounts that were deleted after the event `id`, oldest first.
  func deletedUsers(after id: Int64) throws(DatabaseError) -> [DeletedUser] {
    try query(
      "SELECT event_id, user_id FROM deleted_users WHERE event_id > $1 ORDER BY event_id LIMIT $2", .int(id),
      .int(Self.deletedUsersPage)
    ) { DeletedUser(event: $0.int(0), user: $0.text(1)) }
  }
}

/// Wakes the streams of events: when something was committed, and every while so that they can show that they live.
actor EventBell {
  /// Time between two signs of life on a silent stream.
  static let heartbeat: Duration = .seconds(2)

  private let environment: Environment
  private let serialExecutor: ActorExecutor
  private var listeners: [UnsafeContinuation<Int?, Never>] = []
  private var rings = 0
  private var isTicking = false
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment) {
    self.environment = environment
    serialExecutor = environment.executor.forActor("event-bell")
  }

  /// Waits until it has rung more than `heard` times (a heartbeat counts too) and says how often; nil once it is closed.
  func wait(after heard: Int) async -> Int? {
    if isClosed { return nil }
    if rings > heard { return rings }
    if !isTicking {
      isTicking = true
      environment.executor.spawn("event-bell") { await self.tick() }
    }
    return await withUnsafeContinuation { listeners.append($0) }
  }

  func ring() {
    rings += 1
    wake(rings)
  }

  func close() {
    isClosed = true
    wake(nil)
  }

  private func wake(_ answer: Int?) {
    let woken = listeners
    listeners = []
    for listener in woken { listener.resume(returning: answer) }
  }

  private func tick() async {
    while !listeners.isEmpty {
      do { try await environment.clock.sleep(for: Self.heartbeat) } catch { return close() }
      ring()
    }
    isTicking = false
  }
}
