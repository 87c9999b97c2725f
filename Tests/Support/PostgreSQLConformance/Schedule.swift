/// A source of chance.
struct Random {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }
  mutating func next(_ count: Int) -> Int {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return Int((state &* 0x2545_F491_4F6C_DD1D) >> 33) % count
  }
  mutating func pick<T>(_ list: [T]) -> T { list[next(list.count)] }
}

/// A statement of a session.
struct Step: CustomStringConvertible {
  var session: Int
  var sql: String
  var parameters: [String?]
  var description: String { "\(session): \(sql)  \(parameters.map { $0 ?? "NULL" })" }
}

/// Draws statements of the kind that the services use.
struct Generator {
  var random: Random

  private static let kinds: [(sql: String, parameters: String)] = [
    // Letters: u user, e email, s session, t time, n small number, g group, c conversation, k
    // client id, b boolean, m message, d shard, a advisory key, l limit, w status.
    ("INSERT INTO users (user_id, user_email, username, created_at) VALUES ($1, $2, $3, $4)", "ueet"),
    ("DELETE FROM users WHERE user_id = $1", "u"),
    ("SELECT 1 FROM users WHERE user_email = $1", "e"),
    ("UPDATE users SET last_login = $2 WHERE user_id = $1", "ut"),
    ("UPDATE users SET username = $2 WHERE user_id = $1", "ue"),
    ("UPDATE users SET user_email = $2 WHERE user_id = $1 AND username = $3", "uee"),
    ("SELECT user_id FROM users WHERE user_id = $1 FOR UPDATE", "u"),
    ("SELECT user_id, session_count FROM users WHERE session_count >= $1 ORDER BY user_id FOR UPDATE", "n"),
    ("SELECT 1 FROM users WHERE user_id = $1 AND session_count < $2", "un"),
    (
      "INSERT INTO user_sessions (session_id, user_id, created_at, last_used) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
      "sutn"
    ),
    ("INSERT INTO user_sessions (session_id, user_id, created_at) VALUES ($1, $2, $3)", "sut"),
    (
      "SELECT session_id, created_at FROM user_sessions WHERE user_id = $1 AND coalesce(last_used, $2) >= $2 ORDER BY rowid",
      "un"
    ),
    ("DELETE FROM user_sessions WHERE session_id = $1 AND user_id = $2", "su"),
    ("DELETE FROM user_sessions WHERE last_used < $1", "n"),
    ("UPDATE user_sessions SET last_used = $2 WHERE session_id = $1", "sn"),
    (
      """
      SELECT u.user_id, u.username, s.last_used FROM user_sessions s JOIN users u ON u.user_id = s.user_id
      WHERE s.session_id = $1 AND coalesce(s.last_used, $2) >= $2
      """, "sn"
    ),
    ("DELETE FROM used_refresh_tokens WHERE expires_at < $1", "n"),
    ("INSERT INTO used_refresh_tokens (token_id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", "sn"),
    ("INSERT INTO used_refresh_tokens (token_id, expires_at) VALUES ($1, $2)", "sn"),
    ("LOCK TABLE session_events IN EXCLUSIVE MODE", ""),
    ("LOCK TABLE session_events IN SHARE ROW EXCLUSIVE MODE", ""),
    (
      "INSERT INTO session_events (event_id, kind, user_id) SELECT coalesce(max(event_id), 0) + 1, $1, $2 FROM session_events",
      "wu"
    ),
    ("SELECT max(event_id) FROM session_events", ""),
    ("INSERT INTO chat_groups (name) VALUES ($1) RETURNING group_id", "e"),
    ("SELECT count(*), max(name) FROM chat_groups", ""),
    (
      """
      INSERT INTO memberships (group_id, user_number, is_admin, first_seq) VALUES ($1, $2, $3, $4)
      ON CONFLICT (group_id, user_number) WHERE last_seq IS NULL DO NOTHING
      """, "gnbn"
    ),
    ("INSERT INTO memberships (group_id, user_number, is_admin, first_seq) VALUES ($1, $2, $3, $4)", "gnbn"),
    ("UPDATE memberships SET last_seq = $3 WHERE group_id = $1 AND user_number = $2 AND last_seq IS NULL", "gnn"),
    ("UPDATE memberships SET last_seq = NULL WHERE group_id = $1 AND user_number = $2", "gn"),
    (
      """
      UPDATE memberships SET is_admin = true WHERE position =
        (SELECT min(position) FROM memberships WHERE group_id = $1 AND last_seq IS NULL)
      AND NOT EXISTS (SELECT 1 FROM memberships WHERE group_id = $1 AND last_seq IS NULL AND is_admin)
      """, "g"
    ),
    ("SELECT user_number FROM memberships WHERE group_id = $1 AND last_seq IS NULL ORDER BY position", "g"),
    ("SELECT is_admin FROM memberships WHERE group_id = $1 AND user_number = $2 AND last_seq IS NULL FOR UPDATE", "gn"),
    (
      """
      INSERT INTO contacts (low, high, status, asker) VALUES ($1, $2, $3, $1)
      ON CONFLICT (low, high) DO UPDATE SET status = excluded.status, asker = excluded.asker
      """, "nnw"
    ),
    (
      """
      INSERT INTO contacts (low, high, status, asker) VALUES ($1, $2, $3, $1)
      ON CONFLICT (low, high) DO UPDATE SET status = excluded.status WHERE contacts.status <> 'blocked' RETURNING status
      """, "nnw"
    ),
    ("UPDATE contacts SET status = $3 WHERE low = $1 AND high = $2 AND status <> $3", "nnw"),
    ("DELETE FROM contacts WHERE low = $1 OR high = $1", "n"),
    (
      "SELECT high FROM contacts WHERE low = $1 AND status = 'friend' UNION ALL SELECT low FROM contacts WHERE high = $1 ORDER BY 1",
      "n"
    ),
    ("SELECT status FROM contacts WHERE low = $1 AND high = $2 FOR UPDATE", "nn"),
    ("SELECT status FROM contacts WHERE low = $1 AND high = $2 FOR SHARE", "nn"),
    ("SELECT low, high FROM contacts WHERE status = $1 ORDER BY low, high FOR NO KEY UPDATE", "w"),
    ("SELECT low, high FROM contacts WHERE status = $1 ORDER BY low, high LIMIT 1 FOR UPDATE SKIP LOCKED", "w"),
    ("SELECT status FROM contacts WHERE low = $1 FOR UPDATE NOWAIT", "n"),
    (
      """
      INSERT INTO connections (user_number, last_connection) VALUES ($1, 1)
      ON CONFLICT (user_number) DO UPDATE SET last_connection = connections.last_connection + 1 RETURNING last_connection
      """, "n"
    ),
    ("DELETE FROM connections WHERE user_number = $1 RETURNING last_connection", "n"),
    (
      "INSERT INTO messages (message_id, conversation, seq, sender, content, client_id) VALUES ($1, $2, $3, $4, $5, $6)",
      "mcnnek"
    ),
    (
      """
      INSERT INTO messages (message_id, conversation, seq, sender, content, client_id)
      SELECT coalesce(max(message_id), 0) + 1, $1, $2, $3, $4, $5 FROM messages ON CONFLICT DO NOTHING RETURNING message_id
      """, "cnnek"
    ),
    ("SELECT message_id, seq, content FROM messages WHERE sender = $1 AND client_id = $2", "nk"),
    ("SELECT seq FROM messages WHERE conversation = $1 AND seq >= 1 ORDER BY seq DESC LIMIT $2", "cl"),
    ("UPDATE messages SET client_id = NULL WHERE sender = $1 AND client_id = $2", "nk"),
    ("UPDATE messages SET seq = seq + $2 WHERE conversation = $1 AND seq = $3", "cnn"),
    ("UPDATE positions SET last = last + 1 WHERE shard = $1 RETURNING last", "d"),
    ("SELECT last FROM positions WHERE shard = $1 FOR UPDATE", "d"),
    ("UPDATE positions SET last = last + 1 WHERE last < $1", "n"),
    ("SELECT shard, last FROM positions ORDER BY shard", ""),
    ("SELECT pg_advisory_xact_lock($1)", "a"),
    ("SELECT pg_try_advisory_xact_lock($1)", "a"),
    ("LISTEN wake", ""),
    ("NOTIFY wake, 'one'", ""),
    ("SELECT pg_notify('wake', $1)", "e"),
    ("NOTIFY wake, 'two'", ""),
    ("LISTEN other", ""),
    ("NOTIFY other", ""),
    ("UNLISTEN wake", ""),
  ]

  private mutating func value(_ kind: Character) -> String? {
    switch kind {
    case "u": random.pick(["ann", "bob", "cid"])
    case "e": random.pick(["x", "y", "zoë"])
    case "s": random.pick(["s1", "s2", "s3"])
    case "t": random.pick(["2026-01-01 10:00:00", "2026-02-03T04:05:06.700Z"])
    case "g": random.pick(["1", "2"])
    case "c": random.pick(["c1", "c2"])
    case "k": random.pick([nil, "k1", "k2"])
    case "b": random.pick(["true", "false"])
    case "m", "n": random.pick(["1", "2", "3"])
    case "d": random.pick(["0", "1"])
    case "a": random.pick(["7", "8"])
    case "l": random.pick(["1", "2", nil, "-1"])
    default: random.pick(["friend", "asked", "blocked"])
    }
  }

  /// The kinds of this schedule: few, so that its sessions meet.
  private var chosen: [Int] = []

  init(seed: UInt64) {
    random = Random(seed)
    for _ in 0..<10 { _ = random.next(2) }
    let count = 2 + random.next(6)
    let start = random.next(Self.kinds.count)
    for index in 0..<count {
      chosen.append(random.next(3) == 0 ? random.next(Self.kinds.count) : (start + index) % Self.kinds.count)
    }
  }

  /// The steps of one session's transactions.
  private mutating func program(_ session: Int, isolation: String) -> [Step] {
    var steps: [Step] = []
    for _ in 0..<(1 + random.next(3)) {
      let isBlock = random.next(5) > 0
      if isBlock { steps.append(Step(session: session, sql: "BEGIN" + isolation, parameters: [])) }
      for _ in 0..<(isBlock ? 1 + random.next(4) : 1) {
        if isBlock, random.next(8) == 0 {
          steps.append(Step(session: session, sql: random.pick(["SAVEPOINT a", "ROLLBACK TO a"]), parameters: []))
        }
        let kind = Self.kinds[random.pick(chosen)]
        steps.append(Step(session: session, sql: kind.sql, parameters: kind.parameters.map { value($0) }))
      }
      if isBlock {
        steps.append(Step(session: session, sql: random.next(4) == 0 ? "ROLLBACK" : "COMMIT", parameters: []))
      }
    }
    return steps
  }

  /// Draws the programs of the sessions, interleaved, after some rows.
  mutating func schedule(isolation: String) -> [Step] {
    var steps: [Step] = []
    for _ in 0..<(3 + random.next(8)) {
      let kind = Self.kinds[random.pick(chosen)]
      guard kind.sql.hasPrefix("INSERT") else { continue }
      steps.append(Step(session: 0, sql: kind.sql, parameters: kind.parameters.map { value($0) }))
    }
    if random.next(2) == 0 {
      let user = Self.kinds[0]
      steps.append(Step(session: 0, sql: user.sql, parameters: user.parameters.map { value($0) }))
    }
    var programs = (0..<(2 + random.next(2))).map { program($0, isolation: isolation)[...] }
    while programs.contains(where: { !$0.isEmpty }) {
      let session = random.next(programs.count)
      if let step = programs[session].popFirst() { steps.append(step) }
    }
    return steps
  }
}
