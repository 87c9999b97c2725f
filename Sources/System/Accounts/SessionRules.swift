import Environment

/// How long sessions live, and how many a user may have.
struct SessionRules: Sendable {
  /// The time after its last use at which a session ends; zero for never.
  let lifetime: Duration
  /// Sessions of one user.
  let maximum: Int

  /// How often a session that is in use is noted as used, at most: so a session that is asked about once a second does not
  /// cost a commit each time. A session lives for up to this much longer than its lifetime, and never shorter.
  var precision: Duration { min(.seconds(3600), lifetime / 4) }

  /// A session that was used last before this, in milliseconds since the epoch, has ended.
  func earliestUse(at now: Timestamp) -> Int64 {
    lifetime == .zero ? .min : (now + (.zero - lifetime - precision)).milliseconds
  }
}

extension Timestamp {
  /// Milliseconds since the epoch.
  var milliseconds: Int64 { microseconds / 1000 }

  /// The time that lies `milliseconds` after the epoch; saturates instead of overflowing.
  fileprivate init(milliseconds: Int64) {
    let (product, overflow) = milliseconds.multipliedReportingOverflow(by: 1000)
    self.init(microseconds: overflow ? (milliseconds < 0 ? .min : .max) : product)
  }
}

/// A session's owner.
struct SessionOwner: Sendable {
  let id: String
  let username: String
  fileprivate let lastUsed: Int64?
}

extension SQLConnection {
  /// Whose a session is; nil when there is none, or it was not used for too long.
  func owner(of session: String, at now: Timestamp, _ rules: SessionRules) throws(DatabaseError) -> SessionOwner? {
    try first(
      """
      SELECT u.user_id, u.username, s.last_used FROM user_sessions s JOIN users u ON u.user_id = s.user_id
      WHERE s.session_id = $1 AND ifnull(s.last_used, $2) >= $2
      """, .text(session), .int(rules.earliestUse(at: now))
    ) { SessionOwner(id: $0.text(0), username: $0.text(1), lastUsed: $0.isNull(2) ? nil : $0.int(2)) }
  }

  /// Notes that a session is used now, if it was not noted lately.
  func noteUse(of session: String, by owner: SessionOwner, at now: Timestamp, _ rules: SessionRules)
    throws(DatabaseError)
  {
    guard rules.lifetime > .zero else { return }
    // A use in the future was noted by a clock that has been put back since.
    let sinceUse = owner.lastUsed.map { now - Timestamp(milliseconds: $0) }
    if let sinceUse, sinceUse >= .zero, sinceUse < rules.precision / 2 { return }
    try execute(
      "UPDATE user_sessions SET last_used = $2 WHERE session_id = $1", .text(session), .int(now.milliseconds))
  }

  /// Ends sessions that were not used for too long, the oldest use first; returns how many.
  func endUnusedSessions(at now: Timestamp, _ rules: SessionRules, limit: Int64) throws(DatabaseError) -> Int {
    let unused = try query(
      "SELECT session_id, user_id FROM user_sessions WHERE last_used < $1 ORDER BY last_used LIMIT $2",
      .int(rules.earliestUse(at: now)), .int(limit)
    ) { ($0.text(0), $0.text(1)) }
    try end(unused)
    return unused.count
  }

  /// Ends those of them that are a user's, or have this id; returns whether there were any.
  func endUnusedSessions(of user: String, or session: String, at now: Timestamp, _ rules: SessionRules)
    throws(DatabaseError) -> Bool
  {
    let unused = try query(
      "SELECT session_id, user_id FROM user_sessions WHERE last_used < $1 AND (user_id = $2 OR session_id = $3)",
      .int(rules.earliestUse(at: now)), .text(user), .text(session)
    ) { ($0.text(0), $0.text(1)) }
    try end(unused)
    return !unused.isEmpty
  }

  private func end(_ sessions: [(id: String, user: String)]) throws(DatabaseError) {
    for session in sessions {
      try execute("DELETE FROM user_sessions WHERE session_id = $1", .text(session.id))
      try addEvent("session_ended", user: session.user, session: session.id)
    }
  }
}
