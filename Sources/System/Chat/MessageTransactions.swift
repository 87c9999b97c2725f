/// Groups and messages: what is read, decided and written in one transaction.
extension SQLConnection {
  // MARK: Groups

  /// Makes a group; its creator is admin.
  func createGroup(_ name: String, by creator: UserNumber, members: [UserNumber]) throws -> GroupID {
    for member in members + [creator] { try requireMayAdd(member, by: creator) }
    try execute("INSERT INTO chat_groups (name) VALUES ($1)", .text(name))
    let id = try first("SELECT max(group_id) FROM chat_groups") { GroupID($0.int(0)) }!
    try join(id, creator, isAdmin: true, from: 1)
    for member in members where member != creator { try join(id, member, isAdmin: false, from: 1) }
    return id
  }

  /// Nobody is put into a group by somebody whom they have blocked, or who has blocked them.
  private func requireMayAdd(_ member: UserNumber, by adder: UserNumber) throws {
    if try isRemoved(member) { throw ChatRefusal.userRemoved }
    if try contact(member, adder)?.status == .blocked { throw ChatRefusal.blockedMember }
  }

  /// A membership covers what is stored from here on: nothing of before is ever shown.
  private func join(_ group: GroupID, _ user: UserNumber, isAdmin: Bool, from sequence: Int64) throws(DatabaseError) {
    try execute(
      """
      INSERT INTO memberships (group_id, user_number, is_admin, first_seq) VALUES ($1, $2, $3, $4)
      ON CONFLICT DO NOTHING
      """, .int(group.value), .int(user.value), .int(isAdmin ? 1 : 0), .int(sequence))
  }

  /// Whether a user is a member now, and admin; nil for others, to whom the group does not exist.
  func membership(_ group: GroupID, _ user: UserNumber) throws(DatabaseError) -> (isAdmin: Bool, Void)? {
    try first(
      "SELECT is_admin FROM memberships WHERE group_id = $1 AND user_number = $2 AND last_seq IS NULL",
      .int(group.value),
      .int(user.value)
    ) { ($0.int(0) != 0, ()) }
  }

  /// The members now, oldest first.
  func members(of group: GroupID) throws(DatabaseError) -> [UserNumber] {
    try query(
      "SELECT user_number FROM memberships WHERE group_id = $1 AND last_seq IS NULL ORDER BY position",
      .int(group.value)
    ) { UserNumber($0.int(0)) }
  }

  func memberCount(of group: GroupID) throws(DatabaseError) -> Int64 {
    try first("SELECT count(*) FROM memberships WHERE group_id = $1 AND last_seq IS NULL", .int(group.value)) {
      $0.int(0)
    } ?? 0
  }

  func addMember(_ user: UserNumber, to group: GroupID, by admin: UserNumber) throws {
    guard let own = try membership(group, admin) else { throw ChatRefusal.noSuchGroup }
    guard own.isAdmin else { throw ChatRefusal.notAdmin }
    guard try membership(group, user) == nil else { throw ChatRefusal.alreadyMember }
    try requireMayAdd(user, by: admin)
    try join(group, user, isAdmin: false, from: try lastSequence(.group(group)) + 1)
  }

  /// An admin removes anyone, a member itself. When the last admin leaves, the oldest member becomes admin.
  func removeMember(_ user: UserNumber, from group: GroupID, by remover: UserNumber) throws {
    guard let own = try membership(group, remover) else { throw ChatRefusal.noSuchGroup }
    guard own.isAdmin || user == remover else { throw ChatRefusal.notAdmin }
    guard try membership(group, user) != nil else { throw ChatRefusal.notMember }
    try execute(
      "UPDATE memberships SET last_seq = $3 WHERE group_id = $1 AND user_number = $2 AND last_seq IS NULL",
      .int(group.value), .int(user.value), .int(try lastSequence(.group(group))))
    try execute(
      """
      UPDATE memberships SET is_admin = 1 WHERE position =
        (SELECT min(position) FROM memberships WHERE group_id = $1 AND last_seq IS NULL)
      AND NOT EXISTS (SELECT 1 FROM memberships WHERE group_id = $1 AND last_seq IS NULL AND is_admin = 1)
      """, .int(group.value))
  }

  // MARK: Messages

  /// The messages at these places, for those who missed that they were published, each with its conversation and with who took
  /// part in it when it was stored.
  func messages(after position: Int64, through last: Int64) throws(DatabaseError) -> [StoredMessage] {
    let found = try query(
      """
      SELECT message_id, seq, sender, content, kind, created_at, conversation, username
      FROM messages JOIN chat_users ON user_number = sender
      WHERE message_id > $1 AND message_id <= $2 ORDER BY message_id
      """, .int(position), .int(last)
    ) { (message($0), $0.text(6), $0.text(7)) }
    var result: [StoredMessage] = []
    for (message, key, username) in found {
      guard let message else { continue }
      guard let conversation = ConversationID(key: key) else {
        setAside("messages", "\(message.id)")
        continue
      }
      result.append(
        StoredMessage(
          message: message, conversation: conversation, senderName: username,
          participants: try participants(conversation, at: message.sequence)))
    }
    return result
  }

  /// Who took part in a conversation when a message was stored.
  private func participants(_ conversation: ConversationID, at sequence: Int64) throws(DatabaseError) -> [UserNumber] {
    guard case .group(let group) = conversation else { return try participants(conversation) }
    return try query(
      """
      SELECT user_number FROM memberships WHERE group_id = $1 AND first_seq <= $2 AND (last_seq IS NULL OR last_seq >= $2)
      ORDER BY position
      """, .int(group.value), .int(sequence)
    ) { UserNumber($0.int(0)) }
  }

  /// The number of the last message of a conversation, 0 where there is none. No message is ever taken away.
  func lastSequence(_ conversation: ConversationID) throws(DatabaseError) -> Int64 {
    try lastSequence(conversation.key)
  }

  private func lastSequence(_ conversation: String) throws(DatabaseError) -> Int64 {
    try first(
      "SELECT seq FROM messages WHERE conversation = $1 AND seq >= 1 AND seq < $2 ORDER BY seq DESC LIMIT 1",
      .text(conversation), .int(ClientBounds.counter)
    ) { $0.int(0) } ?? 0
  }

  /// Who takes part in a conversation now, and so receives what is stored now.
  func participants(_ conversation: ConversationID) throws(DatabaseError) -> [UserNumber] {
    switch conversation {
    case .direct(let a, let b): [a, b]
    case .group(let id): try members(of: id)
    }
  }

  func requireMayWrite(_ sender: UserNumber, in conversation: ConversationID) throws {
    switch conversation {
    case .direct(let a, let b):
      guard Contact.mayWrite(try contact(a, b)) else { throw ChatRefusal.notFriends }
    case .group(let id):
      guard try membership(id, sender) != nil else { throw ChatRefusal.noSuchGroup }
    }
  }

  /// Stores a message as the next of its conversation. The same `clientID` from the same sender gives the first answer
  /// again, and stores nothing.
  func storeMessage(
    _ content: String, _ kind: MessageKind, by sender: UserNumber, in conversation: ConversationID, clientID: String?,
    at now: String
  ) throws -> (message: ChatMessage, isNew: Bool) {
    let key = conversation.key
    if let clientID, let known = try message(sender, clientID) {
      guard known.conversation == key, known.message.content == content else {
        throw ChatRefusal.clientIDReused
      }
      return (known.message, false)
    }
    try requireMayWrite(sender, in: conversation)
    let sequence = try lastSequence(key) + 1
    let id = try lastPosition() + 1
    try execute(
      """
      INSERT INTO messages (message_id, conversation, seq, sender, content, kind, created_at, client_id)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
      """, .int(id), .text(key), .int(sequence), .int(sender.value), .text(content),
      .text(kind.rawValue), .text(now), clientID.map { .text($0) } ?? .null)
    let message = ChatMessage(
      id: id, sequence: sequence, sender: sender, content: content, kind: kind, timestamp: now)
    return (message, true)
  }

  /// Of `message_id, seq, sender, content, kind, created_at`; nil where one of them is not what `storeMessage` writes.
  private func message(_ row: SQLRow) -> ChatMessage? {
    let (id, sequence, sender) = (row.int(0), row.int(1), row.int(2))
    let numbers = 1..<ClientBounds.counter
    guard numbers.contains(id), numbers.contains(sequence), numbers.contains(sender),
      let kind = MessageKind(rawValue: row.text(4))
    else {
      setAside("messages", "\(id)")
      return nil
    }
    return ChatMessage(
      id: id, sequence: sequence, sender: UserNumber(sender), content: row.text(3), kind: kind, timestamp: row.text(5))
  }

  func message(_ sender: UserNumber, _ clientID: String) throws(DatabaseError) -> (
    message: ChatMessage, conversation: String
  )? {
    let found = try first(
      """
      SELECT message_id, seq, sender, content, kind, created_at, conversation FROM messages
      WHERE sender = $1 AND client_id = $2
      """, .int(sender.value), .text(clientID)
    ) { (message($0), $0.text(6)) }
    guard let (message, conversation) = found else { return nil }
    if let message { return (message, conversation) }
    // A damaged row gives up its client_id, so that the message can be sent again.
    try execute(
      "UPDATE messages SET client_id = NULL WHERE sender = $1 AND client_id = $2", .int(sender.value), .text(clientID))
    return nil
  }

  /// The messages that a user may read, oldest first: those after `after`, or else the last ones before `before`. Of a group,
  /// those that were stored while the user was a member, and no others.
  func messages(
    in conversation: ConversationID, for reader: UserNumber, before: Int64?, after: Int64?, limit: Int64
  ) throws(DatabaseError) -> [ChatMessage] {
    let visible: String
    switch conversation {
    case .direct: visible = "$5 = $5 AND $6 = $6"
    case .group:
      visible = """
        EXISTS (SELECT 1 FROM memberships m WHERE m.group_id = $6 AND m.user_number = $5
          AND seq >= m.first_seq AND (m.last_seq IS NULL OR seq <= m.last_seq))
        """
    }
    let group = if case .group(let id) = conversation { id.value } else { Int64(0) }
    let order = after == nil ? "DESC" : "ASC"
    let found = try query(
      SQLText(
        """
        SELECT message_id, seq, sender, content, kind, created_at FROM messages
        WHERE conversation = $1 AND seq > $2 AND seq < $3 AND \(visible) ORDER BY seq \(order) LIMIT $4
        """), .text(conversation.key), .int(max(0, after ?? 0)),
      .int(min(before ?? .max, ClientBounds.counter)), .int(limit), .int(reader.value), .int(group)
    ) { message($0) }.compactMap { $0 }
    return after == nil ? found.reversed() : found
  }
}
