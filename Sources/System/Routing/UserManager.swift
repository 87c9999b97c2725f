/// The User Manager: who is free, who serves whom, the transcript (contract section 4).
///
/// Everything that comes, by queue or by HTTP, goes through one line: a batch of it is applied to a copy of the state, committed with
/// its effects, and only then is the copy the state, are deliveries acknowledged and questions answered. What is to be published is part
/// of the commit (a transactional outbox) and goes out in its order.
public actor UserManager: Service {
  /// Its database in the data directory.
  public static let database = ServiceDatabase("manager.db", ManagerSchema.migrations)

  /// Messages that are handled in one commit.
  private static let maximumBatch = 512

  let environment: Environment
  let database: Database
  let options: UserManagerOptions
  let client: AMQPClient
  private let identity: String
  private let serialExecutor: ActorExecutor
  private(set) var state: ManagerState
  private var server: HTTPServer?
  private var waiting: [Work] = []
  private var isWorking = false
  private(set) var isClosed = false
  private var handled: RecentIDs
  private var outbox: [OutboxRow]
  private var isPublishing = false
  /// The last row of the outbox that was published.
  private var publishedThrough: Int64 = 0
  /// The last row of the outbox that is gone from the disk, and all before it.
  private var forgottenThrough: Int64 = 0
  /// Whether what was published will be forgotten in a moment, with or without something else.
  private var isForgettingSoon = false
  /// How long rows that were published wait for another commit.
  private static let forgettingDelay: Duration = .milliseconds(500)
  /// Whether the outbox on the disk may hold rows that the one in memory lacks.
  private var missesOutbox = false
  /// When each host was heard of last; one of before this life counts from its beginning.
  var heard: [String: Instant] = [:]
  let begun: Instant
  /// Since when each session waits for a host, and how often it was offered.
  var offered: [SupervisorID: (since: Instant, times: Int)] = [:]
  private(set) var deadLetters = 0
  private var questions: [String: UnsafeContinuation<JSONValue, any Error>] = [:]
  private var lastQuestion = 0
  private var lastCommit: Int64

  private struct Work {
    let input: ManagerInput
    let message: QueueMessage
    let answer: ManagerEffect.Answer?
    /// Names the message among all that were ever handled.
    let key: String?
    let done: Completion?
    /// What could not be read.
    var deadLetter: AMQPMessage?
  }

  /// Told when a batch is committed. Used on the manager's actor.
  private final class Completion: @unchecked Sendable {
    var continuation: UnsafeContinuation<Bool, Never>?
  }

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Where it listens.
  public nonisolated let addresses: [(name: String, address: SocketAddress)]

  /// Starts the service: reads what it knew, connects to the broker, listens.
  /// - Throws: `DatabaseError`, `NetworkError`: what an operator has to mend.
  public static func start(_ environment: Environment, _ options: UserManagerOptions) async throws -> UserManager {
    let metrics = Metrics(service: ManagerRoutes.description.name)
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database,
      observer: metrics.databaseObserver)
    let identity = Hex.encode(environment.entropy.bytes(8))
    let known = try await database.transaction { try $0.managerState(identity: identity) }
    let reference = ServiceReference<UserManager>()
    // All of it is for services and for its own page: no other page may read anything.
    var serverOptions = options.server
    serverOptions.cors = CORSPolicy(origins: [])
    let server = try HTTPServer(
      environment, address: options.address, service: ManagerRoutes.description,
      routes: ManagerRoutes.table(reference, metrics: metrics), metrics: metrics, options: serverOptions,
      onEnd: { reference.set(nil) })
    let client = AMQPClient(environment, broker: options.broker)
    let manager = UserManager(
      environment, options, database, client, known.identity, known.state, known.handled, known.outbox,
      known.lastCommit,
      server)
    reference.set(manager)
    // Nobody answers a declaration: what an earlier life declared may never have reached the broker.
    await client.declare(QueueNames.declarations + known.state.queues)
    for source in ManagerSource.allCases {
      await client.consume(source.queue, exclusive: true) { deliveries in
        try await manager.take(deliveries, from: source)
      }
    }
    client.start()
    environment.executor.spawn("manager-leases") { await manager.watchHosts() }
    environment.executor.spawn("manager-outbox") { await manager.startPublishing() }
    server.start()
    return manager
  }

  private init(
    _ environment: Environment, _ options: UserManagerOptions, _ database: Database, _ client: AMQPClient,
    _ identity: String, _ state: ManagerState, _ handled: [String], _ outbox: [OutboxRow], _ lastCommit: Int64,
    _ server: HTTPServer
  ) {
    self.environment = environment
    self.options = options
    self.database = database
    self.client = client
    self.identity = identity
    self.state = state
    self.state.pool.planted = options.planted
    self.handled = RecentIDs(limit: Int(ManagerCommit.keptHandled), handled)
    self.outbox = outbox
    self.lastCommit = lastCommit
    self.server = server
    begun = environment.clock.now
    addresses = [("manager", server.address)]
    serialExecutor = environment.executor.forActor("user-manager")
  }

  /// Stops taking requests and messages, publishes what it can, closes the database.
  public func drain() async {
    await server?.drain()
    server = nil
    isClosed = true
    let deadline = environment.clock.now + .seconds(2)
    while isWorking || !outbox.isEmpty, environment.clock.now < deadline {
      do { try await environment.clock.sleep(for: .milliseconds(5)) } catch { break }
    }
    await client.close()
    await forgetPublished()
    await database.close()
  }

  // MARK: What comes

  private func take(_ deliveries: [AMQPDelivery], from source: ManagerSource) async throws {
    guard !isClosed else { throw NetworkError.closed }
    let completion = Completion()
    for (index, delivery) in deliveries.enumerated() {
      let done = index == deliveries.count - 1 ? completion : nil
      waiting.append(work(delivery, source, done))
    }
    if options.planted.contains(.acknowledgesEarly) { return startWork() }
    if options.planted.contains(.taskPerMessage) { return handleEachInATask() }
    let isDone = await withUnsafeContinuation { continuation in
      completion.continuation = continuation
      startWork()
    }
    if !isDone { throw NetworkError.closed }
  }

  /// What a hurried programmer writes. Reached only when a test plants it.
  private func handleEachInATask() {
    let batch = waiting
    waiting = []
    for work in batch {
      environment.executor.spawn("naive-handler") { await self.lookUpAndHandle(work) }
    }
  }

  private func lookUpAndHandle(_ work: Work) async {
    _ = try? await database.transaction { try $0.first("SELECT 1", row: { $0.int(0) }) }
    waiting.append(work)
    startWork()
  }

  private func work(_ delivery: AMQPDelivery, _ source: ManagerSource, _ done: Completion?) -> Work {
    do throws(QueueMessage.Malformed) {
      let message = try QueueMessage(delivery)
      let input = try ManagerInput(message, from: source)
      let answer = message.replyTo.map {
        ManagerEffect.Answer(queue: $0, correlationID: message.correlationID, type: message.type)
      }
      var key = message.id.map { "\(source.rawValue)/\($0)" }
      // A heartbeat says that somebody lives now, as often as it comes.
      if case .heartbeat = input { key = nil }
      return Work(input: input, message: message, answer: answer, key: key, done: done)
    } catch {
      deadLetters += 1
      return Work(
        input: .heartbeat(host: ""), message: QueueMessage(""), answer: nil, key: nil, done: done,
        deadLetter: delivery.deadLetter(from: source.queue, because: error.reason, environment.log))
    }
  }

  /// Handles a message that came by HTTP; returns its answer.
  func ask(_ message: QueueMessage, from source: ManagerSource) async throws -> JSONValue {
    let input: ManagerInput
    do throws(QueueMessage.Malformed) {
      input = try ManagerInput(message, from: source)
    } catch {
      throw HTTPFailure(400, error.reason)
    }
    guard !isClosed else { throw HTTPFailure(503, "the service is stopping") }
    lastQuestion += 1
    let number = "\(lastQuestion)"
    let answer = ManagerEffect.Answer(queue: "", correlationID: number, type: message.type)
    waiting.append(
      Work(
        input: input, message: message, answer: answer, key: message.id.map { "\(source.rawValue)/\($0)" }, done: nil))
    return try await withUnsafeThrowingContinuation { continuation in
      questions[number] = continuation
      startWork()
    }
  }

  func submit(_ input: ManagerInput) {
    waiting.append(Work(input: input, message: QueueMessage(""), answer: nil, key: nil, done: nil))
    startWork()
  }

  // MARK: One line

  private func startWork() {
    guard !isWorking, !waiting.isEmpty else { return }
    isWorking = true
    environment.executor.spawn("manager-work") { await self.workAll() }
  }

  private func workAll() async {
    while !waiting.isEmpty {
      let batch = Array(waiting.prefix(Self.maximumBatch))
      waiting.removeFirst(batch.count)
      let isDone = await handle(batch)
      for work in batch { work.done?.continuation?.resume(returning: isDone) }
    }
    isWorking = false
  }

  /// Applies a batch and commits it, again and again until that is done. False when the manager is down.
  private func handle(_ batch: [Work]) async -> Bool {
    let (next, commit) = applied(batch)
    while true {
      do {
        let missedAfter = missesOutbox ? outbox.last?.position ?? publishedThrough : nil
        var outcome = ManagerOutcome()
        if !commit.isEmpty || missesOutbox {
          let published = publishedThrough > forgottenThrough ? publishedThrough : nil
          outcome = try await database.transaction {
            try commit.run(on: $0, forgetting: published, missedAfter: missedAfter)
          }
          missesOutbox = false
          if let published { forgottenThrough = published }
          lastCommit = commit.number
        }
        state = next
        for key in commit.handled { handled.insert(key) }
        tell(commit)
        finish(outcome, batch)
        return true
      } catch let error as DatabaseError {
        environment.log.warning("manager-commit", ["error": .string(error.reason)])
        if case .closed = error { break }
        // It may have been done all the same: then its rows are there, and will not be made again.
        missesOutbox = true
        failQuestions(batch)
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { break }
      } catch {
        break
      }
    }
    failQuestions(batch)
    return false
  }

  private func applied(_ batch: [Work]) -> (ManagerState, ManagerCommit) {
    var next = state
    var commit = ManagerCommit(number: lastCommit + 1)
    var fresh: Set<String> = []
    for work in batch {
      if let letter = work.deadLetter {
        commit.effects.append(.deadLetter(letter))
        continue
      }
      if let key = work.key {
        guard !handled.contains(key), fresh.insert(key).inserted else { continue }
        commit.handled.append(key)
      }
      commit.effects += next.apply(work.input, work.message, answer: work.answer)
    }
    let changes = next.pool.takeChanges()
    commit.users = changes.users
    commit.demands = changes.demands
    commit.sessions = next.takeChangedSessions()
    commit.nextSession = next.sessionNumber
    return (next, commit)
  }

  /// Tells whoever follows each step what has changed.
  private func tell(_ commit: ManagerCommit) {
    for (id, user) in commit.users {
      environment.log.debug(
        "user-moved",
        ["user": .string(id.json.text), "to": .string(user.place.name), "connection": .int(user.connection)])
    }
    for session in commit.sessions {
      environment.log.debug(
        "session-changed",
        [
          "session": .string(session.id.text), "status": .string(session.status.rawValue),
          "epoch": .int(session.epoch), "host": .string(session.host),
        ])
    }
  }

  private func finish(_ outcome: ManagerOutcome, _ batch: [Work]) {
    for work in batch {
      if case .heartbeat(let host) = work.input, !host.isEmpty { heard[host] = environment.clock.now }
      if case .initialize(let host) = work.input, !host.isEmpty { heard[host] = environment.clock.now }
      if case .hostLost(let host) = work.input { heard[host] = nil }
    }
    for (question, value) in outcome.answers { questions.removeValue(forKey: question)?.resume(returning: value) }
    // What was handled before has no answer but this.
    for work in batch where work.answer?.queue == "" {
      questions.removeValue(forKey: work.answer!.correlationID!)?.resume(returning: ManagerState.success)
    }
    outbox += outcome.outbox
    startPublishing()
  }

  private func failQuestions(_ batch: [Work]) {
    for work in batch where work.answer?.queue == "" {
      questions.removeValue(forKey: work.answer!.correlationID!)?
        .resume(throwing: HTTPFailure(503, "the manager's database is not available"))
    }
  }

  // MARK: Outbox

  private func startPublishing() {
    guard !isPublishing, !outbox.isEmpty else { return }
    isPublishing = true
    environment.executor.spawn("manager-publisher") { await self.publishAll() }
  }

  /// Publishes what was committed, in its order, and forgets what the broker has confirmed.
  private func publishAll() async {
    while !outbox.isEmpty {
      let batch = Array(outbox.prefix { $0.kind == .publish }.prefix(Self.maximumBatch))
      do {
        if batch.isEmpty {
          let row = outbox[0]
          switch row.kind {
          case .remove: try await client.delete(row.routingKey, exchange: row.exchange)
          case .declare, .publish: await client.declare([.queue(row.routingKey, exchange: row.exchange)])
          }
        } else {
          try await client.publish(try batch.map(message))
        }
      } catch {
        // The client was closed: the next life publishes it.
        break
      }
      let last = outbox[max(0, batch.count - 1)].position
      outbox.removeFirst(max(1, batch.count))
      publishedThrough = last
      forgetSoon()
    }
    isPublishing = false
  }

  private func message(_ row: OutboxRow) throws -> AMQPMessage {
    var reader = AMQPReader(row.properties[...])
    var properties = try AMQPProperties(&reader)
    if properties.messageID == nil { properties.messageID = "um-\(identity)-\(row.position)" }
    return AMQPMessage(exchange: row.exchange, routingKey: row.routingKey, properties: properties, body: row.body)
  }

  /// A row that stays is published once more by the next life, under the same id, so it can wait for a commit that somebody waits
  /// for. When none comes, it gets one of its own.
  private func forgetSoon() {
    guard !isForgettingSoon else { return }
    isForgettingSoon = true
    environment.executor.spawn("manager-forget") {
      do { try await self.environment.clock.sleep(for: Self.forgettingDelay) } catch { return }
      await self.forgetPublished()
    }
  }

  private func forgetPublished() async {
    isForgettingSoon = false
    let last = publishedThrough
    guard last > forgottenThrough else { return }
    do {
      try await database.transaction { try $0.forgetOutbox(through: last) }
      forgottenThrough = max(forgottenThrough, last)
    } catch {
      environment.log.info("outbox-rows-stay", ["error": .string("\(error)")])
    }
  }
}
