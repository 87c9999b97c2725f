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
    guard let input else {
      throw .init(reason: "TYPE: \"\(message.type.shortened(toBytes: 64))\" is not known in \(source.queue)")
    }
    self = input
  }

  private static func userServer(_ message: QueueMessage) throws(QueueMessage.Malformed) -> ManagerInput? {
    let data = message.data
    switch message.type {
    case "NEW_USER", "REMOVE_USER":
      let number = data["CONNECTION"]?.int
      let user = try QueueMessage.user(data)
      return message.type == "NEW_USER" ? .newUser(user, connection: number) : .removeUser(user, connection: number)
    case "USER_MESSAGE":
      return .userMessage(
        try QueueMessage.user(data), id: try QueueMessage.identifier(data, "MESSAGE_ID"),
        message: try QueueMessage.value(data, "MESSAGE"))
    default: return nil
    }
  }

  private static func customerServer(_ message: QueueMessage) throws(QueueMessage.Malformed) -> ManagerInput? {
    let data = message.data
    switch message.type {
    case "START_SESSION":
      let settings = data["SESSION_DATA"] ?? .object([])
      _ = try QueueMessage.count(settings, in: "SESSION_DATA.")
      return .startSession(email: try QueueMessage.email(data), data: settings)
    case "ADDITIONAL_USERS":
      return .customerWantsUsers(try QueueMessage.supervisor(data), try QueueMessage.count(data))
    case "END_SESSION":
      let email = data["EMAIL"] == nil ? nil : try QueueMessage.email(data)
      if data["SESSION_SUPERVISOR_ID"] == nil, let email {
        let request = try data["REQUEST"].map { _ throws(QueueMessage.Malformed) in
          try QueueMessage.identifier(data, "REQUEST")
        }
        return .cancelSession(email: email, request: request)
      }
      return .endSession(try QueueMessage.supervisor(data))
    default: return nil
    }
  }

  private static func supervisor(_ message: QueueMessage) throws(QueueMessage.Malformed) -> ManagerInput? {
    let data = message.data
    switch message.type {
    case "INITIALIZE_SESSION": return .initialize(host: try host(data) ?? "")
    case "NEW_SESSION", "ADDITIONAL_USERS": return .wantsUsers(try QueueMessage.count(data))
    case "SEND_MESSAGE_TO_USER":
      return .sendToUser(try QueueMessage.user(data), try QueueMessage.value(data, "MESSAGE_FOR_USER"))
    case "USER_RELEASED": return .released(try QueueMessage.users(data))
    case "APPEND_TRANSCRIPT":
      let previous = try data["PREVIOUS"].map { _ throws(QueueMessage.Malformed) in
        try QueueMessage.identifier(data, "PREVIOUS")
      }
      return .append(
        id: try QueueMessage.identifier(data, "MESSAGE_ID"), from: try QueueMessage.user(data, "FROM").json,
        message: try QueueMessage.value(data, "MESSAGE"), previous: previous)
    case "HEARTBEAT":
      let host = try host(data)
      if data["LEAVING"] == true {
        guard let host else { throw .init(reason: "HOST: missing") }
        return .hostLost(host)
      }
      return .heartbeat(host: host ?? message.supervisor?.text ?? "")
    default: return nil
    }
  }

  /// The name of a host, from which that of its queue is made: together they are a name of AMQP.
  private static func host(_ data: JSONValue) throws(QueueMessage.Malformed) -> String? {
    guard let value = data["HOST"] else { return nil }
    guard let text = value.string, text.utf8.count <= QueueNames.maximumHost else {
      throw .init(reason: "HOST: must be a string of at most \(QueueNames.maximumHost) bytes")
    }
    return text
  }
}
