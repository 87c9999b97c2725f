/// What clients of the Chat Service see, in JSON.
enum ChatPayload {
  /// A message, to those who may read it.
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
      "message_id": .int(message.id), "seq": .int(message.sequence), "sender_id": .int(message.sender.value),
      "sender_username": .string(stored.senderName), "recipient_id": .int(recipient),
      "content": .string(message.content), "type": .string(message.kind.rawValue),
      "timestamp": .string(message.timestamp), "is_group": .bool(isGroup),
    ]
  }

  /// A contact, as one side sees the other.
  static func contact(_ view: ContactView) -> JSONValue {
    [
      "user_id": .int(view.user.value), "username": .string(view.username), "status": .string(view.status.rawValue),
      "is_online": .bool(view.isOnline),
    ]
  }

  /// A contact, with the statuses that the reader may give it.
  static func contactWithChanges(_ view: ContactView) -> JSONValue {
    .object(contact(view).members! + [.init("changes", .array(view.changes.map { .string($0.rawValue) }))])
  }

  /// The status of a contact whose account was deleted, which no list shows.
  static let deleted = "deleted"

  /// A contact whose account was deleted, to those whose contact it was.
  static func removedContact(_ user: ChatUser) -> JSONValue {
    [
      "user_id": .int(user.number.value), "username": .string(user.username), "status": .string(deleted),
      "is_online": false,
    ]
  }

  static func group(_ group: GroupView) -> JSONValue {
    [
      "group_id": .int(group.id.value), "name": .string(group.name),
      "members": .array(group.members.map { .string($0.username) }),
    ]
  }

  static func presence(_ user: ChatUser, isOnline: Bool) -> JSONValue {
    [
      "user_id": .int(user.number.value), "username": .string(user.username),
      "status": .string(isOnline ? "online" : "offline"),
    ]
  }

  /// The room that all sockets of a user are in.
  static func room(_ user: UserNumber) -> String { String(user.value) }

  static func newMessage(_ stored: StoredMessage) -> RoomEvent {
    RoomEvent(ChatEventTable.newMessage, message(stored), rooms: stored.participants.map(room))
  }
}

/// A contact, as one side sees the other. Only friends see whether somebody is there.
struct ContactView: Sendable {
  let user: UserNumber
  let username: String
  let status: ContactStatus
  let isOnline: Bool
  /// The statuses that this side may set.
  let changes: [ContactStatus]
}
