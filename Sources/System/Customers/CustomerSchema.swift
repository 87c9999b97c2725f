import Environment

/// The database of the Customer Server: requests, sessions, their transcripts, and what customers said that is not in them yet.
enum CustomerSchema {
  static let migrations = Migrations(
    """
    CREATE TABLE customer_sessions (
      email_key VARCHAR(255) PRIMARY KEY,
      email VARCHAR(255) NOT NULL,
      status VARCHAR(16) NOT NULL,
      token VARCHAR(64) NOT NULL,
      data TEXT NOT NULL,
      requested_at BIGINT NOT NULL,
      supervisor VARCHAR(64) NOT NULL,
      last_sent BIGINT NOT NULL,
      request VARCHAR(255) NOT NULL DEFAULT ''
    );
    CREATE INDEX customer_sessions_by_supervisor ON customer_sessions (supervisor);
    CREATE TABLE session_messages (
      supervisor VARCHAR(64) NOT NULL,
      seq BIGINT NOT NULL,
      sender TEXT NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (supervisor, seq)
    );
    CREATE TABLE unheard (
      supervisor VARCHAR(64) NOT NULL,
      number BIGINT NOT NULL,
      message_id VARCHAR(255) NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (supervisor, number)
    );
    """,
    from: [
      "ALTER TABLE customer_sessions ADD COLUMN request VARCHAR(255) NOT NULL DEFAULT '';",
      // Emails were compared in lower case.
      Migrations.Step { connection throws(DatabaseError) in try connection.foldEmailKeys() },
    ])
}

/// How a customer's session stands.
enum CustomerStatus: String, Sendable {
  case pending = "PENDING"
  /// A supervisor was asked for.
  case initializing = "INITIALIZING"
  case running = "RUNNING"
}

/// A customer's session, or the request for one.
struct CustomerSession: Sendable {
  let email: String
  let status: CustomerStatus
  let token: String
  let data: JSONValue
  let requestedAt: Timestamp
  let supervisor: SupervisorID?
}

extension SQLConnection {
  /// Gives each session the folded key of its email. Of two that have one key now, a running one gets it; the other keeps its
  /// key, under which nobody finds it, and ends like a session whose customer is gone.
  fileprivate func foldEmailKeys() throws(DatabaseError) {
    let rows = try query("SELECT email_key, email FROM customer_sessions ORDER BY status DESC, requested_at, email_key")
    {
      (key: $0.text(0), email: $0.text(1))
    }
    for row in rows {
      guard let key = CustomerEmail(row.email)?.key else { continue }
      try execute(
        "UPDATE OR IGNORE customer_sessions SET email_key = $1 WHERE email_key = $2", .text(key), .text(row.key))
    }
  }

  /// A request that nobody initializes lapses.
  static let lapse: Duration = .seconds(600)

  func customerSession(_ key: String, at now: Timestamp) throws(DatabaseError) -> CustomerSession? {
    let found = try first(
      "SELECT email, status, token, data, requested_at, supervisor FROM customer_sessions WHERE email_key = $1",
      .text(key)
    ) { row -> CustomerSession? in
      // A row of no known status counts as no session: a new request takes its place.
      guard let status = CustomerStatus(rawValue: row.text(1)) else { return nil }
      return CustomerSession(
        email: row.text(0), status: status, token: row.text(2), data: row.json(3),
        requestedAt: Timestamp(microseconds: row.int(4)), supervisor: SupervisorID(row.text(5)))
    }
    guard let found = found ?? nil else { return nil }
    if found.status == .pending, found.requestedAt <= now + (.zero - Self.lapse) { return nil }
    return found
  }

  /// Notes a request; returns the session that there is already, pending or running.
  func requestSession(
    _ email: String, key: String, token: String, data: JSONValue, at now: Timestamp
  ) throws(DatabaseError) -> CustomerSession? {
    if let known = try customerSession(key, at: now) { return known }
    try noteRequest(email, key: key, token: token, data: data, at: now)
    return nil
  }

  func noteRequest(
    _ email: String, key: String, token: String, data: JSONValue, at now: Timestamp
  ) throws(DatabaseError) {
    try execute(
      """
      INSERT INTO customer_sessions (email_key, email, status, token, data, requested_at, supervisor, last_sent)
      VALUES ($1, $2, 'PENDING', $3, $4, $5, '', 0)
      ON CONFLICT (email_key) DO UPDATE SET email = $2, status = 'PENDING', token = $3, data = $4, requested_at = $5,
        supervisor = '', last_sent = 0
      """, .text(key), .text(email), .text(token), .text(data.text), .int(now.microseconds))
  }

  /// The session is pending again, unless a supervisor has come or a later request is under way.
  func givesUp(_ key: String, request: String) throws(DatabaseError) -> Bool {
    try execute(
      """
      UPDATE customer_sessions SET status = 'PENDING'
      WHERE email_key = $1 AND status = 'INITIALIZING' AND request = $2
      """, .text(key), .text(request)) == 1
  }

  /// A supervisor is asked for by a message of this id.
  func initializes(_ key: String, request: String) throws(DatabaseError) {
    try execute(
      "UPDATE customer_sessions SET status = 'INITIALIZING', request = $2 WHERE email_key = $1", .text(key),
      .text(request))
  }

  /// A supervisor runs the session that this request was for. Returns what the customer said that is not in the transcript, to be said
  /// again; nil when that is not news, or comes too late: the session of a request that was given up has ended.
  func sessionRuns(_ key: String, _ supervisor: SupervisorID, request: String) throws(DatabaseError) -> [(
    id: String, previous: String?, message: JSONValue
  )]? {
    let changed = try execute(
      """
      UPDATE customer_sessions SET status = 'RUNNING', supervisor = $2
      WHERE email_key = $1
        AND (status = 'INITIALIZING' AND request = $3 OR status = 'RUNNING' AND supervisor = $2)
      """, .text(key), .text(supervisor.text), .text(request))
    guard changed == 1 else { return nil }
    let unheard = try query(
      "SELECT number, message_id, message FROM unheard WHERE supervisor = $1 ORDER BY number", .text(supervisor.text)
    ) { ($0.int(0), $0.text(1), $0.json(2)) }
    return unheard.map { number, id, message in (id, Self.previous(number, supervisor), message) }
  }

  private static func previous(_ number: Int64, _ supervisor: SupervisorID) -> String? {
    number > 1 ? "customer/\(supervisor.text)/\(number - 1)" : nil
  }

  /// Whether a session holds as many messages as it may that are not in its transcript.
  func hasTooMuchUnheard(_ supervisor: SupervisorID) throws(DatabaseError) -> Bool {
    try first(
      "SELECT count(*), coalesce(sum(length(CAST(message AS BLOB))), 0) FROM unheard WHERE supervisor = $1",
      .text(supervisor.text)
    ) { $0.int(0) >= Self.maximumUnheard || $0.int(1) >= Self.maximumUnheardBytes } ?? false
  }

  /// Messages of a customer that wait for a supervisor.
  private static let maximumUnheard: Int64 = 1000
  /// Their bytes. A supervisor that takes over is sent all of them at once.
  private static let maximumUnheardBytes: Int64 = 4 << 20

  /// Keeps what a customer says until it is in the transcript; nil when the session has ended meanwhile.
  func customerSays(_ message: JSONValue, _ key: String, _ supervisor: SupervisorID) throws(DatabaseError) -> (
    id: String, previous: String?
  )? {
    let number = try first(
      """
      UPDATE customer_sessions SET last_sent = last_sent + 1
      WHERE email_key = $1 AND supervisor = $2 AND status = 'RUNNING' RETURNING last_sent
      """, .text(key), .text(supervisor.text)
    ) { $0.int(0) }
    guard let number else { return nil }
    let id = "customer/\(supervisor.text)/\(number)"
    try execute(
      "INSERT INTO unheard (supervisor, number, message_id, message) VALUES ($1, $2, $3, $4)", .text(supervisor.text),
      .int(number), .text(id), .text(message.text))
    return (id, Self.previous(number, supervisor))
  }

  /// A message of the transcript; the same SEQ is the same message.
  func sessionHears(
    _ supervisor: SupervisorID, _ sequence: Int64, from: JSONValue, _ message: JSONValue, id: String?
  ) throws(DatabaseError) {
    try execute(
      "INSERT INTO session_messages (supervisor, seq, sender, message) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
      .text(supervisor.text), .int(sequence), .text(from.text), .text(message.text))
    if let id {
      try execute(
        "DELETE FROM unheard WHERE supervisor = $1 AND message_id = $2", .text(supervisor.text), .text(id))
    }
  }

  func sessionEnds(_ supervisor: SupervisorID) throws(DatabaseError) {
    try execute("DELETE FROM customer_sessions WHERE supervisor = $1", .text(supervisor.text))
    try execute("DELETE FROM unheard WHERE supervisor = $1", .text(supervisor.text))
  }

  /// The messages of a transcript after a place, in order: at most `limit` of them, and no more than
  /// `maximumPage` bytes unless the first alone has more.
  func transcript(_ supervisor: SupervisorID, after: Int64, limit: Int) throws(DatabaseError) -> [JSONValue] {
    var page: [JSONValue] = []
    var bytes = 0
    var last = after
    while page.count < limit {
      // A few at a time: what the page has no room for is hardly read.
      let rows = try query(
        "SELECT seq, sender, message FROM session_messages WHERE supervisor = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        .text(supervisor.text), .int(last), .int(Int64(min(8, limit - page.count)))
      ) { row in
        (
          sequence: row.int(0), bytes: row.text(1).utf8.count + row.text(2).utf8.count,
          message: ["SEQ": .int(row.int(0)), "FROM": row.json(1), "MESSAGE": row.json(2)] as JSONValue
        )
      }
      guard let end = rows.last?.sequence else { break }
      for row in rows {
        bytes += row.bytes
        guard page.isEmpty || bytes <= Self.maximumPage else { return page }
        page.append(row.message)
      }
      last = end
    }
    return page
  }

  /// Bytes of the messages in one answer to `GET_MESSAGES`.
  private static let maximumPage = 512 << 10
}
