/// A queue of the manager. It decides which messages a sender may send.
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

/// An input of the manager, parsed and checked.
enum ManagerInput: Sendable {
  /// `connection` is nil from a User Server that does not number connections.
  case newUser(UserID, connection: ConnectionNumber?)
  case removeUser(UserID, connection: ConnectionNumber?)
  case userMessage(SessionMessage)
  case startSession(CustomerEmail, data: JSONValue)
  case customerWantsUsers(SupervisorID, UserCount)
  case endSession(SupervisorID)
  /// Ends a customer's session if `request` asked for it; without `request`, in any case.
  case cancelSession(CustomerEmail, request: RequestID?)
  case initialize(host: HostName)
  case wantsUsers(UserCount)
  case sendToUser(UserID, JSONValue)
  case released([UserID])
  case append(SessionMessage)
  case heartbeat(host: HostName)
  /// A host has sent no heartbeat for too long, or is leaving.
  case hostLost(HostName)
  /// No host has taken a session in time.
  case offerAgain(SupervisorID)
  /// Ends a customer's sessions, and removes them with their transcripts. With `closing` the users
  /// are released without their supervisor, as nobody will hear from it.
  case erase(CustomerEmail, closing: Bool = false)
  /// Removes sessions that ended long ago.
  case removeEnded(Retention)
}

extension ManagerInput {
  /// Parses a message.
  /// - Throws: `QueueMessage.Malformed` for a message that belongs in the dead-letter queue.
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
    case "NEW_USER": return .newUser(try QueueMessage.user(data), connection: connection(data))
    case "REMOVE_USER": return .removeUser(try QueueMessage.user(data), connection: connection(data))
    case "USER_MESSAGE":
      return .userMessage(
        SessionMessage(
          id: try QueueMessage.messageID(data), sender: try QueueMessage.user(data),
          text: try QueueMessage.value(data, "MESSAGE")))
    default: return nil
    }
  }

  private static func connection(_ data: JSONValue) -> ConnectionNumber? {
    data["CONNECTION"]?.int.map { ConnectionNumber($0) }
  }

  private static func customerServer(_ message: QueueMessage) throws(QueueMessage.Malformed) -> ManagerInput? {
    let data = message.data
    switch message.type {
    case "START_SESSION":
      let settings = data["SESSION_DATA"] ?? .object([])
      _ = try QueueMessage.count(settings, in: "SESSION_DATA.")
      return .startSession(try QueueMessage.email(data), data: settings)
    case "ADDITIONAL_USERS":
      return .customerWantsUsers(try QueueMessage.supervisor(data), try QueueMessage.count(data))
    case "END_SESSION":
      let email = data["EMAIL"] == nil ? nil : try QueueMessage.email(data)
      guard data["SESSION_SUPERVISOR_ID"] == nil, let email else {
        return .endSession(try QueueMessage.supervisor(data))
      }
      if data["ERASE"] == true { return .erase(email) }
      return .cancelSession(email, request: data["REQUEST"] == nil ? nil : try QueueMessage.requestID(data))
    default: return nil
    }
  }

  private static func supervisor(_ message: QueueMessage) throws(QueueMessage.Malformed) -> ManagerInput? {
    let data = message.data
    switch message.type {
    case "INITIALIZE_SESSION": return .initialize(host: try host(data) ?? .unnamed)
    case "NEW_SESSION", "ADDITIONAL_USERS": return .wantsUsers(try QueueMessage.count(data))
    case "SEND_MESSAGE_TO_USER":
      return .sendToUser(try QueueMessage.user(data), try QueueMessage.value(data, "MESSAGE_FOR_USER"))
    case "USER_RELEASED": return .released(try QueueMessage.users(data))
    case "APPEND_TRANSCRIPT":
      return .append(
        SessionMessage(
          id: try QueueMessage.messageID(data), sender: try QueueMessage.user(data, "FROM"),
          text: try QueueMessage.value(data, "MESSAGE"),
          previous: data["PREVIOUS"] == nil ? nil : try QueueMessage.messageID(data, "PREVIOUS")))
    case "HEARTBEAT":
      let host = try host(data)
      guard data["LEAVING"] == true else {
        return .heartbeat(host: host ?? HostName(message.supervisor?.text ?? "") ?? .unnamed)
      }
      guard let host else { throw .init(reason: "HOST: missing") }
      return .hostLost(host)
    default: return nil
    }
  }

  private static func host(_ data: JSONValue) throws(QueueMessage.Malformed) -> HostName? {
    guard let value = data["HOST"] else { return nil }
    guard let host = value.string.flatMap({ HostName($0) }) else {
      throw .init(reason: "HOST: must be a string of at most \(HostName.maximumBytes) bytes")
    }
    return host
  }
}
