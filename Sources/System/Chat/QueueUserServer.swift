import Environment

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
    await client.consumeEach(QueueNames.toUserServer, exclusive: true) { deliveries in
      for item in deliveries {
        let message: QueueMessage
        do throws(QueueMessage.Malformed) {
          message = try QueueMessage(item)
          try message.check(against: QueueMessages.userServerAgent, queue: QueueNames.toUserServer)
        } catch {
          try await client.publishEach([
            item.deadLetter(from: QueueNames.toUserServer, because: error.reason, environment.log)
          ])
          continue
        }
        guard let user = message.data["USER_ID"]?.int, let text = message.data["MESSAGE_FOR_USER"] else {
          try await client.publishEach([
            item.deadLetter(
              from: QueueNames.toUserServer, because: "USER_ID: not a user of this server", environment.log)
          ])
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
      throw ChatRefusal.unavailable(.broker)
    }
    try await client.publishEach([message.sent(to: QueueNames.managerExchange, QueueNames.fromUserServer)])
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
    outgoing.id = QueueMessage.id("says/\(id)")
    try await send(outgoing)
  }

  /// Why the broker is of no use now; nil while it answers.
  public func fault() async -> String? { await client.fault() }

  /// Gives the connection up.
  public func close() async { await client.close() }
}

/// What was passed on already: the manager may publish it again when it did not hear that the broker has it.
private actor Seen {
  private let serialExecutor: ActorExecutor
  /// What comes again comes soon.
  private var ids = RecentIDs(limit: 20_000)

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment) { serialExecutor = environment.executor.forActor("seen") }

  func isNew(_ id: String?) -> Bool { id.map { ids.insert($0) } ?? true }
}
