/// Bounds on what people send, and the reading of it.
enum ChatRules {
  /// Bytes of a message's content.
  static let maximumContent = 65_536
  /// Bytes of a `client_id`.
  static let maximumClientID = 255
  /// Characters of a username, as the User Service has it.
  static let maximumUsername = 150
  static let username = Schema.string(.init(minimumLength: 1, maximumLength: maximumUsername))
  /// Members of a group: each message goes to every one.
  static let maximumMembers = 5000
  /// Members that one call adds: each name is asked of the User Service.
  static let maximumMembersInCall = 1000
  /// Messages in one answer.
  static let maximumPage: Int64 = 500
  static let standardPage: Int64 = 50

  /// The data of `send_message`.
  struct Outgoing: Sendable {
    let recipient: Int64
    let content: String
    let isGroup: Bool
    let kind: MessageKind
    let clientID: String?
  }

  /// Reads the data of `send_message`, which has the shape of its row in `ChatEventTable`.
  static func outgoing(_ data: JSONValue) throws(ChatRefusal) -> Outgoing {
    let content = data["content"]!.string!
    let kind = data["type"]?.string.flatMap(MessageKind.init) ?? .text
    guard kind != .text || !content.isEmpty else { throw .invalid("content: must not be empty") }
    return Outgoing(
      recipient: data["recipient_id"]!.int!, content: content, isGroup: data["is_group"]?.bool ?? false, kind: kind,
      clientID: data["client_id"]?.string)
  }

  static func groupName(_ text: String) throws(ChatRefusal) -> String {
    guard (1...150).contains(text.unicodeScalars.count) else {
      throw .invalid("name: must have 1 to 150 characters")
    }
    return text
  }
}
