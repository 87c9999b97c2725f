/// The rules of messages, within one transaction.
struct MessageTransactions {
  let tables: ChatTables

  /// Requires that a user may write in a conversation: to a friend, or as a member of the group.
  func requireMayWrite(_ sender: UserNumber, in conversation: ConversationID) async throws {
    switch conversation {
    case .direct(let a, let b):
      guard Contact.mayWrite(try await tables.contacts.contact(a, b)) else { throw ChatRefusal.notFriends }
    case .group(let id):
      guard try await tables.groups.role(of: sender, in: id) != nil else { throw ChatRefusal.noSuchGroup }
    }
  }

  /// The present participants of a conversation, who receive a message that is stored now.
  func participants(_ conversation: ConversationID) async throws(DatabaseError) -> [UserNumber] {
    switch conversation {
    case .direct(let a, let b): [a, b]
    case .group(let id): try await tables.groups.members(of: id)
    }
  }

  /// Stores a message as the next of its conversation. The same `clientID` from the same sender
  /// returns the first message again and stores nothing.
  func store(
    _ outgoing: OutgoingMessage, from sender: UserNumber, at now: String
  ) async throws -> (message: ChatMessage, isNew: Bool) {
    let key = outgoing.conversation.key
    if let clientID = outgoing.clientID, let known = try await tables.messages.message(from: sender, clientID: clientID)
    {
      guard known.conversation == key, known.message.content == outgoing.content else {
        throw ChatRefusal.clientIDReused
      }
      return (known.message, false)
    }
    try await requireMayWrite(sender, in: outgoing.conversation)
    let sequence = try await tables.messages.lastSequence(key).next
    let message = ChatMessage(
      id: MessageID(try await tables.publications.lastPosition().next), sequence: sequence, sender: sender,
      content: outgoing.content, kind: outgoing.kind, timestamp: now)
    try await tables.messages.insert(message, in: key, clientID: outgoing.clientID)
    return (message, true)
  }

  /// The messages that were published at the positions in `(position, last]`, in order, each with
  /// the participants when it was stored.
  func stored(after position: Position, through last: Position) async throws(DatabaseError) -> [StoredMessage] {
    var result: [StoredMessage] = []
    for (message, conversation, senderName) in try await tables.messages.stored(after: position, through: last) {
      let participants =
        switch conversation {
        case .direct(let a, let b): [a, b]
        case .group(let id): try await tables.groups.members(of: id, at: message.sequence)
        }
      result.append(
        StoredMessage(
          message: message, conversation: conversation, senderName: senderName, participants: participants))
    }
    return result
  }

  /// A page of the messages that a user may read.
  func history(
    of conversation: ConversationID, for reader: UserNumber, _ page: MessagePage
  ) async throws(DatabaseError) -> [StoredMessage] {
    var result: [StoredMessage] = []
    for message in try await tables.messages.history(of: conversation, for: reader, page) {
      result.append(
        StoredMessage(
          message: message, conversation: conversation, senderName: try await tables.users.username(of: message.sender),
          participants: []))
    }
    return result
  }
}
