import Environment

/// The User Manager behind its queues.
public struct QueueUserServer: UserServerBackend {
  /// The time for which a call waits for a connection to the broker.
  private static let patience: Duration = .seconds(3)

  private let client: AMQPClient

  /// Connects to a broker. Messages of the User Manager for users go to `delivery`.
  public static func start(
    _ environment: Environment, broker: BrokerAddress, _ delivery: UserServerDelivery
  ) async -> QueueUserServer {
    let client = AMQPClient(environment, broker: broker)
    await client.declare(QueueNames.declarations)
    await client.consumeEach(QueueNames.toUserServer, exclusive: true) { deliveries in
      for item in deliveries {
        let (user, text, id): (UserNumber, JSONValue, String?)
        do throws(QueueMessage.Malformed) {
          (user, text, id) = try message(in: item)
        } catch {
          try await client.publishEach([
            item.deadLetter(from: QueueNames.toUserServer, because: error.reason, environment.log)
          ])
          continue
        }
        try await delivery(user, text, id: id)
      }
    }
    client.start()
    return QueueUserServer(client: client)
  }

  /// Reads a message for a user.
  private static func message(
    in item: AMQPDelivery
  ) throws(QueueMessage.Malformed) -> (user: UserNumber, text: JSONValue, id: String?) {
    let message = try QueueMessage(item)
    try message.check(against: QueueMessages.userServerAgent, queue: QueueNames.toUserServer)
    guard let user = message.data["USER_ID"]?.int, let text = message.data["MESSAGE_FOR_USER"] else {
      throw QueueMessage.Malformed(reason: "USER_ID: not a user of this server")
    }
    return (UserNumber(user), text, message.id)
  }

  private func send(_ message: QueueMessage) async throws {
    guard await client.isConnected(within: Self.patience) else { throw ChatRefusal.unavailable(.broker) }
    try await client.publishEach([message.sent(to: QueueNames.managerExchange, QueueNames.fromUserServer)])
  }

  /// Publishes `NEW_USER`.
  public func userIsAvailable(_ user: UserNumber, connection: ConnectionNumber) async throws {
    var message = QueueMessage("NEW_USER", Self.data(user, connection))
    message.id = "there/\(user.value)/\(connection.value)"
    try await send(message)
  }

  /// Publishes `REMOVE_USER`.
  public func userIsGone(_ user: UserNumber, connection: ConnectionNumber) async throws {
    var message = QueueMessage("REMOVE_USER", Self.data(user, connection))
    message.id = "gone/\(user.value)/\(connection.value)"
    try await send(message)
  }

  private static func data(_ user: UserNumber, _ connection: ConnectionNumber) -> JSONValue {
    ["USER_ID": .int(user.value), "CONNECTION": .int(connection.value)]
  }

  /// Publishes `USER_MESSAGE`.
  public func send(_ message: JSONValue, id: String, from user: UserNumber) async throws {
    var outgoing = QueueMessage(
      "USER_MESSAGE", ["USER_ID": .int(user.value), "MESSAGE_ID": .string(id), "MESSAGE": message])
    outgoing.id = QueueMessage.id("says/\(id)")
    try await send(outgoing)
  }

  /// The reason why the broker cannot be used now; nil when it answers.
  public func fault() async -> String? { await client.fault() }

  /// Closes the connection to the broker.
  public func close() async { await client.close() }
}
