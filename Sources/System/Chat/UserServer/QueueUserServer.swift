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
    let delivered = DeliveredMessages(environment)
    await client.consumeEach(QueueNames.toUserServer, exclusive: true) { deliveries in
      for item in deliveries {
        do throws(QueueMessage.Malformed) {
          let message = try QueueMessage(item)
          try message.check(against: QueueMessages.userServerAgent, queue: QueueNames.toUserServer)
          guard let user = message.data["USER_ID"]?.int, let text = message.data["MESSAGE_FOR_USER"] else {
            throw QueueMessage.Malformed(reason: "USER_ID: not a user of this server")
          }
          if await delivered.insert(message.id) { await delivery(UserNumber(user), text) }
        } catch {
          try await client.publishEach([
            item.deadLetter(from: QueueNames.toUserServer, because: error.reason, environment.log)
          ])
        }
      }
    }
    client.start()
    return QueueUserServer(client: client)
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

/// The ids of the latest messages that were passed on. The User Manager publishes a message again
/// when it did not hear the broker's confirmation.
private actor DeliveredMessages {
  private let serialExecutor: ActorExecutor
  /// A repeated message follows soon after the first.
  private var ids = RecentIDs(limit: 20_000)

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment) { serialExecutor = environment.executor.forActor("seen") }

  /// Returns false for an id that was inserted before; a message without an id is always new.
  func insert(_ id: String?) -> Bool { id.map { ids.insert($0) } ?? true }
}
