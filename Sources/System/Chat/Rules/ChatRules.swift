/// Limits on what clients send.
enum ChatRules {
  /// Bytes of a message's content.
  static let maximumContent = 65_536
  /// Bytes of a `client_id`.
  static let maximumClientID = 255
  /// Characters of a username, as at the User Service.
  static let maximumUsername = 150
  static let username = Schema.string(.init(minimumLength: 1, maximumLength: maximumUsername))
  /// Members of a group. Each message goes to every member.
  static let maximumMembers = 5000
  /// Members in a call that creates a group. The User Service is asked about each name.
  static let maximumMembersInCall = 1000
  /// Messages on a page.
  static let maximumPage: Int64 = 500
  static let standardPage: Int64 = 50

  /// Checks the name of a group.
  static func groupName(_ text: String) throws(ChatRefusal) -> String {
    guard (1...150).contains(text.unicodeScalars.count) else { throw .invalid("name: must have 1 to 150 characters") }
    return text
  }
}

/// A message that a client asks to send.
struct OutgoingMessage: Sendable {
  let conversation: ConversationID
  let content: String
  let kind: MessageKind
  /// The client's own id of the message. Sending it again under the same id stores nothing new.
  let clientID: String?

  init(_ content: String, _ kind: MessageKind = .text, in conversation: ConversationID, clientID: String? = nil) {
    self.conversation = conversation
    self.content = content
    self.kind = kind
    self.clientID = clientID
  }

  /// Reads the data of `send_message`, which has the shape of its row in `ChatEventTable`.
  init(_ data: JSONValue, from sender: UserNumber) throws(ChatRefusal) {
    content = data["content"]!.string!
    kind = data["type"]?.string.flatMap(MessageKind.init) ?? .text
    guard kind != .text || !content.isEmpty else { throw .invalid("content: must not be empty") }
    conversation = ConversationID(recipientOf: data, from: sender)
    clientID = data["client_id"]?.string
  }
}

extension ConversationID {
  /// Reads `recipient_id` and `is_group` of an event, which has the shape of its row in
  /// `ChatEventTable`.
  init(recipientOf data: JSONValue, from sender: UserNumber) {
    let recipient = data["recipient_id"]!.int!
    let isGroup = data["is_group"]?.bool ?? false
    self = isGroup ? .group(GroupID(recipient)) : .between(sender, UserNumber(recipient))
  }
}
