import Environment

/// The removal of sessions that have ended, with their transcripts.
///
/// A session whose users are not released yet stays until they are.
struct EndedSessionsTable {
  /// What a pass has left.
  enum Progress: Sendable {
    /// The next pass has something to do at once.
    case more
    /// Sessions that are erased still have users.
    case waiting
    case done
  }

  /// A pass through the sessions that may go. It removes a bounded number of rows.
  struct Pass {
    /// The next one is the last.
    fileprivate var sessions: [SupervisorID]
    fileprivate var rows: Int64
    /// Whether there may be more sessions than those of the pass.
    fileprivate let isFull: Bool

    fileprivate init(sessions: [SupervisorID], _ limits: WorkLimits) {
      self.sessions = sessions
      rows = Int64(limits[.retiredRows])
      isFull = sessions.count >= limits[.retiredSessions]
    }
  }

  /// The sessions of a customer that are to go.
  struct Marked {
    var sessions = 0
    var messages: Int64 = 0

    func answer(removed: [SupervisorID] = [], remaining: Int64, isTrial: Bool = false) -> JSONValue {
      [
        "STATUS": "SUCCESS", "SESSIONS": .int(Int64(sessions)), "MESSAGES": .int(messages),
        "REMOVED": .array(removed.map { .string($0.text) }), "REMAINING": .int(remaining), "DRY_RUN": .bool(isTrial),
      ]
    }
  }

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  // MARK: Erasure

  /// Marks the sessions of a customer, which are removed once they have ended and their users are
  /// released. A trial marks none.
  func mark(of customer: CustomerEmail, isTrial: Bool = false) async throws(DatabaseError) -> Marked {
    let sessions = try await connection.query(
      "SELECT supervisor FROM sessions WHERE is_own AND email_key = $1 AND NOT is_erased ORDER BY supervisor",
      .text(customer.key)
    ) { $0.text(0) }
    var marked = Marked()
    for session in sessions {
      marked.sessions += 1
      marked.messages +=
        try await connection.first("SELECT count(*) FROM transcripts WHERE supervisor = $1", .text(session)) {
          $0.int(0)
        } ?? 0
      if isTrial { continue }
      try await connection.execute("UPDATE sessions SET is_erased = TRUE WHERE supervisor = $1", .text(session))
    }
    return marked
  }

  /// Returns what `mark` would find, as an answer to an operator.
  static func survey(_ customer: CustomerEmail, _ connection: SQLSession) async throws(DatabaseError) -> JSONValue {
    let table = EndedSessionsTable(connection)
    return try await table.mark(of: customer, isTrial: true).answer(remaining: try await table.erasing(), isTrial: true)
  }

  /// The number of sessions that are marked and still there.
  func erasing() async throws(DatabaseError) -> Int64 {
    try await connection.first("SELECT count(*) FROM sessions WHERE is_erased") { $0.int(0) } ?? 0
  }

  // MARK: Passes

  /// Begins a pass: marks sessions that the rule does not keep at `now`, and finds those that are
  /// marked.
  func pass(
    _ rule: Retention, at now: Timestamp, _ limits: WorkLimits
  ) async throws(DatabaseError) -> Pass {
    if rule.isLimited { try await noteUnknownEnds(at: now, limit: Int64(limits[.retiredRows])) }
    let limit = SQLValue.int(Int64(limits[.retiredSessions]))
    if let age = rule.age {
      let last = now + (.zero - age)
      try await connection.execute(
        """
        UPDATE sessions SET is_erased = TRUE WHERE supervisor IN (
          SELECT supervisor FROM sessions
          WHERE status = 'ended' AND ended_at > 0 AND ended_at <= $2 AND NOT is_erased
          ORDER BY ended_at, supervisor LIMIT $1)
        """, limit, .int(last.microseconds))
    }
    if let number = rule.number {
      try await connection.execute(
        """
        UPDATE sessions SET is_erased = TRUE WHERE supervisor IN (
          SELECT supervisor FROM sessions WHERE status = 'ended' AND NOT is_erased
          ORDER BY ended_at DESC, supervisor DESC LIMIT $1 OFFSET $2)
        """, limit, .int(Int64(number)))
    }
    let found = try await connection.query(
      """
      SELECT supervisor FROM sessions WHERE is_erased AND status = 'ended'
        AND supervisor NOT IN (SELECT supervisor FROM pool_users WHERE place = 'serving')
      ORDER BY supervisor LIMIT $1
      """, limit
    ) { SupervisorID($0.text(0)) }
    return Pass(sessions: found.compactMap { $0 }.reversed(), limits)
  }

  /// Takes `now` for the end of sessions of which an earlier release did not store it.
  private func noteUnknownEnds(at now: Timestamp, limit: Int64) async throws(DatabaseError) {
    try await connection.execute(
      """
      UPDATE sessions SET ended_at = $1 WHERE supervisor IN (
        SELECT supervisor FROM sessions WHERE status = 'ended' AND ended_at = 0 ORDER BY supervisor LIMIT $2)
      """, .int(now.microseconds), .int(limit))
  }

  /// Removes the next session of a pass. Returns nil at the end of the pass, and when the pass has
  /// removed its number of rows, which may be a part of a session's.
  func removeNext(_ pass: inout Pass) async throws(DatabaseError) -> SupervisorID? {
    guard let session = pass.sessions.last else { return nil }
    let name = SQLValue.text(session.text)
    // A transcript goes from its end, so that what is left of it has no gap.
    let parts: [SQLText] = [
      """
      DELETE FROM relayed WHERE supervisor = $1 AND user_key IN (
        SELECT user_key FROM relayed WHERE supervisor = $1 ORDER BY user_key LIMIT $2)
      """,
      """
      DELETE FROM forwarded WHERE supervisor = $1 AND position IN (
        SELECT position FROM forwarded WHERE supervisor = $1 ORDER BY position LIMIT $2)
      """,
      """
      DELETE FROM transcripts WHERE supervisor = $1 AND seq IN (
        SELECT seq FROM transcripts WHERE supervisor = $1 ORDER BY seq DESC LIMIT $2)
      """,
    ]
    for part in parts {
      pass.rows -= Int64(try await connection.execute(part, name, .int(pass.rows)))
      guard pass.rows > 0 else { return nil }
    }
    try await connection.execute("DELETE FROM sessions WHERE supervisor = $1", name)
    pass.rows -= 1
    pass.sessions.removeLast()
    return session
  }

  func progress(of pass: Pass) async throws(DatabaseError) -> Progress {
    if !pass.sessions.isEmpty || pass.isFull { return .more }
    return try await erasing() > 0 ? .waiting : .done
  }
}
