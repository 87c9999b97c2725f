/// A customer's request to its running session.
enum SessionCommand {
  case sendMessage(JSONValue)
  case readMessages(after: Int64)
  case addUsers(UserCount)
  case end

  /// Bytes of a message, as JSON.
  private static let maximumMessageBytes = 65_536

  /// Parses the `REQUEST` and `DATA` of `/handleSessionRequests`.
  init(_ name: String, _ data: JSONValue) throws(CustomerRefusal) {
    switch name {
    case "SEND_MESSAGE":
      guard let message = data["MESSAGE"], message.bytes.count <= Self.maximumMessageBytes else {
        throw .invalidRequest
      }
      self = .sendMessage(message)
    case "GET_MESSAGES":
      guard let after = (data["AFTER"] ?? 0).int else { throw .invalidRequest }
      self = .readMessages(after: after)
    case "ADDITIONAL_USERS":
      guard let count = UserCount(data["USER_COUNT"]) else { throw .invalidRequest }
      self = .addUsers(count)
    case "END_SESSION": self = .end
    default: throw .invalidRequest
    }
  }

  /// The answer to a command.
  enum Answer: Sendable {
    case messageSent(SessionMessageID)
    case messages([JSONValue])
    case usersRequested
    case ended
  }
}
