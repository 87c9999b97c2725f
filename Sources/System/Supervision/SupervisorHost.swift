import Environment

/// Runs any number of Session Supervisors (contract section 4).
///
/// The host takes the sessions that `SSE_HOSTS` offers, sends heartbeats, and gives its sessions up
/// when it stops. `SupervisorSession` decides what a supervisor does; the host does it.
public actor SupervisorHost: Service {
  /// Time between two requests for an offered session.
  private static let requestInterval: Duration = .seconds(3)
  /// Time to tell the manager that the host is leaving.
  private static let drainTimeout: Duration = .seconds(2)

  private let environment: Environment
  private let options: SupervisorHostOptions
  private let client: AMQPClient
  /// Differs in each life of the host.
  private let name: HostName
  private let serialExecutor: ActorExecutor
  private(set) var sessions: [SupervisorID: Running] = [:]
  private var isClosed = false
  /// The number of the last check of a session.
  private var checks = 0

  struct Running {
    var session: SupervisorSession
    /// The consumers of the session's queues, once the manager has accepted the host.
    var consumers: [Int] = []
    /// Another host may have taken the session. The number of the first check whose answer counts,
    /// or nil if there is no doubt.
    var doubt: Int?
  }

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Empty: a host does not listen.
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
    name = Self.makeName(options.name ?? environment.node, environment.entropy)
    serialExecutor = environment.executor.forActor("supervisor-host")
  }

  /// Adds a random part, which tells apart two lives of a host and two hosts of one name.
  private static func makeName(_ base: String, _ entropy: any Entropy) -> HostName {
    let life = "-" + Hex.encode(entropy.bytes(6))
    return HostName(base + life) ?? HostName("host" + life)!
  }

  private func begin() async {
    await client.declare(QueueNames.declarations)
    let answers = QueueNames.answers(to: name)
    await client.declare([.queue(answers, exchange: "")])
    await client.consumeEach(answers) { deliveries in try await self.takeAnswers(deliveries) }
    await client.consumeEach(QueueNames.hosts) { deliveries in try await self.takeOffers(deliveries) }
    client.start()
    environment.executor.spawn("supervisor-heartbeat") { await self.sendHeartbeats() }
  }

  /// Why the broker cannot be used; nil if it answers.
  func brokerFault() async -> String? { await client.fault() }

  /// Gives the sessions up and stops.
  public func drain() async {
    isClosed = true
    sessions = [:]
    var leaving = QueueMessage("HEARTBEAT", ["HOST": .string(name.text), "LEAVING": true])
    leaving.id = "\(name.text)/leaving"
    let message = Self.toManager(leaving)
    let task = environment.executor.spawn("supervisor-leaving") { [client] in
      // If the broker does not get it, the manager misses the heartbeats.
      _ = try? await client.publish(message)
    }
    let deadline = environment.clock.now + Self.drainTimeout
    environment.executor.spawn("supervisor-patience") { [environment, client] in
      try? await environment.clock.sleep(until: deadline)
      await client.close()
    }
    await task.value
    await client.close()
  }

  private static func toManager(_ message: QueueMessage) -> AMQPMessage { toManager(message, of: message.trace) }

  private static func toManager(_ message: QueueMessage, of trace: RequestTrace?) -> AMQPMessage {
    var message = message
    message.trace = trace
    return message.sent(to: QueueNames.managerExchange, QueueNames.fromSupervisors)
  }

  /// A manager that counts this host as lost deletes its queue for answers, which ends a connection
  /// that is open then. So a new connection is the sign that sessions may be with other hosts.
  private func sendHeartbeats() async {
    var connection = 0
    while !isClosed {
      do {
        // Waits for the broker, so that heartbeats do not pile up while it is away.
        let current = try await client.publish(
          Self.toManager(QueueMessage("HEARTBEAT", ["HOST": .string(name.text)])))
        if current != connection { checkSessions() }
        connection = current
        try await environment.clock.sleep(for: options.heartbeat)
      } catch {
        return
      }
    }
  }

  /// Asks whether the sessions are still here. Answers from before may still arrive.
  private func checkSessions() {
    for id in sessions.keys.sorted() {
      guard let running = sessions[id] else { continue }
      sessions[id]!.doubt = checks + 1
      if running.doubt == nil { environment.executor.spawn("supervisor-doubts") { await self.check(running.session) } }
    }
  }

  /// Asks whether a session is still here until the manager answers.
  private func check(_ session: SupervisorSession) async {
    await ask(about: session, while: { $0.doubt != nil }) {
      checks += 1
      return Self.toManager(session.check(number: checks))
    }
  }

  /// Asks the manager about a session, again and again while the answer is missing. An answer is
  /// lost when the manager deletes the queue for answers, because it counts this host as lost.
  private func ask(
    about session: SupervisorSession, while isMissing: (Running) -> Bool, _ question: () -> AMQPMessage
  ) async {
    while !isClosed, let running = sessions[session.id], running.session.epoch == session.epoch, isMissing(running) {
      await client.post(question())
      do { try await environment.clock.sleep(for: Self.requestInterval) } catch { return }
    }
  }

  // MARK: Offers

  private func takeOffers(_ deliveries: [AMQPDelivery]) async throws {
    guard !isClosed else { throw NetworkError.closed }
    var letters: [AMQPMessage] = []
    for delivery in deliveries {
      let offer: SessionOffer
      do throws(QueueMessage.Malformed) {
        offer = try SessionOffer(try QueueMessage(delivery))
      } catch {
        letters.append(delivery.deadLetter(from: QueueNames.hosts, because: error.reason, environment.log))
        continue
      }
      if let known = sessions[offer.session]?.session {
        guard known.epoch < offer.epoch else { continue }
        await stop(known)
      }
      let session = SupervisorSession(offer, host: name)
      sessions[offer.session] = Running(session: session)
      environment.executor.spawn("supervisor-insists") { await self.request(session, trace: offer.trace) }
    }
    try await client.publishEach(letters)
  }

  /// Asks for an offered session until the manager answers.
  private func request(_ session: SupervisorSession, trace: RequestTrace?) async {
    var attempt = 0
    await ask(about: session, while: { $0.session.status == .starting }) {
      attempt += 1
      return Self.toManager(session.begin(attempt: attempt), of: trace?.nextSpan(from: environment.identifiers))
    }
  }

  /// Takes the manager's answers to requests for sessions.
  private func takeAnswers(_ deliveries: [AMQPDelivery]) async throws {
    guard !isClosed else { throw NetworkError.closed }
    for delivery in deliveries {
      guard let question = SupervisorQuestion(delivery.properties.correlationID?.text ?? ""), let id = question.session,
        let answer = try? delivery.value()
      else {
        try await client.publishEach([
          delivery.deadLetter(from: QueueNames.answers(to: name), because: "not an answer", environment.log)
        ])
        continue
      }
      guard var running = sessions[id] else { continue }
      let before = running.session
      let out = running.session.take(
        answer: answer, to: question, deliveryID: delivery.properties.messageID?.text ?? "")
      if question.epoch == before.epoch, let check = question.check, let doubt = running.doubt, check >= doubt {
        running.doubt = nil
      }
      sessions[id] = running
      switch running.session.status {
      case .over: await stop(before)
      case .running where before.status == .starting:
        let consumers = await consume(id)
        // Meanwhile the session may have ended, or have been offered again.
        if sessions[id]?.session.epoch == before.epoch {
          sessions[id]?.consumers = consumers
        } else {
          await stopConsuming(consumers, for: id)
        }
      case .running, .starting: break
      }
      let trace = delivery.nextTrace(from: environment.identifiers)
      try await client.publishEach((out ?? []).map { Self.toManager($0, of: trace) })
    }
  }

  // MARK: Sessions

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
      // The messages after the end of a supervisor are for the next one.
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
        let trace = delivery.nextTrace(from: environment.identifiers)
        messages += out.map { Self.toManager($0, of: trace) }
      } catch {
        messages.append(delivery.deadLetter(from: queue, because: error.reason, environment.log))
      }
    }
    try await client.publishEach(messages)
    if let session = sessions[id]?.session, session.status == .over {
      environment.executor.spawn("supervisor-end") { await self.stop(session) }
    }
    if belongsToAnother { throw NetworkError.closed }
  }

  /// An answer has a correlation id and no `TYPE`. Anything else is a message.
  private static func take(
    _ delivery: AMQPDelivery, from queue: String, for session: inout SupervisorSession
  ) throws(QueueMessage.Malformed) -> [QueueMessage]? {
    let id = delivery.properties.messageID?.text ?? ""
    let value = try delivery.value()
    if value["TYPE"] == nil, let correlationID = delivery.properties.correlationID {
      guard let question = SupervisorQuestion(correlationID.text ?? "") else { return [] }
      return session.take(answer: value, to: question, deliveryID: id)
    }
    let message = try QueueMessage(delivery, value)
    try message.check(against: QueueMessages.supervisor, queue: QueueMessages.kind(of: queue))
    return try session.take(message, deliveryID: id)
  }

  /// Stops consuming for a supervisor. The session may be here again with a later epoch.
  private func stop(_ session: SupervisorSession) async {
    guard sessions[session.id]?.session.epoch == session.epoch, let running = sessions.removeValue(forKey: session.id)
    else { return }
    await stopConsuming(running.consumers, for: session.id)
  }

  /// Ends consumers of a session. The manager deletes its queues, and declares them itself as long
  /// as it has the session, so the next connection must not declare them from here.
  private func stopConsuming(_ consumers: [Int], for id: SupervisorID) async {
    for consumer in consumers { await client.cancel(consumer) }
    guard sessions[id] == nil else { return }
    for queue in QueueNames.queues(of: id) {
      await client.forget(queue, exchange: QueueNames.supervisorExchange)
    }
  }
}
