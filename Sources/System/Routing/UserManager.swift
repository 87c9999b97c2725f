import Environment

/// The User Manager: who is free, who serves whom, the transcript (contract section 4).
///
/// Everything that comes, by queue or by HTTP, goes through one line: a batch of it is applied to a copy of the state, committed with
/// its effects, and only then is the copy the state, are deliveries acknowledged and questions answered. What is to be published is part
/// of the commit (a transactional outbox) and goes out in its order.
public actor UserManager: HTTPBackend {
  /// Its database in the data directory.
  public static let database = ServiceDatabase("manager.db", ManagerSchema.migrations)

  /// Messages that are handled in one commit.
  static let maximumBatch = 512

  let environment: Environment
  let database: Database
  let options: UserManagerOptions
  let client: AMQPClient
  let identity: String
  private let serialExecutor: ActorExecutor
  private(set) var state: ManagerState
  private var waiting: [Work] = []
  private var isWorking = false
  private(set) var isClosed = false
  private var handled: RecentIDs
  var outbox: [OutboxRow]
  var isPublishing = false
  /// The last row of the outbox that was published.
  var publishedThrough: Int64 = 0
  /// The last row of the outbox that is gone from the disk, and all before it.
  var forgottenThrough: Int64 = 0
  /// Whether what was published will be forgotten in a moment, with or without something else.
  var isForgettingSoon = false
  /// Whether the outbox on the disk may hold rows that the one in memory lacks.
  private var missesOutbox = false
  /// When each host was heard of last; one of before this life counts from its beginning.
  var heard: [String: Instant] = [:]
  let begun: Instant
  /// Since when each session waits for a host, and how often it was offered.
  var offered: [SupervisorID: (since: Instant, times: Int)] = [:]
  private(set) var deadLetters = 0
  private var questions: [Int: UnsafeContinuation<JSONValue, any Error>] = [:]
  private var lastQuestion = 0
  private var lastCommit: Int64

  private struct Work {
    let input: ManagerInput
    let message: QueueMessage
    let answer: ManagerEffect.Answer?
    /// Names the message among all that were ever handled.
    let key: String?
    let done: Completion?
    /// The delivery that brought it, with its queue.
    var delivery: (queue: String, delivery: AMQPDelivery)?
    /// A message that could not be read, and why.
    var deadLetter: (message: AMQPMessage, reason: String)?
  }

  /// Told when a batch is committed. Used on the manager's actor.
  private final class Completion: @unchecked Sendable {
    var continuation: UnsafeContinuation<Bool, Never>?
  }

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Starts the service: reads what it knew, connects to the broker, listens.
  /// - Throws: `DatabaseError`, `NetworkError`: what an operator has to mend.
  public static func start(_ environment: Environment, _ options: UserManagerOptions) async throws -> HTTPService<
    UserManager
  > {
    let metrics = Metrics(service: ManagerRoutes.description.name)
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database,
      observer: metrics.databaseObserver)
    let identity = Hex.encode(environment.entropy.bytes(8))
    let known = try await database.transaction { try $0.managerState(identity: identity) }
    for row in known.setAside { environment.log.error("row-set-aside", ["row": .string(row)]) }
    // All of it is for services and for its own page: no other page may read anything.
    var serverOptions = options.server
    serverOptions.cors = CORSPolicy(origins: [])
    let listener = try environment.network.listen(options.address, backlog: serverOptions.backlog)
    let client = AMQPClient(environment, broker: options.broker)
    let manager = UserManager(environment, options, database, client, known)
    let server = HTTPServer(
      environment, listener, service: ManagerRoutes.description,
      routes: ManagerRoutes.table(manager, metrics: metrics), metrics: metrics, options: serverOptions)
    // Nobody answers a declaration: what an earlier life declared may never have reached the broker.
    await client.declare(QueueNames.declarations + known.state.queues)
    for source in ManagerSource.allCases {
      await client.consumeEach(source.queue, exclusive: true) { deliveries in
        try await manager.take(deliveries, from: source)
      }
    }
    client.start()
    environment.executor.spawn("manager-leases") { await manager.watchHosts() }
    environment.executor.spawn("manager-outbox") { await manager.startPublishing() }
    return HTTPService("manager", manager, server)
  }

  private init(
    _ environment: Environment, _ options: UserManagerOptions, _ database: Database, _ client: AMQPClient,
    _ known: StoredManager
  ) {
    self.environment = environment
    self.options = options
    self.database = database
    self.client = client
    identity = known.identity
    state = known.state
    state.pool.planted = options.planted
    self.handled = RecentIDs(limit: Int(ManagerCommit.keptHandled), known.handled)
    outbox = known.outbox
    lastCommit = known.lastCommit
    begun = environment.clock.now
    serialExecutor = environment.executor.forActor("user-manager")
  }

  /// Stops taking requests and messages, publishes what it can, closes the database.
  public func drain(_ server: HTTPServer) async {
    await server.drain()
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
    if options.planted(.acknowledgesEarly) { return startWork() }
    if options.planted(.taskPerMessage) { return handleEachInATask() }
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
      let message = try QueueMessage(delivery, depth: JSONParser.queueDepth)
      let input = try ManagerInput(message, from: source)
      let answer = Self.answer(to: delivery, type: message.type)
      var key = message.id.map { "\(source.rawValue)/\($0)" }
      // A heartbeat says that somebody lives now, as often as it comes.
      if case .heartbeat = input { key = nil }
      return Work(
        input: input, message: message, answer: answer, key: key, done: done, delivery: (source.queue, delivery))
    } catch {
      return setAside(delivery, from: source.queue, because: error.reason, done)
    }
  }

  private static func answer(to delivery: AMQPDelivery, type: String) -> ManagerEffect.Answer? {
    delivery.replyTo.map {
      ManagerEffect.Answer(
        destination: .queue($0, correlationID: delivery.properties.correlationID), type: type)
    }
  }

  /// What cannot be processed goes to the dead letters, and whoever asked is told.
  private func setAside(_ delivery: AMQPDelivery, from queue: String, because reason: String, _ done: Completion?)
    -> Work
  {
    deadLetters += 1
    return Work(
      input: .heartbeat(host: ""), message: QueueMessage(""), answer: Self.answer(to: delivery, type: "REFUSED"),
      key: nil, done: done,
      deadLetter: (delivery.deadLetter(from: queue, because: reason, environment.log), reason))
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
    let number = lastQuestion
    let answer = ManagerEffect.Answer(destination: .question(number), type: message.type)
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
        if case .constraint = error { return await handleEach(batch, error) }
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

  /// Handles a batch of which one message breaks a rule of the database: that one is set aside, and the others go on.
  private func handleEach(_ batch: [Work], _ error: DatabaseError) async -> Bool {
    guard batch.count == 1 else {
      for work in batch { if await !handle([work]) { return false } }
      return true
    }
    failQuestions(batch)
    guard let (queue, delivery) = batch[0].delivery else {
      environment.log.error("input-dropped", ["error": .string(error.reason)])
      return true
    }
    return await handle([setAside(delivery, from: queue, because: error.reason, nil)])
  }

  private func applied(_ batch: [Work]) -> (ManagerState, ManagerCommit) {
    var next = state
    var commit = ManagerCommit(number: lastCommit + 1)
    var fresh: Set<String> = []
    for work in batch {
      if let (letter, reason) = work.deadLetter {
        commit.effects.append(.deadLetter(letter))
        if let answer = work.answer { commit.effects.append(.answer(answer, ManagerState.failure(reason))) }
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
    for (user, reason) in outcome.refused {
      environment.log.warning("user-message-refused", ["user": .string(user.key), "reason": .string(reason)])
    }
    for (question, value) in outcome.answers { questions.removeValue(forKey: question)?.resume(returning: value) }
    // What was handled before has no answer but this.
    for question in batch.compactMap({ $0.answer?.question }) {
      questions.removeValue(forKey: question)?.resume(returning: ManagerState.success)
    }
    outbox += outcome.outbox
    startPublishing()
  }

  private func failQuestions(_ batch: [Work]) {
    for question in batch.compactMap({ $0.answer?.question }) {
      questions.removeValue(forKey: question)?
        .resume(throwing: HTTPFailure(503, "the manager's database is not available"))
    }
  }
}
