import Environment

/// How the broker is set up.
public struct BrokerOptions: Sendable {
  /// Where it listens.
  public var address = SocketAddress(host: "127.0.0.1", port: 5672)
  /// The password of the user `parley`. Without one, `guest` logs in with `guest`, over loopback alone.
  public var serviceToken: String?
  /// Connections at once; further ones are closed.
  public var maximumConnections = 10_000
  /// Bytes of ready messages in memory, above which the bodies of those that the disk has are let go of.
  public var pagingBound = 64 << 20
  /// Bytes of messages that are only in memory, above which nothing is read from who publishes more of them.
  public var memoryBound = 256 << 20
  /// Time between the heartbeats that are proposed to clients.
  public var heartbeat: Duration = .seconds(60)
  /// What the database promises.
  public var database = DatabaseOptions()
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}

/// The embedded message broker: AMQP 0-9-1 over the environment's network, durable by group commit (contract section 5).
///
/// All state is on this actor. A publication goes into its queues at once and may be delivered at once; it is *confirmed* once
/// the commit that holds it is done. Deliveries that were not acknowledged go back to their places when their channel ends.
public actor Broker: Service {
  /// Its database in the data directory.
  public static let database = ServiceDatabase("broker.db", BrokerSchema.migrations)

  let environment: Environment
  let database: Database
  let options: BrokerOptions
  private let listener: any Listener
  private let serialExecutor: ActorExecutor
  var exchanges: [String: Exchange] = [:]
  var queues: [String: BrokerQueue] = [:]
  var connections: [Int: BrokerConnection] = [:]
  private var nextConnection = 0
  private var nextMessage: Int64
  private var isDraining = false
  private var lastQueue = 0
  /// Bytes of messages that are ready and in memory.
  var memory = 0
  /// Bytes of messages that the disk will never have, ready or unsettled.
  var onlyInMemory = 0

  /// What is to be done in this turn, and what is left for one after a rest.
  var errands: [BrokerErrand] = []
  var postponed: [BrokerErrand] = []
  var isDispatching = false

  // What waits for the disk.
  private var changes: [BrokerChange] = []
  private var insertions: [Int64: Int] = [:]
  private var confirmations: [(channel: BrokerChannel, tag: UInt64)] = []
  private var waiters: [UnsafeContinuation<Bool, Never>] = []
  private(set) var pendingBytes = 0
  private var isStoring = false
  /// Whether somebody waits for what has come since the commit under way began.
  private var isAwaited = false
  /// Whether what is removed will be stored in a moment, with or without something else.
  private var isStoringSoon = false
  /// How long removals wait for another commit.
  private static let removalDelay: Duration = .milliseconds(100)
  private(set) var isClosed = false

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Where it listens.
  public nonisolated let addresses: [(name: String, address: SocketAddress)]

  /// Starts the broker: reads what it had, listens.
  /// - Throws: `DatabaseError`, `NetworkError`: what an operator has to mend.
  public static func start(_ environment: Environment, _ options: BrokerOptions) async throws -> Broker {
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database)
    let state = try await database.transaction { try $0.brokerState() }
    let listener = try environment.network.listen(options.address, backlog: 1024)
    let broker = Broker(environment, options, database, listener, state)
    await broker.restore(state)
    environment.executor.spawn("broker-accept") { await broker.acceptAll() }
    return broker
  }

  private init(
    _ environment: Environment, _ options: BrokerOptions, _ database: Database, _ listener: any Listener,
    _ state: BrokerRecovery
  ) {
    self.environment = environment
    self.options = options
    self.database = database
    self.listener = listener
    addresses = [("amqp", listener.address)]
    serialExecutor = environment.executor.forActor("broker")
    nextMessage = (state.messages.last?.id ?? 0) + 1
  }

  private func restore(_ state: BrokerRecovery) {
    for (name, kind) in [
      ("", ExchangeKind.direct), ("amq.direct", .direct), ("amq.fanout", .fanout), ("amq.topic", .topic),
    ] { exchanges[name] = Exchange(name: name, kind: kind, isDurable: true) }
    for exchange in state.exchanges { exchanges[exchange.name] = exchange }
    for (name, isAutoDelete, arguments) in state.queues {
      addQueue(
        name, isDurable: true, isAutoDelete: isAutoDelete, owner: nil, rules: QueueRules(stored: arguments))
    }
    for (exchange, binding) in state.bindings where exchanges[exchange] != nil {
      guard let queue = queues[binding.queue], exchanges[exchange]!.bind(binding) else { continue }
      queue.exchanges.insert(exchange)
    }
    // A stored time may be any number; within the bound it can be added and subtracted.
    let latest = now + Int64(UInt32.max)
    for (id, queue, expires) in state.messages {
      // Whether it was delivered before is not known, so it is said to have been.
      queues[queue]?.append(
        QueueEntry(
          id: id, message: nil, expires: min(max(0, expires), latest), isRedelivered: true, isDurable: true))
    }
    if state.setAside > 0 {
      environment.log.error("broker-rows-set-aside", ["count": .int(Int64(state.setAside))])
    }
    for name in queues.keys.sorted() { dispatch(queues[name]!) }
  }

  /// Adds a queue, bound to the default exchange by its name.
  @discardableResult
  func addQueue(
    _ name: String, isDurable: Bool, isAutoDelete: Bool, owner: Int?, rules: QueueRules
  ) -> BrokerQueue {
    lastQueue += 1
    let queue = BrokerQueue(
      id: lastQueue, name: name, isDurable: isDurable, isAutoDelete: isAutoDelete, owner: owner, rules: rules)
    queues[name] = queue
    _ = exchanges[""]!.bind(Binding(queue: name, routingKey: name))
    return queue
  }

  /// How many queues there have been since the process began.
  var queuesEver: Int { lastQueue }

  /// Wall-clock milliseconds.
  var now: Int64 { environment.clock.wallTime.microseconds / 1000 }

  /// Stops accepting, tells every client, waits for the disk, closes the database.
  public func drain() async {
    isDraining = true
    listener.close()
    for id in connections.keys.sorted() {
      guard let client = connections[id] else { continue }
      client.send(
        .connectionClose(code: 320, text: "CONNECTION_FORCED - the broker is stopping", classID: 0, methodID: 0), on: 0)
      client.phase = .closing
      flush(client)
    }
    let deadline = environment.clock.now + .seconds(2)
    while !connections.isEmpty || isStoring || isStoringSoon, environment.clock.now < deadline {
      do { try await environment.clock.sleep(for: .milliseconds(5)) } catch { break }
    }
    for id in connections.keys.sorted() { connections[id]?.connection.reset() }
    isClosed = true
    await database.close()
  }

  // MARK: Connections

  private func acceptAll() async {
    while !isDraining {
      do {
        let connection = try await listener.accept()
        guard connections.count < options.maximumConnections,
          environment.memory.strangers.charge(BrokerConnection.strangerBytes)
        else {
          connection.reset()
          continue
        }
        nextConnection += 1
        let client = BrokerConnection(
          nextConnection, connection, at: environment.clock.now, memory: environment.memory.members)
        connections[client.id] = client
        environment.executor.spawn("broker-connection") { [id = client.id] in await self.serve(id) }
      } catch NetworkError.exhausted(let what) {
        environment.log.error("accept-failed", ["error": .string(what)])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return }
      } catch {
        return
      }
    }
  }

  // MARK: What waits for the disk

  func newMessageID() -> Int64 {
    defer { nextMessage += 1 }
    return nextMessage
  }

  /// Notes a change; it is on the disk with the next commit.
  func store(_ change: BrokerChange) {
    switch change {
    case .insert(let id, _, _, let message):
      insertions[id] = changes.count
      pendingBytes += message.size
    case .delete(let id):
      // What came and went before it was written is never written.
      if let index = insertions.removeValue(forKey: id) {
        if case .insert(_, _, _, let message) = changes[index] { pendingBytes -= message.size }
        changes[index] = .nothing
        return
      }
    default: break
    }
    changes.append(change)
    if case .delete = change { storeSoon() } else { startStoring() }
  }

  /// What was acknowledged may be delivered again after a crash, so its removal can wait for a commit that somebody waits for. When none
  /// comes, it gets one of its own.
  private func storeSoon() {
    guard !isStoring, !isStoringSoon else { return }
    isStoringSoon = true
    environment.executor.spawn("broker-removals") {
      try? await self.environment.clock.sleep(for: Self.removalDelay)
      self.storeRemovals()
    }
  }

  private func storeRemovals() {
    isStoringSoon = false
    if !changes.isEmpty { startStoring() }
  }

  /// Confirms a publication once everything that was stored so far is on the disk.
  func confirm(_ tag: UInt64, on channel: BrokerChannel) {
    confirmations.append((channel, tag))
    startStoring()
  }

  /// Waits until everything that was stored so far is on the disk. False when the broker is down.
  func stored() async -> Bool {
    if isClosed { return false }
    if changes.isEmpty, !isStoring { return true }
    startStoring()
    return await withUnsafeContinuation { waiters.append($0) }
  }

  private func startStoring() {
    isAwaited = true
    guard !isStoring else { return }
    isStoring = true
    environment.executor.spawn("broker-store") { await self.storeAll() }
  }

  private func storeAll() async {
    while isAwaited {
      isAwaited = false
      let batch = changes
      let safe = confirmations
      let waiting = waiters
      changes = []
      insertions = [:]
      confirmations = []
      waiters = []
      let isSafe = if batch.isEmpty { true } else { await write(batch) }
      pendingBytes -= batch.reduce(0) { sum, change in
        if case .insert(_, _, _, let message) = change { sum + message.size } else { sum }
      }
      for waiter in waiting { waiter.resume(returning: isSafe) }
      guard isSafe else {
        // The node is down: nobody waits for anything any more.
        isClosed = true
        for waiter in waiters { waiter.resume(returning: false) }
        waiters = []
        break
      }
      pageOut(batch)
      for (channel, tag) in safe { channel.confirm(tag) }
      for (channel, _) in safe { sendConfirms(channel) }
    }
    isStoring = false
    if !changes.isEmpty { storeSoon() }
  }

  private func sendConfirms(_ channel: BrokerChannel) {
    // Of a channel that has ended nobody hears, also when another has its number now.
    guard !channel.isClosing else { return }
    let client = channel.connection
    for method in channel.takeConfirms() { client.send(method, on: channel.number) }
    flush(client)
  }

  /// Writes a batch, again and again until it is done. False when the broker is down.
  private func write(_ batch: [BrokerChange]) async -> Bool {
    while !isClosed {
      do {
        try await database.transaction { database in for change in batch { try change.apply(to: database) } }
        return true
      } catch let error as DatabaseError {
        if case .closed = error { return false }
        environment.log.warning("broker-store", ["error": .string(error.reason)])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return false }
      } catch {
        return false
      }
    }
    return false
  }

  /// Lets go of bodies that the disk has, when memory is short.
  private func pageOut(_ batch: [BrokerChange]) {
    for change in batch where memory > options.pagingBound {
      if case .insert(let id, let queue, _, _) = change { memory -= queues[queue]?.pageOut(id) ?? 0 }
    }
  }

  /// Waits while there is too much in memory, before more is read from a client that has published. Nobody else waits.
  func waitForRoom(_ client: BrokerConnection) async {
    guard client.hasPublished else { return }
    while pendingBytes > options.pagingBound, !isClosed, !client.isGone { if await !stored() { return } }
    if client.fillsMemory, onlyInMemory > options.memoryBound { await block(client) }
    client.hasPublished = false
    client.fillsMemory = false
  }

  private func block(_ client: BrokerConnection) async {
    environment.log.warning("amqp-blocked", ["connection": .int(Int64(client.id))])
    client.isPaused = true
    if client.hearsBlocking {
      client.send(.connectionBlocked(reason: "low on memory"), on: 0)
      flush(client)
    }
    // An eighth has to be free, so that publishers do not stop again with each message.
    while onlyInMemory > options.memoryBound / 8 * 7, !isClosed, !client.isGone, !client.connection.hasEnded {
      do { try await environment.clock.sleep(for: .milliseconds(20)) } catch { break }
    }
    client.lastHeard = environment.clock.now
    client.isPaused = false
    if client.hearsBlocking {
      client.send(.connectionUnblocked, on: 0)
      flush(client)
    }
  }
}
