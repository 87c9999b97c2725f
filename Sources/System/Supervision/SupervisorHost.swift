import Environment

/// How a host of Session Supervisors is set up.
public struct SupervisorHostOptions: Sendable {
  /// Where the broker is.
  public var broker = BrokerAddress(address: SocketAddress(host: "127.0.0.1", port: 5672))
  /// What the host is called; something that no other has is added. Without one, its node's name.
  public var name: String?
  /// Time between two heartbeats.
  public var heartbeat: Duration = .seconds(2)

  /// The contract's defaults.
  public init() {}
}

/// Runs any number of Session Supervisors (contract section 4): takes what `SSE_HOSTS` offers, shows that it lives, and hands its
/// sessions over when it stops.
public actor SupervisorHost: Service {
  let environment: Environment
  private let options: SupervisorHostOptions
  private let client: AMQPClient
  /// Names this life of the host.
  private let name: String
  private let serialExecutor: ActorExecutor
  private var sessions: [SupervisorID: Running] = [:]
  private var isClosed = false

  private struct Running {
    var session: SupervisorSession
    /// What it consumes, once the manager has said that the session is this host's.
    var consumers: [Int] = []
  }

  /// Time between two requests for a session that nobody has answered.
  private static let insistence: Duration = .seconds(3)

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// It listens nowhere.
  public nonisolated let addresses: [(name: String, address: SocketAddress)] = []

  /// Starts the host.
  public static func start(_ environment: Environment, _ options: SupervisorHostOptions) async throws -> SupervisorHost
  {
    let host = SupervisorHost(environment, options)
    await host.begin()
    return host
  }

  private init(_ environment: Environment, _ options: SupervisorHostOptions) {
    self.environment = environment
    self.options = options
    client = AMQPClient(environment, broker: options.broker)
    let life = "-" + Hex.encode(environment.entropy.bytes(6))
    let base = options.name ?? environment.node
    // Names of queues are made of it; the life tells two hosts apart, however alike they are called.
    name = (base.utf8.count + life.utf8.count <= QueueNames.maximumHost ? base : "host") + life
    serialExecutor = environment.executor.forActor("supervisor-host")
  }

  private func begin() async {
    await client.declare(QueueNames.declarations)
    let answers = QueueNames.answers(to: name)
    await client.declare([.queue(answers, exchange: "")])
    await client.consumeEach(answers) { deliveries in try await self.takeAnswers(deliveries) }
    await client.consumeEach(QueueNames.hosts) { deliveries in try await self.takeOffers(deliveries) }
    client.start()
    environment.executor.spawn("supervisor-heartbeat") { await self.beat() }
  }

  /// Hands the sessions over and stops.
  public func drain() async {
    isClosed = true
    sessions = [:]
    var leaving = QueueMessage("HEARTBEAT", ["HOST": .string(name), "LEAVING": true])
    leaving.id = "\(name)/leaving"
    let message = Self.toManager(leaving)
    let task = environment.executor.spawn("supervisor-leaving") { [client] in
      // Without a broker nobody hears it: then the manager finds out by itself. It deletes the queue of answers, too.
      try? await client.publish(message)
    }
    let deadline = environment.clock.now + .seconds(2)
    environment.executor.spawn("supervisor-patience") { [environment, client] in
      try? await environment.clock.sleep(until: deadline)
      await client.close()
    }
    await task.value
    await client.close()
  }

  private static func toManager(_ message: QueueMessage) -> AMQPMessage {
    message.sent(to: QueueNames.managerExchange, QueueNames.fromSupervisors)
  }

  private func beat() async {
    while !isClosed {
      // The next one waits for this one: what a broker that is away would be told later says nothing any more.
      do {
        try await client.publish(Self.toManager(QueueMessage("HEARTBEAT", ["HOST": .string(name)])))
        try await environment.clock.sleep(for: options.heartbeat)
      } catch {
        return
      }
    }
  }

  // MARK: Sessions

  private func takeOffers(_ deliveries: [AMQPDelivery]) async throws {
    guard !isClosed else { throw NetworkError.closed }
    var messages: [AMQPMessage] = []
    for delivery in deliveries {
      let id: SupervisorID
      let epoch: Int64
      let data: JSONValue
      do throws(QueueMessage.Malformed) {
        (id, epoch, data) = try Self.offer(try QueueMessage(delivery))
      } catch {
        messages.append(delivery.deadLetter(from: QueueNames.hosts, because: error.reason, environment.log))
        continue
      }
      if let known = sessions[id] {
        guard known.session.epoch < epoch else { continue }
        await stop(id, known.session.epoch)
      }
      let session = SupervisorSession(id: id, epoch: epoch, data: data, host: name)
      sessions[id] = Running(session: session)
      environment.executor.spawn("supervisor-insists") { await self.insist(id, epoch) }
    }
    try await client.publishEach(messages)
  }

  private static func offer(
    _ message: QueueMessage
  ) throws(QueueMessage.Malformed) -> (id: SupervisorID, epoch: Int64, data: JSONValue) {
    try message.check(against: QueueMessages.supervisor, queue: QueueNames.hosts)
    guard let epoch = message.data["EPOCH"]?.int, (0...ClientBounds.counter).contains(epoch) else {
      throw .init(reason: "EPOCH: missing, or not an integer from 0 to \(ClientBounds.counter)")
    }
    return (try QueueMessage.supervisor(message.data), epoch, message.data["SESSION_DATA"] ?? .object([]))
  }

  /// Asks for a session until there is an answer.
  private func insist(_ id: SupervisorID, _ epoch: Int64) async {
    var attempt = 0
    while !isClosed, let session = sessions[id]?.session, session.epoch == epoch, session.status == .starting {
      attempt += 1
      await client.post(Self.toManager(session.begin(attempt: attempt)))
      do { try await environment.clock.sleep(for: Self.insistence) } catch { return }
    }
  }

  /// Whether sessions are this host's.
  private func takeAnswers(_ deliveries: [AMQPDelivery]) async throws {
    guard !isClosed else { throw NetworkError.closed }
    for delivery in deliveries {
      let correlation = delivery.properties.correlationID ?? ""
      let parts = correlation.split(separator: "/")
      guard parts.count == 3, let id = SupervisorID(String(parts[2])), let answer = try? delivery.value() else {
        try await client.publishEach([
          delivery.deadLetter(from: QueueNames.answers(to: name), because: "not an answer", environment.log)
        ])
        continue
      }
      guard var running = sessions[id] else { continue }
      let asked = running.session
      let out = running.session.take(
        answer: answer, to: correlation, deliveryID: delivery.properties.messageID ?? "")
      sessions[id] = running
      switch running.session.status {
      case .over: await stop(id, asked.epoch)
      case .running where asked.status == .starting:
        let consumers = await consume(id)
        // Consuming takes its time: the session may be over meanwhile, or have been offered anew.
        if sessions[id]?.session.epoch == asked.epoch {
          sessions[id]?.consumers = consumers
        } else {
          for consumer in consumers { await client.cancel(consumer) }
        }
      case .running, .starting: break
      }
      try await client.publishEach((out ?? []).map(Self.toManager))
    }
  }

  private func consume(_ id: SupervisorID) async -> [Int] {
    var consumers: [Int] = []
    for queue in QueueNames.queues(of: id) {
      await client.declare([.queue(queue, exchange: QueueNames.supervisorExchange)])
      consumers.append(
        await client.consumeEach(queue) { deliveries in try await self.take(deliveries, from: queue, for: id) })
    }
    return consumers
  }

  private func take(_ deliveries: [AMQPDelivery], from queue: String, for id: SupervisorID) async throws {
    guard !isClosed, sessions[id] != nil else { throw NetworkError.closed }
    var messages: [AMQPMessage] = []
    var belongsToAnother = false
    for delivery in deliveries {
      // One that is over touches nothing more: what comes is for whoever has the session now.
      guard var running = sessions[id], running.session.status != .over else {
        belongsToAnother = true
        break
      }
      do throws(QueueMessage.Malformed) {
        let out = try Self.take(delivery, from: queue, for: &running.session)
        sessions[id] = running
        guard let out else {
          belongsToAnother = true
          break
        }
        messages += out.map(Self.toManager)
      } catch {
        messages.append(delivery.deadLetter(from: queue, because: error.reason, environment.log))
      }
    }
    try await client.publishEach(messages)
    if let session = sessions[id]?.session, session.status == .over {
      environment.executor.spawn("supervisor-end") { await self.stop(id, session.epoch) }
    }
    if belongsToAnother { throw NetworkError.closed }
  }

  /// An answer has no `TYPE` and says what it answers; all else is a message.
  private static func take(
    _ delivery: AMQPDelivery, from queue: String, for session: inout SupervisorSession
  ) throws(QueueMessage.Malformed) -> [QueueMessage]? {
    let name = delivery.properties.messageID ?? ""
    let value = try delivery.value()
    if value["TYPE"] == nil, let correlation = delivery.properties.correlationID {
      return session.take(answer: value, to: correlation, deliveryID: name)
    }
    let message = try QueueMessage(delivery, value)
    try message.check(against: QueueMessages.supervisor, queue: QueueMessages.kind(of: queue))
    return try session.take(message, deliveryID: name)
  }

  /// Consumes no more for a session under one epoch; the session may be here anew under another. Its queues are the manager's to delete.
  private func stop(_ id: SupervisorID, _ epoch: Int64) async {
    guard sessions[id]?.session.epoch == epoch, let running = sessions.removeValue(forKey: id) else { return }
    for consumer in running.consumers { await client.cancel(consumer) }
  }
}
