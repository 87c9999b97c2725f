import Environment

/// The tables of the Customer Server, for the time of one transaction.
struct CustomerTables {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  // MARK: Sessions

  /// A request that nobody initializes is void after this time.
  private static let requestLifetime: Duration = .seconds(600)

  /// The session of a customer, pending or running.
  func session(of email: CustomerEmail, at now: Timestamp) async throws(DatabaseError) -> CustomerSession? {
    let found = try await connection.first(
      "SELECT email, status, token, data, requested_at, supervisor, request FROM customer_sessions WHERE email_key = $1",
      .text(email.key)
    ) { row -> CustomerSession? in
      // A row that cannot be read counts as no session. A new request takes its place.
      guard let status = CustomerSession.Status(rawValue: row.text(1)), let email = CustomerEmail(row.text(0)) else {
        return nil
      }
      return CustomerSession(
        email: email, status: status, token: SessionToken(row.text(2)), data: row.json(3),
        requestedAt: Timestamp(microseconds: row.int(4)), supervisor: SupervisorID(row.text(5)),
        request: RequestID(row.text(6)))
    }
    guard let found = found ?? nil else { return nil }
    let isVoid = found.status == .pending && found.requestedAt <= now + (.zero - Self.requestLifetime)
    return isVoid ? nil : found
  }

  /// Stores a request, unless the customer has a session. Returns that session.
  func request(
    _ email: CustomerEmail, token: SessionToken, data: JSONValue, at now: Timestamp
  ) async throws(DatabaseError) -> CustomerSession? {
    if let known = try await session(of: email, at: now) { return known }
    try await put(email, token: token, data: data, at: now)
    return nil
  }

  /// Stores a request in place of any session.
  func put(_ email: CustomerEmail, token: SessionToken, data: JSONValue, at now: Timestamp) async throws(DatabaseError)
  {
    try await connection.write(
      """
      INSERT INTO customer_sessions (email_key, email, status, token, data, requested_at, supervisor, last_sent)
      VALUES ($1, $2, 'PENDING', $3, $4, $5, '', 0)
      ON CONFLICT (email_key) DO UPDATE SET email = $2, status = 'PENDING', token = $3, data = $4, requested_at = $5,
        supervisor = '', last_sent = 0
      """, .text(email.key), .text(email.text), .text(token.text), .text(data.text), .int(now.microseconds))
  }

  /// Notes that a supervisor was asked for.
  func initialize(_ email: CustomerEmail, _ request: RequestID) async throws(DatabaseError) {
    try await connection.execute(
      "UPDATE customer_sessions SET status = 'INITIALIZING', request = $2 WHERE email_key = $1", .text(email.key),
      .text(request.text))
  }

  /// Makes a session pending again. Returns false if a supervisor took it, or a later request is
  /// under way.
  func giveUp(_ email: CustomerEmail, _ request: RequestID) async throws(DatabaseError) -> Bool {
    try await connection.execute(
      """
      UPDATE customer_sessions SET status = 'PENDING'
      WHERE email_key = $1 AND status = 'INITIALIZING' AND request = $2
      """, .text(email.key), .text(request.text)) == 1
  }

  /// Makes every session that was being initialized pending again.
  func giveUpAll() async throws(DatabaseError) {
    try await connection.execute("UPDATE customer_sessions SET status = 'PENDING' WHERE status = 'INITIALIZING'")
  }

  /// Notes that a supervisor runs the session that a request asked for. A later supervisor of a
  /// running session names no request.
  ///
  /// Returns the customer's messages to send to the supervisor, or nil if the news comes too late:
  /// the session of a request that was given up has ended.
  func run(
    _ email: CustomerEmail, _ session: SupervisorID, _ request: RequestID?
  ) async throws(DatabaseError) -> [UnheardMessage]? {
    let changed = try await connection.execute(
      """
      UPDATE customer_sessions SET status = 'RUNNING', supervisor = $2
      WHERE email_key = $1
        AND (status = 'INITIALIZING' AND request = $3 OR status = 'RUNNING' AND supervisor = $2)
      """, .text(email.key), .text(session.text), .text(request?.text ?? ""))
    guard changed == 1 else { return nil }
    return try await connection.query(
      "SELECT number, message FROM unheard WHERE supervisor = $1 ORDER BY number", .text(session.text)
    ) { UnheardMessage(number: $0.int(0), in: session, $0.json(1)) }
  }

  func end(_ session: SupervisorID) async throws(DatabaseError) {
    try await connection.write("DELETE FROM customer_sessions WHERE supervisor = $1", .text(session.text))
    try await connection.write("DELETE FROM unheard WHERE supervisor = $1", .text(session.text))
  }

  // MARK: Erasure

  /// A customer's request or session: 1 or 0, and the messages of its transcript.
  func survey(_ email: CustomerEmail) async throws(DatabaseError) -> (requests: Int64, messages: Int64) {
    try await connection.first(
      """
      SELECT count(*), (SELECT count(*) FROM session_messages WHERE supervisor IN (
        SELECT supervisor FROM customer_sessions WHERE email_key = $1)) FROM customer_sessions WHERE email_key = $1
      """, .text(email.key)
    ) { ($0.int(0), $0.int(1)) } ?? (0, 0)
  }

  /// Deletes a customer's request or session; the transcript stays.
  func erase(_ email: CustomerEmail) async throws(DatabaseError) {
    try await connection.execute(
      """
      DELETE FROM unheard WHERE supervisor IN (
        SELECT supervisor FROM customer_sessions WHERE email_key = $1 AND supervisor <> '')
      """, .text(email.key))
    try await connection.execute("DELETE FROM customer_sessions WHERE email_key = $1", .text(email.key))
  }

  /// Deletes up to `limit` messages of a transcript, from its end, so that what is left has no gap.
  /// Returns whether nothing is left.
  func eraseTranscript(of session: SupervisorID, limit: Int) async throws(DatabaseError) -> Bool {
    let count = try await connection.execute(
      """
      DELETE FROM session_messages WHERE supervisor = $1 AND seq IN (
        SELECT seq FROM session_messages WHERE supervisor = $1 ORDER BY seq DESC LIMIT $2)
      """, .text(session.text), .int(Int64(limit)))
    return count < limit
  }

  // MARK: The customer's messages

  /// Messages of a customer that may wait for a supervisor.
  private static let maximumUnheard: Int64 = 1000
  /// Their bytes. The next supervisor gets all of them at once.
  private static let maximumUnheardBytes: Int64 = 4 << 20

  /// Whether a session may have no more messages outside its transcript.
  func isFull(_ session: SupervisorID) async throws(DatabaseError) -> Bool {
    try await connection.first(
      SQLText(
        sqlite: "SELECT count(*), coalesce(sum(length(CAST(message AS BLOB))), 0) FROM unheard WHERE supervisor = $1",
        postgreSQL: "SELECT count(*), coalesce(sum(octet_length(message)), 0) FROM unheard WHERE supervisor = $1"),
      .text(session.text)
    ) { $0.int(0) >= Self.maximumUnheard || $0.int(1) >= Self.maximumUnheardBytes } ?? false
  }

  /// Keeps a customer's message until it is in the transcript. Returns nil if the session has
  /// ended.
  func add(_ text: JSONValue, from email: CustomerEmail, to session: SupervisorID) async throws(DatabaseError)
    -> UnheardMessage?
  {
    let number = try await connection.first(
      """
      UPDATE customer_sessions SET last_sent = last_sent + 1
      WHERE email_key = $1 AND supervisor = $2 AND status = 'RUNNING' RETURNING last_sent
      """, .text(email.key), .text(session.text)
    ) { $0.int(0) }
    guard let number else { return nil }
    let message = UnheardMessage(number: number, in: session, text)
    try await connection.write(
      "INSERT INTO unheard (supervisor, number, message_id, message) VALUES ($1, $2, $3, $4)", .text(session.text),
      .int(number), .text(message.id.text), .text(text.text))
    return message
  }

  // MARK: The transcript

  /// Stores a message of the transcript. The same SEQ is the same message.
  func add(_ entry: TranscriptEntry, to session: SupervisorID) async throws(DatabaseError) {
    try await connection.write(
      "INSERT INTO session_messages (supervisor, seq, sender, message) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
      .text(session.text), .int(entry.position.value), .text(entry.sender.key), .text(entry.text.text))
    if let id = entry.id {
      try await connection.write(
        "DELETE FROM unheard WHERE supervisor = $1 AND message_id = $2", .text(session.text), .text(id.text))
    }
  }

  /// The messages after a SEQ, in order: at most `limit`, and at most the bytes of a page, unless
  /// the first alone has more. Few rows are read at a time, so that few are read in vain.
  func transcript(
    of session: SupervisorID, after start: TranscriptPosition, limit: Int, _ limits: WorkLimits
  ) async throws(DatabaseError) -> [JSONValue] {
    var page: [JSONValue] = []
    var bytes = 0
    var last = start
    while page.count < limit {
      let rows = try await connection.query(
        "SELECT seq, sender, message FROM session_messages WHERE supervisor = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        .text(session.text), .int(last.value), .int(Int64(min(limits[.transcriptRows], limit - page.count)))
      ) { row in
        (
          position: TranscriptPosition(row.int(0)), bytes: row.text(1).utf8.count + row.text(2).utf8.count,
          message: ["SEQ": .int(row.int(0)), "FROM": row.json(1), "MESSAGE": row.json(2)] as JSONValue
        )
      }
      guard let end = rows.last?.position else { break }
      for row in rows {
        bytes += row.bytes
        guard page.isEmpty || bytes <= limits[.transcriptPage] else { return page }
        page.append(row.message)
      }
      last = end
    }
    return page
  }
}

/// A message of a transcript, as the manager tells the Customer Server.
struct TranscriptEntry: Sendable {
  let position: TranscriptPosition
  let sender: UserID
  let text: JSONValue
  /// Nil from a foreign manager.
  let id: SessionMessageID?
}
