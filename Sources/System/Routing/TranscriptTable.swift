/// The transcripts of sessions, and how far each user has got them.
struct TranscriptTable {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// The position of the last message.
  func lastPosition(in session: SupervisorID) async throws(DatabaseError) -> TranscriptPosition {
    try await connection.first(
      "SELECT max(seq) FROM transcripts WHERE supervisor = $1 AND seq < $2", .text(session.text),
      .int(ClientBounds.counter)
    ) { TranscriptPosition($0.int(0)) } ?? .start
  }

  func position(of message: SessionMessageID, in session: SupervisorID) async throws(DatabaseError)
    -> TranscriptPosition?
  {
    try await connection.first(
      "SELECT seq FROM transcripts WHERE supervisor = $1 AND message_id = $2", .text(session.text),
      .text(message.text)
    ) { TranscriptPosition($0.int(0)) }
  }

  func add(_ message: SessionMessage, at position: TranscriptPosition, in session: SupervisorID)
    async throws(DatabaseError)
  {
    try await connection.write(
      "INSERT INTO transcripts (supervisor, seq, message_id, sender, message) VALUES ($1, $2, $3, $4, $5)",
      .text(session.text), .int(position.value), .text(message.id.text), .text(message.sender.key),
      .text(message.text.text))
  }

  /// The messages in a range that others than `user` sent, as supervisors relay them. Empty for the
  /// session of a foreign supervisor, which itself decides who gets what.
  func messages(
    in session: SupervisorID, _ positions: Range<TranscriptPosition>, notFrom user: UserID
  ) async throws(DatabaseError) -> [JSONValue] {
    try await connection.query(
      """
      SELECT t.seq, t.sender, t.message FROM transcripts t JOIN sessions s ON s.supervisor = t.supervisor
      WHERE t.supervisor = $1 AND s.is_own AND t.seq >= $2 AND t.seq < $3 AND t.sender <> $4 ORDER BY t.seq
      """, .text(session.text), .int(positions.lowerBound.value), .int(positions.upperBound.value), .text(user.key)
    ) { ["SEQ": .int($0.int(0)), "FROM": $0.json(1), "MESSAGE": $0.json(2)] }
  }

  /// The most bytes of messages in a part, but for a single message.
  private static let partBytes: Int64 = 1_048_576
  /// The most messages in a part.
  private static let partMessages: Int64 = 200

  /// The messages after a position, as many as fit into a part, in order.
  func part(of session: SupervisorID, after position: TranscriptPosition) async throws(DatabaseError) -> [JSONValue] {
    let sizes = try await connection.query(
      """
      SELECT seq, length(message) FROM transcripts WHERE supervisor = $1 AND seq > $2 ORDER BY seq LIMIT $3
      """, .text(session.text), .int(position.value), .int(Self.partMessages)
    ) { (position: $0.int(0), size: $0.int(1)) }
    var last = position.value
    var bytes: Int64 = 0
    for (index, message) in sizes.enumerated() {
      bytes += message.size
      if index > 0, bytes > Self.partBytes { break }
      last = message.position
    }
    return try await connection.query(
      "SELECT seq, sender, message FROM transcripts WHERE supervisor = $1 AND seq > $2 AND seq <= $3 ORDER BY seq",
      .text(session.text), .int(position.value), .int(last)
    ) { ["SEQ": .int($0.int(0)), "FROM": $0.json(1), "MESSAGE": $0.json(2)] }
  }

  // MARK: Users

  /// The position up to which a user has received the transcript.
  func relayedPosition(to user: UserID, in session: SupervisorID) async throws(DatabaseError) -> TranscriptPosition {
    try await connection.first(
      "SELECT last_seq FROM relayed WHERE supervisor = $1 AND user_key = $2", .text(session.text), .text(user.key)
    ) { TranscriptPosition($0.int(0)) } ?? .start
  }

  func setRelayedPosition(
    _ position: TranscriptPosition, to user: UserID, in session: SupervisorID
  ) async throws(DatabaseError) {
    try await connection.write(
      """
      INSERT INTO relayed (supervisor, user_key, last_seq) VALUES ($1, $2, $3)
      ON CONFLICT (supervisor, user_key) DO UPDATE SET last_seq = $3
      """, .text(session.text), .text(user.key), .int(position.value))
  }
}
