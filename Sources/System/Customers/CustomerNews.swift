import Environment

/// What comes from the manager: which sessions run, what is said in them, and which have ended.
extension CustomerServer {
  private enum News: Sendable {
    case runs(String, SupervisorID, request: String)
    case message(SupervisorID, Int64, from: JSONValue, JSONValue, id: String?)
    case ended(SupervisorID)
  }

  func take(_ deliveries: [AMQPDelivery]) async throws {
    var news: [News] = []
    for delivery in deliveries {
      do throws(QueueMessage.Malformed) { news.append(try Self.read(try QueueMessage(delivery))) } catch {
        try await client.publishEach([
          delivery.deadLetter(from: QueueNames.toCustomerServer, because: error.reason, environment.log)
        ])
      }
    }
    let items = news
    let (again, running) = try await database.transaction { try Self.apply(items, $0) }
    for request in running { wake(request, true) }
    try await client.publishEach(again)
  }

  private static func read(_ message: QueueMessage) throws(QueueMessage.Malformed) -> News {
    try message.check(against: QueueMessages.customerAgent, queue: QueueNames.toCustomerServer)
    let data = message.data
    let id: SupervisorID
    if data["SESSION_SUPERVISOR_ID"] == nil, let sender = message.supervisor {
      id = sender
    } else {
      id = try QueueMessage.supervisor(data)
    }
    switch message.type {
    case "SESSION_RUNNING":
      return .runs(try QueueMessage.email(data).key, id, request: message.correlationID ?? "")
    case "SESSION_MESSAGE":
      guard let sequence = data["SEQ"]?.int, (1...ClientBounds.counter).contains(sequence) else {
        throw .init(reason: "SEQ: missing, or not an integer from 1 to \(ClientBounds.counter)")
      }
      return .message(
        id, sequence, from: try QueueMessage.user(data, "FROM").json, try QueueMessage.value(data, "MESSAGE"),
        id: data["MESSAGE_ID"] == nil ? nil : try QueueMessage.identifier(data, "MESSAGE_ID"))
    case "SESSION_ENDED": return .ended(id)
    default:
      throw .init(reason: "TYPE: \"\(message.type.shortened(toBytes: 64))\" is not known to the Customer Server")
    }
  }

  /// Notes news; returns what has to be said again, and the requests whose sessions run now.
  private static func apply(_ news: [News], _ database: SQLConnection) throws(DatabaseError) -> (
    [AMQPMessage], [String]
  ) {
    var again: [AMQPMessage] = []
    var running: [String] = []
    for item in news {
      switch item {
      case .runs(let key, let id, let request):
        guard let unheard = try database.sessionRuns(key, id, request: request) else { continue }
        running.append(request)
        again += unheard.map { customerMessage($0.id, $0.previous, $0.message, id) }
      case .message(let id, let sequence, let from, let text, let messageID):
        try database.sessionHears(id, sequence, from: from, text, id: messageID)
      case .ended(let id): try database.sessionEnds(id)
      }
    }
    return (again, running)
  }
}
