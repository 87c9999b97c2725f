import Environment

/// The User Manager (contract section 4): it keeps the pool of users, assigns users to supervised
/// sessions, starts the sessions anew when their host fails, and writes their transcripts.
///
/// The manager handles messages of all queues and of HTTP in one order, in batches. It applies a
/// batch to a copy of its state and commits the changed rows with the effects. Only then does the
/// copy become the state, and only then are deliveries acknowledged and callers answered. Messages
/// to publish are part of the commit (a transactional outbox) and go out in its order.
public actor UserManager: HTTPBackend {
  /// The manager's database.
  public static let database = ServiceDatabase(
    "manager.db", ManagerSchema.migrations, invariants: ManagerInvariants.all)

  /// Time between two looks at the hosts' heartbeats.
  private static let watchInterval: Duration = .milliseconds(500)
  /// Time between two attempts at a commit while the disk fails.
  private static let retryDelay: Duration = .milliseconds(100)

  private let environment: Environment
  let database: Database
  private let options: UserManagerOptions
  private let client: AMQPClient
  /// What operators do beside the manager's own state.
  nonisolated let desk: OperatorDesk
  private let names: UserNames?
  private let letters: RetentionPasses?
  private let outbox: ManagerOutbox
  private let serialExecutor: ActorExecutor
  private(set) var state: ManagerState
  private(set) var leases: HostLeases
  private var removals: RemovalSchedule
  private var pendingAnswers = PendingAnswers()
  private var waiting: [ManagerWork] = []
  private var isWorking = false
  /// Opened when no work is left.
  private let workDone = Gate()
  private var isClosed = false
  private var handled: RecentIDs
  private var lastCommit: Int64
  /// Whether the database may hold rows of the outbox that `outbox` lacks: a commit seemed to fail.
  private var missesOutbox = false
  /// Messages that were set aside in this life.
  private(set) var deadLetters = 0
  /// Ended sessions that were removed in this life.
  private(set) var removedSessions = 0
  /// Dead letters that were removed in this life, for their number; nil if all are kept.
  var removedLetters: Int? { get async { await letters?.removed } }

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Starts the service: reads the stored state, connects to the broker, and listens.
  /// - Throws: `DatabaseError`, `NetworkError`: a fault that an operator has to mend.
  public static func start(
    _ environment: Environment, _ options: UserManagerOptions
  ) async throws -> HTTPService<UserManager> {
    let metrics = Metrics(service: ManagerRoutes.description.name)
    var databaseOptions = options.database
    databaseOptions.takesTurns = true
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: databaseOptions,
      observer: metrics.databaseObserver)
    let identity = Hex.encode(environment.entropy.bytes(8))
    let stored = try await database.transaction { try await ManagerTables($0).stored(identity: identity) }
    // The API is for services and for its own page, so no other page may read it.
    var serverOptions = options.server
    serverOptions.cors = CORSPolicy(origins: [])
    let listener = try environment.network.listen(options.address, backlog: serverOptions.backlog, for: .http)
    let client = AMQPClient(environment, broker: options.broker)
    let manager = UserManager(environment, options, database, client, stored)
    let process = options.server.processMetrics
    let server = HTTPServer(
      environment, listener, service: ManagerRoutes.description,
      routes: ManagerRoutes.table(manager, metrics: metrics) { await manager.metrics() + process() },
      metrics: metrics, options: serverOptions)
    // A declaration is not confirmed: that of an earlier life may never have reached the broker.
    await client.declare(QueueNames.declarations + stored.state.queues)
    for source in ManagerSource.allCases {
      await client.consumeEach(source.queue, exclusive: true) { deliveries in
        try await manager.take(deliveries, from: source)
      }
    }
    client.start()
    environment.executor.spawn("manager-leases") { await manager.watchHosts() }
    manager.letters?.start()
    environment.executor.spawn("manager-outbox") { await manager.outbox.startPublishing() }
    return HTTPService("manager", manager, server)
  }

  private init(
    _ environment: Environment, _ options: UserManagerOptions, _ database: Database, _ client: AMQPClient,
    _ stored: StoredManager
  ) {
    self.environment = environment
    self.options = options
    self.database = database
    self.client = client
    let token = options.server.serviceToken
    desk = OperatorDesk(
      environment: environment, broker: options.broker, services: options.services, serviceToken: token)
    names = options.services.map { UserNames(environment, $0, serviceToken: token) }
    letters = RetentionPasses(
      environment, "dead-letter-retention", options.deadLetters,
      DeadLetterRetention(environment: environment, broker: options.broker, rule: options.deadLetters).pass)
    state = stored.state
    state.pool.planted = options.planted
    state.pool.limit(by: environment.limits)
    handled = RecentIDs(limit: Int(ManagerCommit.keptHandled), stored.handled)
    lastCommit = stored.lastCommit
    leases = HostLeases(options, at: environment.clock.now)
    removals = RemovalSchedule(options.retention, isErasing: stored.erasing > 0, at: environment.clock.now)
    serialExecutor = environment.executor.forActor("user-manager")
    outbox = ManagerOutbox(
      environment, database, client, identity: stored.identity, rows: stored.outbox, on: serialExecutor)
  }

  /// Stops taking requests and messages, publishes what it can within 2 s, and closes the database.
  public func drain(_ server: HTTPServer) async {
    await server.drain()
    isClosed = true
    let deadline = environment.clock.now + .seconds(2)
    while isWorking, await workDone.wait(until: deadline, in: environment) {}
    await letters?.close()
    await outbox.waitUntilEmpty(before: deadline)
    await client.close()
    await outbox.deletePublished()
    await database.close()
  }

  // MARK: Intake

  private func take(_ deliveries: [AMQPDelivery], from source: ManagerSource) async throws {
    guard !isClosed else { throw NetworkError.closed }
    var works = deliveries.map { ManagerWork($0, from: source, environment) }
    deadLetters += works.count(where: \.isDeadLetter)
    if options.planted(.acknowledgesEarly) {
      waiting += works
      return startWork()
    }
    if options.planted(.taskPerMessage) {
      for work in works {
        environment.executor.spawn("naive-handler") { await self.lookUpAndHandle(work) }
      }
      return
    }
    let isDone = await withUnsafeContinuation { continuation in
      works[works.count - 1].done = continuation
      waiting += works
      startWork()
    }
    if !isDone { throw NetworkError.closed }
  }

  private func lookUpAndHandle(_ work: ManagerWork) async {
    _ = try? await database.transaction { try await $0.first("SELECT 1", row: { $0.int(0) }) }
    waiting.append(work)
    startWork()
  }

  /// Handles a message that came over HTTP; returns its answer.
  func ask(_ message: QueueMessage, from source: ManagerSource) async throws(ManagerRefusal) -> JSONValue {
    let caller = pendingAnswers.nextCaller()
    let work: ManagerWork
    do throws(QueueMessage.Malformed) {
      work = try ManagerWork(message, from: source, caller)
    } catch {
      throw .malformed(error.reason)
    }
    return try await answer(to: work, caller)
  }

  /// Ends the sessions of a customer, and removes them with their transcripts. Returns how many
  /// were found, those that this call has removed, and how many remain.
  func erase(_ customer: CustomerEmail) async throws(ManagerRefusal) -> JSONValue {
    let caller = pendingAnswers.nextCaller()
    return try await answer(to: ManagerWork(.erase(customer), for: caller), caller)
  }

  /// Returns what `erase` would find.
  func survey(_ customer: CustomerEmail) async throws -> JSONValue {
    try await database.transaction { try await EndedSessionsTable.survey(customer, $0) }
  }

  private func answer(to work: ManagerWork, _ caller: PendingAnswers.Caller) async throws(ManagerRefusal) -> JSONValue {
    guard !isClosed else { throw .stopping }
    waiting.append(work)
    let answer = await withUnsafeContinuation { continuation in
      pendingAnswers.wait(caller, continuation)
      startWork()
    }
    return try answer.get()
  }

  private func watchHosts() async {
    while !isClosed {
      for input in leases.expire(among: state.sessions.all, at: environment.clock.now) {
        if case .hostLost(let host) = input {
          environment.log.warning("host-lost", ["host": .string(host.text)])
        }
        waiting.append(ManagerWork(input))
        startWork()
      }
      if removals.takeDue(at: environment.clock.now) {
        waiting.append(ManagerWork(.removeEnded(options.retention)))
        startWork()
      }
      do { try await environment.clock.sleep(for: Self.watchInterval) } catch { return }
    }
  }

  // MARK: Commits

  private func startWork() {
    guard !isWorking, !waiting.isEmpty else { return }
    isWorking = true
    environment.executor.spawn("manager-work") { await self.workAll() }
  }

  private func workAll() async {
    while !waiting.isEmpty {
      let batch = Array(waiting.prefix(environment.limits[.managerBatch]))
      waiting.removeFirst(batch.count)
      let isDone = await handle(batch)
      for work in batch { work.done?.resume(returning: isDone) }
    }
    isWorking = false
    workDone.open()
  }

  /// Applies a batch and commits it, as often as it takes. Returns false if the manager stops.
  private func handle(_ batch: [ManagerWork]) async -> Bool {
    let (next, commit) = apply(batch)
    while true {
      do {
        let outcome = try await store(commit)
        state = next
        for key in commit.handled { handled.insert(key) }
        log(commit)
        await finish(outcome, batch)
        return true
      } catch let error as DatabaseError {
        environment.log.warning("manager-commit", ["error": .string(error.reason)])
        if case .closed = error { break }
        if case .locked = error, giveWay() { break }
        if case .constraint = error { return await handleEach(batch, error) }
        // The commit may be in the database. Then the next attempt stores nothing, and reads its
        // rows.
        missesOutbox = true
        refuseCallers(of: batch)
        do { try await environment.clock.sleep(for: Self.retryDelay) } catch { break }
      } catch {
        break
      }
    }
    refuseCallers(of: batch)
    return false
  }

  /// Lets go of the queues, since another process has the tables on the server now. Returns false
  /// over a file.
  private func giveWay() -> Bool {
    guard database.isOnServer else { return false }
    isClosed = true
    environment.executor.spawn("manager-gives-way") { await self.client.close() }
    return true
  }

  private func store(_ commit: ManagerCommit) async throws -> ManagerOutcome {
    guard !commit.isEmpty || missesOutbox else { return ManagerOutcome() }
    let missedAfter = missesOutbox ? await outbox.lastPosition : nil
    let published = await outbox.deletablePosition
    let outcome = try await database.transaction {
      try await commit.run(on: ManagerTables($0), deleting: published, missedAfter: missedAfter)
    }
    missesOutbox = false
    if let published { await outbox.noteDeleted(through: published) }
    lastCommit = commit.number
    return outcome
  }

  /// Handles each message of a batch by itself, because one of them violates a constraint of the
  /// database. That one is set aside.
  private func handleEach(_ batch: [ManagerWork], _ error: DatabaseError) async -> Bool {
    guard batch.count == 1 else {
      for work in batch { if await !handle([work]) { return false } }
      return true
    }
    refuseCallers(of: batch)
    guard let letter = batch[0].settingAside(because: error.reason, environment.log) else {
      environment.log.error("input-dropped", ["error": .string(error.reason)])
      return true
    }
    deadLetters += 1
    return await handle([letter])
  }

  private func apply(_ batch: [ManagerWork]) -> (ManagerState, ManagerCommit) {
    var next = state
    var commit = ManagerCommit(number: lastCommit + 1, at: environment.clock.wallTime)
    commit.limits = environment.limits
    var new: Set<String> = []
    for work in batch {
      let before = commit.effects.count
      defer {
        if commit.effects.count > before { commit.effects.insert(.within(work.trace), at: before) }
      }
      switch work.content {
      case .deadLetter(let letter, let reason):
        commit.effects.append(.deadLetter(letter))
        if let answer = work.answer { commit.effects.append(.answer(answer, ManagerState.failure(reason))) }
      case .input(let input, let message):
        if let key = work.key {
          guard !handled.contains(key), new.insert(key).inserted else { continue }
          commit.handled.append(key)
        }
        commit.effects += next.apply(input, message, answer: work.answer)
      }
    }
    commit.takeChanges(of: &next)
    return (next, commit)
  }

  /// Logs changes for the trace of a simulated run.
  private func log(_ commit: ManagerCommit) {
    for (id, user) in commit.users {
      environment.log.debug(
        "user-moved",
        ["user": .string(id.json.text), "to": .string(user.place.name), "connection": .int(user.connection.value)])
    }
    for session in commit.sessions {
      environment.log.debug(
        "session-changed",
        [
          "session": .string(session.id.text), "status": .string(session.status.rawValue),
          "epoch": .int(session.epoch.number), "host": .string(session.host.text),
        ])
    }
  }

  private func finish(_ outcome: ManagerOutcome, _ batch: [ManagerWork]) async {
    for work in batch {
      switch work.input {
      case .heartbeat(let host)?, .initialize(let host)?: leases.hear(from: host, at: environment.clock.now)
      case .hostLost(let host)?: leases.forget(host)
      default: break
      }
    }
    removedSessions += outcome.removedSessions
    if let progress = outcome.removal { removals.note(progress, at: environment.clock.now) }
    for (user, reason) in outcome.refused {
      environment.log.warning("user-message-refused", ["user": .string(user.key), "reason": .string(reason)])
    }
    for (caller, value) in outcome.answers { pendingAnswers.answer(caller, .success(value)) }
    // A message that was handled before has no other answer.
    for caller in batch.compactMap({ $0.answer?.caller }) {
      pendingAnswers.answer(caller, .success(ManagerState.success))
    }
    await outbox.publish(outcome.outbox)
  }

  private func refuseCallers(of batch: [ManagerWork]) {
    for caller in batch.compactMap({ $0.answer?.caller }) {
      pendingAnswers.answer(caller, .failure(.databaseUnavailable))
    }
  }

  // MARK: Overviews

  /// The state as of the last commit.
  var overview: ManagerOverview { ManagerOverview(state) }

  /// Returns what the operator's page shows.
  func operatorOverview() async -> JSONValue {
    let now = environment.clock.now
    let overview = self.overview
    let hosts = leases.hosts.map { host -> JSONValue in
      ["HOST": .string(host.name.text), "SECONDS_SINCE": .int((now - host.heard).components.seconds)]
    }
    let isConnected = await client.isConnected
    let queues = await client.depths(overview.queues).map { depth -> JSONValue in
      ["QUEUE": .string(depth.queue), "MESSAGES": .int(Int64(depth.messages))]
    }
    var members =
      overview.members + [
        .init("HOSTS", .array(hosts)), .init("DEAD_LETTERS", .int(Int64(deadLetters))),
        .init("BROKER", .bool(isConnected)), .init("QUEUES", .array(queues)),
      ]
    if let names { members.append(.init("NAMES", await names.names(of: overview.present))) }
    return .object(members)
  }

  /// Checks the database and the broker; returns a description for `/health`.
  func health() async throws(ManagerRefusal) -> String {
    guard await database.checkHealth() else { throw .databaseUnavailable }
    if let fault = await client.fault() { throw .brokerUnavailable(fault) }
    return "the manager's database and the broker answer"
  }
}
