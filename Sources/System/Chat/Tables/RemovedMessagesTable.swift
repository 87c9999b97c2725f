import Environment

/// `removed_messages`: how far the messages of each conversation were removed for their age. The
/// numbers of later messages go on from there.
struct RemovedMessagesTable {
  /// Messages that one pass removes.
  static let maximumPass: Int64 = 500

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// The number of the last message that was removed from a conversation; 0 without one.
  func lastSequence(_ conversation: String) async throws(DatabaseError) -> SequenceNumber {
    let last = try await connection.first(
      "SELECT last_seq FROM removed_messages WHERE conversation = $1", .text(conversation)
    ) { $0.int(0) }
    return SequenceNumber(min(max(last ?? 0, 0), ClientBounds.counter - 1))
  }

  /// Removes the oldest messages, if they were stored at `time` or before and have a position up to
  /// `position`. Ends before the first that was not. Returns the number of those that it removed.
  func removeOldest(storedBefore time: Timestamp, through position: Position) async throws(DatabaseError) -> Int {
    let rows = try await connection.query(
      """
      SELECT message_id, conversation, seq, created_at FROM messages WHERE message_id >= 1 AND message_id <= $1
      ORDER BY message_id LIMIT $2
      """, .int(position.value), .int(Self.maximumPass)
    ) { (id: $0.int(0), conversation: $0.text(1), sequence: $0.int(2), time: $0.text(3)) }
    let limit = time.rfc3339
    // The times are of one form, so their order is that of their bytes.
    let old = rows.prefix { !limit.utf8.lexicographicallyPrecedes($0.time.utf8) }
    guard let last = old.last?.id else { return 0 }
    var conversations: [String: (sequence: Int64, id: Int64)] = [:]
    for row in old {
      let known = conversations[row.conversation]?.sequence ?? 0
      conversations[row.conversation] = (max(known, row.sequence), row.id)
    }
    for (conversation, end) in conversations.sorted(by: { $0.key < $1.key }) {
      try await connection.execute(
        """
        INSERT INTO removed_messages (conversation, last_seq, last_message) VALUES ($1, $2, $3)
        ON CONFLICT (conversation) DO UPDATE SET last_seq = $2, last_message = $3
        """, .text(conversation), .int(end.sequence), .int(end.id))
    }
    try await connection.execute("DELETE FROM messages WHERE message_id >= 1 AND message_id <= $1", .int(last))
    return old.count
  }
}
