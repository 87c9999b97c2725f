/// Where a message came from: what it may say depends on that.
enum ManagerSource: String, Sendable, CaseIterable {
  case userServer, customerServer, supervisors

  var queue: String {
    switch self {
    case .userServer: QueueNames.fromUserServer
    case .customerServer: QueueNames.fromCustomerServer
    case .supervisors: QueueNames.fromSupervisors
    }
  }
}

extension ManagerInput {
  /// Reads a message.
  /// - Throws: `QueueMessage.Malformed`: it belongs to the dead letters.
  init(_ message: QueueMessage, from source: ManagerSource) throws(QueueMessage.Malformed) {
    try message.check(against: QueueMessages.manager, queue: source.queue)
    let input: ManagerInput? =
      switch source {
      case .userServer: try Self.userServer(message)
      case .customerServer: try Self.customerServer(message)
      case .supervisors: try Self.supervisor(message)
      }
    guard let input else { throw .init(reason: "TYPE: \"\(message.type.prefix(64))\" is not known in \(source.queue)") }
    self = input
  }

  private static func user(_ data: JSONValue) throws(QueueMessage.Malformed) -> UserID {
    guard let id = UserID(data["USER_ID"]) else {
      throw .init(reason: "USER_ID: missing, or neither integer nor string")
    }
    return id
  }

  private static func text(_ data: JSONValue, _ name: String) throws(QueueMessage.Malformed) -> String {
    guard let text = data[name]?.string, (1...255).contains(text.utf8.count) else {
      throw .init(reason: "\(name): missing, or not a string of 1 to 255 bytes")
    }
    return text
  }

  private static func value(_ data: JSONValue, _ name: String) throws(QueueMessage.Malformed) -> JSONValue {
    guard let value = data[name] else { throw .init(reason: "\(name): missing") }
    return value
  }

  private static func count(_ data: JSONValue) throws(QueueMessage.Malformed) -> UserCount {
    guard let count = UserCount(data["USER_COUNT"]) else {
      throw .init(reason: "USER_COUNT: must be a positive integer or \"ALL\"")
    }
    return count
  }

  private static func supervisorID(_ data: JSONValue) throws(QueueMessage.Malformed) -> SupervisorID {
    guard let id = SupervisorID(try text(data, "SESSION_SUPERVISOR_ID")) else {
      throw .init(reason: "SESSION_SUPERVISOR_ID: is no name of a supervisor")
    }
    return id
  }

  private static func userServer(_ message: QueueMessage) throws(QueueMessage.Malformed) -> ManagerInput? {
    let data = message.data
    switch message.type {
    case "NEW_USER", "REMOVE_USER":
      // A foreign server may not number its connections: then each is the first.
      let connection = data["CONNECTION"] ?? 1
      guard let number = connection.int else { throw .init(reason: "CONNECTION: must be an integer") }
      let user = try user(data)
      return message.type == "NEW_USER" ? .newUser(user, connection: number) : .removeUser(user, connection: number)
    case "USER_MESSAGE":
      return .userMessage(try user(data), id: try text(data, "MESSAGE_ID"), message: try value(data, "MESSAGE"))
    default: return nil
    }
  }

  private static func customerServer(_ message: QueueMessage) throws(QueueMessage.Malformed) -> ManagerInput? {
    let data = message.data
    switch message.type {
    case "START_SESSION":
      return .startSession(email: try text(data, "EMAIL"), data: data["SESSION_DATA"] ?? .object([]))
    case "ADDITIONAL_USERS": return .customerWantsUsers(try supervisorID(data), try count(data))
    case "END_SESSION":
      if data["SESSION_SUPERVISOR_ID"] == nil, data["EMAIL"] != nil {
        return .cancelSession(email: try text(data, "EMAIL"))
      }
      return .endSession(try supervisorID(data))
    default: return nil
    }
  }

  private static func supervisor(_ message: QueueMessage) throws(QueueMessage.Malformed) -> ManagerInput? {
    let data = message.data
    switch message.type {
    case "INITIALIZE_SESSION": return .initialize(host: data["HOST"]?.string ?? "")
    case "NEW_SESSION", "ADDITIONAL_USERS": return .wantsUsers(try count(data))
    case "SEND_MESSAGE_TO_USER": return .sendToUser(try user(data), try value(data, "MESSAGE_FOR_USER"))
    case "USER_RELEASED":
      guard let list = data["LIST_USER_ID"]?.array else {
        throw .init(reason: "LIST_USER_ID: missing, or not an array")
      }
      let users = list.compactMap { UserID($0) }
      guard users.count == list.count else { throw .init(reason: "LIST_USER_ID: an id is neither integer nor string") }
      return .released(users)
    case "APPEND_TRANSCRIPT":
      return .append(
        id: try text(data, "MESSAGE_ID"), from: try value(data, "FROM"), message: try value(data, "MESSAGE"),
        previous: data["PREVIOUS"]?.string)
    case "HEARTBEAT":
      if data["LEAVING"] == true { return .hostLost(try text(data, "HOST")) }
      return .heartbeat(host: data["HOST"]?.string ?? message.supervisor?.text ?? "")
    default: return nil
    }
  }
}
