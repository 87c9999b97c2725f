/// `messages`: all messages that were ever sent, but for those that were removed for their age.
struct MessagesTable {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// The sequence number of the last message of a conversation; 0 when it has none.
  func lastSequence(of conversation: ConversationID) async throws(DatabaseError) -> SequenceNumber {
    try await lastSequence(conversation.key)
  }

  func lastSequence(_ key: String) async throws(DatabaseError) -> SequenceNumber {
    let last = try await connection.first(
      "SELECT seq FROM messages WHERE conversation = $1 AND seq >= 1 AND seq < $2 ORDER BY seq DESC LIMIT 1",
      .text(key), .int(ClientBounds.counter)
    ) { SequenceNumber($0.int(0)) }
    if let last { return last }
    return try await RemovedMessagesTable(connection).lastSequence(key)
  }

  func insert(_ message: ChatMessage, in key: String, clientID: String?) async throws(DatabaseError) {
    connection.wakeOthers()
    try await connection.execute(
      """
      INSERT INTO messages (message_id, conversation, seq, sender, content, kind, created_at, client_id)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
      """, .int(message.id.value), .text(key), .int(message.sequence.value), .int(message.sender.value),
      .text(message.content), .text(message.kind.rawValue), .text(message.timestamp),
      clientID.map { .text($0) } ?? .null)
  }

  /// The message that a sender sent under a `client_id`, and the key of its conversation.
  ///
  /// A damaged row gives up its `client_id`, so that the message can be sent again.
  func message(
    from sender: UserNumber, clientID: String
  ) async throws(DatabaseError) -> (message: ChatMessage, conversation: String)? {
    let found = try await connection.first(
      """
      SELECT message_id, seq, sender, content, kind, created_at, conversation FROM messages
      WHERE sender = $1 AND client_id = $2
      """, .int(sender.value), .text(clientID)
    ) { (message($0), $0.text(6)) }
    guard let (message, conversation) = found else { return nil }
    if let message { return (message, conversation) }
    try await connection.execute(
      "UPDATE messages SET client_id = NULL WHERE sender = $1 AND client_id = $2", .int(sender.value), .text(clientID))
    return nil
  }

  /// The messages with an id in `(position, last]`, in the order of their ids, each with its
  /// conversation and the present name of its sender.
  func stored(
    after position: Position, through last: Position
  ) async throws(DatabaseError) -> [(message: ChatMessage, conversation: ConversationID, senderName: String)] {
    try await connection.query(
      """
      SELECT message_id, seq, sender, content, kind, created_at, conversation, username
      FROM messages JOIN chat_users ON user_number = sender
      WHERE message_id > $1 AND message_id <= $2 ORDER BY message_id
      """, .int(position.value), .int(last.value)
    ) { row -> (message: ChatMessage, conversation: ConversationID, senderName: String)? in
      guard let message = message(row) else { return nil }
      guard let conversation = ConversationID(key: row.text(6)) else {
        connection.setAside("messages", "\(message.id.value)")
        return nil
      }
      return (message, conversation, row.text(7))
    }.compactMap { $0 }
  }

  /// A page of the messages that a user may read, oldest first. In a group these are the messages
  /// that were stored while the user was a member.
  func history(
    of conversation: ConversationID, for reader: UserNumber, _ page: MessagePage
  ) async throws(DatabaseError) -> [ChatMessage] {
    let order = page.after == nil ? "DESC" : "ASC"
    let query = "SELECT message_id, seq, sender, content, kind, created_at FROM messages"
    let start = SQLValue.int(max(0, page.after ?? 0))
    let end = SQLValue.int(min(page.before ?? .max, ClientBounds.counter))
    let key = SQLValue.text(conversation.key)
    let found: [ChatMessage]
    switch conversation {
    case .direct:
      found = try await connection.query(
        SQLText("\(query) WHERE conversation = $1 AND seq > $2 AND seq < $3 ORDER BY seq \(order) LIMIT $4"), key,
        start, end, .int(page.limit)
      ) { message($0) }.compactMap { $0 }
    case .group(let group):
      found = try await connection.query(
        SQLText(
          """
          \(query) WHERE conversation = $1 AND seq > $2 AND seq < $3 AND EXISTS
            (SELECT 1 FROM memberships m WHERE m.group_id = $6 AND m.user_number = $5
              AND seq >= m.first_seq AND (m.last_seq IS NULL OR seq <= m.last_seq))
          ORDER BY seq \(order) LIMIT $4
          """), key, start, end, .int(page.limit), .int(reader.value), .int(group.value)
      ) { message($0) }.compactMap { $0 }
    }
    return page.after == nil ? found.reversed() : found
  }

  /// Reads `message_id, seq, sender, content, kind, created_at`; nil for a damaged row.
  private func message(_ row: SQLRow) -> ChatMessage? {
    let (id, sequence, sender) = (row.int(0), row.int(1), row.int(2))
    let numbers = 1..<ClientBounds.counter
    guard numbers.contains(id), numbers.contains(sequence), numbers.contains(sender),
      let kind = MessageKind(rawValue: row.text(4))
    else {
      connection.setAside("messages", "\(id)")
      return nil
    }
    return ChatMessage(
      id: MessageID(Position(id)), sequence: SequenceNumber(sequence), sender: UserNumber(sender), content: row.text(3),
      kind: kind, timestamp: row.text(5))
  }
}
