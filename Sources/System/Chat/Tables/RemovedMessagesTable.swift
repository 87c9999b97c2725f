import Environment

/// `removed_messages`: how far the messages of each conversation were removed for their age or
/// number. The numbers of later messages go on from there.
///
/// `message_counts`: how many messages there are up to one of them, so that a pass counts new ones
/// only.
struct RemovedMessagesTable {
  /// Messages that one pass counts.
  static let maximumCounted: Int64 = 10_000

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// The number of the last message that was removed from a conversation; 0 without one.
  func lastSequence(_ conversation: String) async throws(DatabaseError) -> SequenceNumber {
    let last = try await connection.first(
      "SELECT last_seq FROM removed_messages WHERE conversation = $1", .text(conversation)
    ) { $0.int(0) }
    return SequenceNumber(min(max(last ?? 0, 0), ClientBounds.counter - 1))
  }

  /// The position of the last message that was removed; 0 without one. All before it are removed.
  func lastPosition() async throws(DatabaseError) -> Position {
    Position(try await connection.first("SELECT coalesce(max(last_message), 0) FROM removed_messages") { $0.int(0) }!)
  }

  /// What a pass has done.
  struct Pass: Hashable, Sendable {
    /// The messages that it removed.
    let count: Int
    /// Whether nothing is left to do.
    let isLast: Bool
  }

  /// Removes the oldest messages, those that were stored at `time` or before and those beyond the
  /// latest `number` that were stored at `newest` or before, among those with a position up to
  /// `position`, and of these the first `most`. A message stays if an older one stays.
  func remove(
    storedBefore time: Timestamp?, beyond number: Int?, ofThoseBefore newest: Timestamp, through position: Position,
    atMost most: Int
  ) async throws(DatabaseError) -> Pass {
    let counted = try await count(isNeeded: number != nil, through: position)
    let excess = number.map { max(0, counted.messages - Int64($0)) } ?? 0
    let rows = try await connection.query(
      """
      SELECT message_id, conversation, seq, created_at FROM messages WHERE message_id >= 1 AND message_id <= $1
      ORDER BY message_id LIMIT $2
      """, .int(position.value), .int(Int64(most))
    ) { (id: $0.int(0), conversation: $0.text(1), sequence: $0.int(2), time: $0.text(3)) }
    // The times are of one form, so their order is that of their bytes.
    func isStored(_ stored: String, before limit: String?) -> Bool {
      limit.map { !$0.utf8.lexicographicallyPrecedes(stored.utf8) } ?? false
    }
    let (limit, newest) = (time?.rfc3339, newest.rfc3339)
    let old = rows.enumerated().prefix {
      isStored($0.element.time, before: limit)
        || Int64($0.offset) < excess && isStored($0.element.time, before: newest)
    }.map { $0.element }
    guard let last = old.last?.id else { return Pass(count: 0, isLast: counted.isComplete) }
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
    let removed = Int64(old.count { $0.id <= counted.through })
    if removed > 0 {
      try await connection.execute("UPDATE message_counts SET messages = messages - $1", .int(removed))
    }
    return Pass(count: old.count, isLast: old.count < most && counted.isComplete)
  }

  // MARK: The number of messages

  private struct Count {
    var messages: Int64 = 0
    /// The last message that was counted.
    var through: Int64 = 0
    /// Whether all messages were counted.
    var isComplete = true
  }

  /// Counts messages that were not counted before, a bounded number of them. If the number is not
  /// needed, only reads how far they were counted.
  private func count(isNeeded: Bool, through position: Position) async throws(DatabaseError) -> Count {
    let known = try await connection.first("SELECT messages, counted_through FROM message_counts") {
      Count(messages: $0.int(0), through: $0.int(1))
    }
    var count = known ?? Count()
    guard isNeeded else { return count }
    let new = try await connection.query(
      "SELECT message_id FROM messages WHERE message_id > $1 AND message_id <= $2 ORDER BY message_id LIMIT $3",
      .int(count.through), .int(position.value), .int(Self.maximumCounted)
    ) { $0.int(0) }
    count.isComplete = new.count < Self.maximumCounted
    guard let last = new.last else { return count }
    count.messages += Int64(new.count)
    count.through = last
    try await connection.execute(
      """
      INSERT INTO message_counts ("only", messages, counted_through) VALUES (1, $1, $2)
      ON CONFLICT ("only") DO UPDATE SET messages = $1, counted_through = $2
      """, .int(count.messages), .int(count.through))
    return count
  }
}
