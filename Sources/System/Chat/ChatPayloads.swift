/// The JSON that clients of the Chat Service get.
enum ChatPayload {
  /// The room that all sockets of a user are in.
  static func room(_ user: UserNumber) -> String { String(user.value) }

  // MARK: Messages

  static func message(_ stored: StoredMessage) -> JSONValue {
    let message = stored.message
    let recipient: Int64
    let isGroup: Bool
    switch stored.conversation {
    case .direct(let a, let b):
      recipient = (message.sender == a ? b : a).value
      isGroup = false
    case .group(let id):
      recipient = id.value
      isGroup = true
    }
    return [
      "message_id": .int(message.id.value), "seq": .int(message.sequence.value),
      "sender_id": .int(message.sender.value), "sender_username": .string(stored.senderName),
      "recipient_id": .int(recipient), "content": .string(message.content), "type": .string(message.kind.rawValue),
      "timestamp": .string(message.timestamp), "is_group": .bool(isGroup),
    ]
  }

  static func newMessage(_ stored: StoredMessage) -> RoomEvent {
    RoomEvent(ChatEventTable.newMessage, message(stored), rooms: stored.participants.map(room))
  }

  /// The acknowledgement of `send_message`.
  static func acknowledgement(_ message: ChatMessage) -> JSONValue {
    [
      "status": "ok", "message_id": .int(message.id.value), "seq": .int(message.sequence.value),
      "timestamp": .string(message.timestamp),
    ]
  }

  /// `typing`, with the recipient that the client named.
  static func typing(in conversation: ConversationID, from user: ChatUser, recipient: Int64) -> JSONValue {
    let isGroup = if case .group = conversation { true } else { false }
    return [
      "sender_id": .int(user.number.value), "sender_username": .string(user.username),
      "recipient_id": .int(recipient), "is_group": .bool(isGroup),
    ]
  }

  // MARK: Contacts

  /// The status of a contact whose account was deleted. No list shows it.
  static let deleted = "deleted"

  /// A contact, as one side sees it.
  static func contact(_ view: ContactView) -> JSONValue {
    [
      "user_id": .int(view.user.value), "username": .string(view.username), "status": .string(view.status.rawValue),
      "is_online": .bool(view.isOnline),
    ]
  }

  /// A contact, with the statuses that the reader may set.
  static func contactWithChanges(_ view: ContactView) -> JSONValue {
    .object(contact(view).members! + [.init("changes", .array(view.changes.map { .string($0.rawValue) }))])
  }

  /// A contact whose account was deleted, for its former contacts.
  static func removedContact(_ user: ChatUser) -> JSONValue {
    [
      "user_id": .int(user.number.value), "username": .string(user.username), "status": .string(deleted),
      "is_online": false,
    ]
  }

  /// `contact_request`, for the user who is asked.
  static func request(by user: ChatUser) -> JSONValue {
    ["user_id": .int(user.number.value), "username": .string(user.username)]
  }

  static func presence(_ user: ListedUser, isOnline: Bool) -> JSONValue {
    [
      "user_id": .int(user.number.value), "username": .string(user.username),
      "status": .string(isOnline ? "online" : "offline"),
    ]
  }

  // MARK: Groups

  static func group(_ group: GroupView) -> JSONValue {
    [
      "group_id": .int(group.id.value), "name": .string(group.name),
      "members": .array(group.members.map { .string($0.username) }),
    ]
  }
}

/// A contact, as one side sees it. Only friends see whether somebody is online.
struct ContactView: Sendable {
  let user: UserNumber
  let username: String
  let status: ContactStatus
  let isOnline: Bool
  /// The statuses that this side may set.
  let changes: [ContactStatus]
}
