/// The far side of the User Server: the User Manager, by its queues.
public struct QueueUserServer: UserServerBackend {
  private let client: AMQPClient
  private let life: String

  /// Connects to a broker; what the manager has for users goes to `delivery`.
  public static func start(
    _ environment: Environment, broker: BrokerAddress, _ delivery: UserServerDelivery
  ) async -> QueueUserServer {
    let client = AMQPClient(environment, broker: broker)
    await client.declare(QueueNames.declarations)
    let seen = Seen(environment)
    await client.consume(QueueNames.toUserServer, exclusive: true) { deliveries in
      for item in deliveries {
        guard let message = try? QueueMessage(item), message.type == "SEND_MESSAGE_TO_USER",
          let user = message.data["USER_ID"]?.int, let text = message.data["MESSAGE_FOR_USER"]
        else {
          try await client.publish(
            AMQPMessage(
              exchange: "", routingKey: QueueNames.deadLetters, properties: item.properties, body: item.body))
          continue
        }
        if await seen.isNew(message.id) { await delivery(user, text) }
      }
    }
    client.start()
    return QueueUserServer(client: client, life: Hex.encode(environment.entropy.bytes(6)))
  }

  /// Time for a connection to the broker to come, before somebody is told that there is none.
  private static let patience: Duration = .seconds(3)

  private func send(_ message: QueueMessage) async throws {
    guard try await client.isConnected(within: Self.patience) else {
      throw HTTPFailure(503, "the broker is not available")
    }
    try await client.publish(
      AMQPMessage(
        exchange: QueueNames.managerExchange, routingKey: QueueNames.fromUserServer, properties: message.properties,
        body: message.body.bytes))
  }

  /// Publishes `NEW_USER`.
  public func userIsThere(_ user: Int64, connection: Int64) async throws {
    var message = QueueMessage("NEW_USER", ["USER_ID": .int(user), "CONNECTION": .int(connection)])
    message.id = "there/\(user)/\(connection)"
    try await send(message)
  }

  /// Publishes `REMOVE_USER`.
  public func userIsGone(_ user: Int64, connection: Int64) async throws {
    var message = QueueMessage("REMOVE_USER", ["USER_ID": .int(user), "CONNECTION": .int(connection)])
    message.id = "gone/\(user)/\(connection)"
    try await send(message)
  }

  /// Publishes `USER_MESSAGE`.
  public func userSays(_ message: JSONValue, id: String, user: Int64) async throws {
    var outgoing = QueueMessage(
      "USER_MESSAGE", ["USER_ID": .int(user), "MESSAGE_ID": .string(id), "MESSAGE": message])
    outgoing.id = "says/\(id)"
    try await send(outgoing)
  }

  /// Gives the connection up.
  public func close() async { await client.close() }
}

/// What was passed on already: the manager may publish it again when it did not hear that the broker has it.
private actor Seen {
  /// Ids that are remembered; what comes again comes soon.
  private static let kept = 20_000

  private let serialExecutor: any SerialExecutor
  private var ids: Set<String> = []
  private var order: [String] = []

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.asUnownedSerialExecutor() }

  init(_ environment: Environment) { serialExecutor = environment.executor.forActor("seen") }

  func isNew(_ id: String?) -> Bool {
    guard let id else { return true }
    guard ids.insert(id).inserted else { return false }
    order.append(id)
    if order.count > 2 * Self.kept {
      for old in order.prefix(Self.kept) { ids.remove(old) }
      order.removeFirst(Self.kept)
    }
    return true
  }
}
