/// Bounds on what people send, and the reading of it.
enum ChatRules {
  /// Bytes of a message's content.
  static let maximumContent = 65_536
  /// Members of a group: each message goes to every one.
  static let maximumMembers = 5000
  /// Messages in one answer.
  static let maximumPage: Int64 = 500
  static let standardPage: Int64 = 50

  /// `send_message`, read.
  struct Outgoing: Sendable {
    let recipient: Int64
    let content: String
    let isGroup: Bool
    let kind: MessageKind
    let clientID: String?
  }

  static func outgoing(_ data: JSONValue) throws(HTTPFailure) -> Outgoing {
    try checkShape(of: message, data)
    let content = data["content"]!.string!
    guard content.utf8.count <= maximumContent else {
      throw HTTPFailure(400, "content: must have at most \(maximumContent) bytes")
    }
    let kind = data["type"]?.string ?? "text"
    guard let kind = MessageKind(rawValue: kind) else { throw HTTPFailure(400, "type: must be text, image or item") }
    return Outgoing(
      recipient: data["recipient_id"]!.int!, content: content, isGroup: data["is_group"]?.bool ?? false, kind: kind,
      clientID: try data["client_id"].map { value throws(HTTPFailure) in try clientID(value) })
  }

  static func clientID(_ value: JSONValue) throws(HTTPFailure) -> String {
    guard let text = value.string, (1...128).contains(text.utf8.count) else {
      throw HTTPFailure(400, "client_id: must be a string of 1 to 128 bytes")
    }
    return text
  }

  static func checkShape(of schema: Schema, _ data: JSONValue) throws(HTTPFailure) {
    if let fault = schema.fault(in: data) { throw HTTPFailure(400, fault) }
  }

  static func groupName(_ text: String) throws(HTTPFailure) -> String {
    guard (1...150).contains(text.unicodeScalars.count) else {
      throw HTTPFailure(400, "name: must have 1 to 150 characters")
    }
    return text
  }

  static let message = Schema.object([
    .init("sessionID", .string()), .init("recipient_id", .integer()), .init("content", .string()),
    .init("is_group", .boolean, isRequired: false), .init("type", .string(), isRequired: false),
    .init("client_id", .string(), isRequired: false),
  ])
  static let typing = Schema.object([
    .init("recipient_id", .integer()), .init("is_group", .boolean, isRequired: false),
  ])
  static let addContact = Schema.object([.init("sessionID", .string()), .init("contact_username", .string())])
}
