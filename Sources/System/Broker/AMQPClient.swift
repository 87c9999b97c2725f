/// A client of AMQP 0-9-1 that stays connected: with each new connection it declares again what has to be there, consumes again, and
/// publishes again what was not confirmed, in its order and with the same message ids.
///
/// A publication returns once the broker has confirmed it. Deliveries come in batches, in order, one batch of a queue at a time; they
/// are acknowledged when their handler returns, and put back when it throws.
public actor AMQPClient {
  /// What is to be done with what a queue holds.
  public typealias Handler = @Sendable ([AMQPDelivery]) async throws -> Void

  /// Deliveries that a consumer may hold.
  private static let prefetch: UInt16 = 256
  /// Publications that may wait for their confirmation.
  private static let maximumUnconfirmed = 100_000
  static let patience: Duration = .seconds(10)
  /// Seconds between heartbeats: a broker drops a dead connection after twice that, and its queues are free again.
  private static let heartbeat: UInt16 = 2
  /// Time between two tries to consume a queue that another has.
  private static let queuePatience: Duration = .milliseconds(250)
  static let publisher: UInt16 = 1
  private static let frameMax = AMQPParser.maximumFrame

  let environment: Environment
  private let broker: BrokerAddress
  private let serialExecutor: ActorExecutor
  var declarations: [AMQPDeclaration] = []
  /// Queues that the broker has not said are deleted, in the order in which it is asked.
  var deletions: [AMQPDeletion] = []
  var consumers: [UInt16: AMQPConsumer] = [:]
  private var nextChannel: UInt16 = 2
  /// What is not confirmed, by its number since the client was made.
  private var unconfirmed: [UInt64: AMQPPublication] = [:]
  private var lastPublication: UInt64 = 0
  /// The numbers of what was sent over this connection, from the tag after `settledTags` on.
  private var sent: [UInt64] = []
  private var settledTags: UInt64 = 0
  private(set) var connection: (any Connection)?
  var generation = 0
  private(set) var isReady = false
  var isClosed = false
  var output: [UInt8] = []
  var isWriting = false
  var lastSent = Instant(nanoseconds: 0)
  /// What `depths` waits for.
  var depthQuestion:
    (
      expected: Int, found: [(queue: String, messages: UInt32)],
      continuation: UnsafeContinuation<[(queue: String, messages: UInt32)], Never>
    )?

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// A client of a broker; connects once it is started.
  public init(_ environment: Environment, broker: BrokerAddress) {
    self.environment = environment
    self.broker = broker
    serialExecutor = environment.executor.forActor("amqp-client")
  }

  /// Begins to connect, and goes on until it is closed.
  public nonisolated func start() { environment.executor.spawn("amqp-client") { await self.run() } }

  /// Whether there is a connection now.
  public var isConnected: Bool { isReady }

  /// Whether there is a connection now or comes within a time.
  public func isConnected(within patience: Duration) async throws -> Bool {
    let end = environment.clock.now + patience
    while !isReady, !isClosed, environment.clock.now < end { try await environment.clock.sleep(for: .milliseconds(25)) }
    return isReady
  }

  /// Gives up: what was not confirmed throws.
  public func close() {
    isClosed = true
    if isReady {
      AMQPFrames.write(.connectionClose(code: 200, text: "bye", classID: 0, methodID: 0), 0, to: &output)
      flush()
    } else {
      connection?.reset()
    }
    failAll()
  }

  /// Nothing more goes out: whoever waits is told.
  private func failAll() {
    isClosed = true
    let waiting = unconfirmed
    unconfirmed = [:]
    for number in waiting.keys.sorted() { waiting[number]!.batch.failed(NetworkError.closed) }
    failDeletions()
  }

  // MARK: What callers ask for

  /// Has something declared, now and with each new connection; what is published later finds it there.
  public func declare(_ wanted: [AMQPDeclaration]) {
    for declaration in wanted where !declarations.contains(declaration) {
      declarations.append(declaration)
      if isReady { write(declaration) }
    }
    flush()
  }

  /// Publishes a persistent message, and returns once the broker has confirmed it.
  /// - Throws: `NetworkError.closed` when the client is closed before, `.exhausted` when too many wait already.
  public func publish(_ message: AMQPMessage) async throws { try await publish([message]) }

  /// Publishes a persistent message after all before it; nobody waits for its confirmation.
  public func post(_ message: AMQPMessage) {
    guard !isClosed, unconfirmed.count < Self.maximumUnconfirmed else {
      environment.log.warning("amqp-not-posted", ["routing_key": .string(message.routingKey)])
      return
    }
    enqueue(message, AMQPBatch(1))
    flush()
  }

  private func enqueue(_ message: AMQPMessage, _ batch: AMQPBatch) {
    var properties = message.properties
    properties.deliveryMode = 2
    lastPublication += 1
    unconfirmed[lastPublication] = AMQPPublication(
      exchange: message.exchange, routingKey: message.routingKey, properties: properties.bytes, body: message.body,
      batch: batch)
    if isReady { write(lastPublication) }
  }

  /// Publishes persistent messages, one after the other, and returns once the broker has confirmed them all.
  public func publish(_ messages: [AMQPMessage]) async throws {
    guard !messages.isEmpty else { return }
    guard !isClosed else { throw NetworkError.closed }
    guard unconfirmed.count < Self.maximumUnconfirmed else {
      throw NetworkError.exhausted("too much waits for the broker")
    }
    let batch = AMQPBatch(messages.count)
    try await withUnsafeThrowingContinuation { continuation in
      batch.continuation = continuation
      for message in messages { enqueue(message, batch) }
      flush()
    }
  }

  /// Consumes a queue, now and with each new connection. Returns what `cancel` takes.
  ///
  /// An *exclusive* consumer waits while the queue has another. Where the order of messages matters that is what keeps it: a broker that
  /// has not noticed yet that this client's last connection is dead gives nothing to the new one past what the old one holds.
  @discardableResult
  public func consume(_ queue: String, exclusive: Bool = false, _ handler: @escaping Handler) -> UInt16 {
    let channel = nextChannel
    nextChannel += 1
    consumers[channel] = AMQPConsumer(queue: queue, isExclusive: exclusive, handler: handler)
    if isReady {
      open(channel)
      flush()
    }
    return channel
  }

  /// Consumes no more; what is held goes back to the queue.
  public func cancel(_ channel: UInt16) {
    guard consumers.removeValue(forKey: channel) != nil, isReady else { return }
    AMQPFrames.write(.channelClose(code: 200, text: "done", classID: 0, methodID: 0), channel, to: &output)
    flush()
  }

  // MARK: Connecting

  private func run() async {
    // Handlers hold the service that holds this client.
    defer { consumers = [:] }
    var failures = 0
    while !isClosed {
      do {
        try await session { failures = 0 }
      } catch is NodeDown {
        endDepths()
        return failAll()
      } catch {
        if !isClosed { environment.log.info("amqp-connection-lost", ["error": .string("\(error)")]) }
      }
      isReady = false
      endDepths()
      connection?.reset()
      connection = nil
      output = []
      for channel in consumers.keys.sorted() { consumers[channel]!.waiting = [] }
      guard !isClosed else { return }
      failures = min(failures + 1, 6)
      // Back-off with jitter, so that not all come back at once.
      let most = Int64(50_000) << Int64(failures)
      let wait = most / 2 + Int64(environment.entropy.below(UInt64(most / 2)))
      do { try await environment.clock.sleep(for: .microseconds(wait)) } catch { return failAll() }
    }
  }

  /// One connection, from its handshake to its end.
  private func session(_ connected: () -> Void) async throws {
    let deadline = environment.clock.now + Self.patience
    let connection = try await environment.network.connect(to: broker.address, deadline: deadline)
    self.connection = connection
    generation += 1
    var parser = AMQPParser(isServer: false)
    try await connection.write(AMQPParser.protocolHeader, deadline: deadline)
    var heartbeat: UInt16 = 0
    shaking: while true {
      while let event = try parser.next() {
        guard case .command(let command) = event else { continue }
        switch command.method {
        case .connectionStart:
          AMQPFrames.write(
            .connectionStartOk(
              properties: [
                "product": .text("Parley"), "capabilities": .table(["consumer_cancel_notify": .boolean(true)]),
              ], mechanism: "PLAIN",
              response: [0] + Array(broker.user.utf8) + [0] + Array(broker.password.utf8), locale: "en_US"), 0,
            to: &output)
        case .connectionTune(let channels, _, let proposed):
          heartbeat = proposed == 0 ? 0 : min(proposed, Self.heartbeat)
          AMQPFrames.write(
            .connectionTuneOk(channelMax: channels, frameMax: UInt32(Self.frameMax), heartbeat: heartbeat), 0,
            to: &output)
          AMQPFrames.write(.connectionOpen(virtualHost: "/"), 0, to: &output)
        case .connectionOpenOk: break shaking
        case .connectionClose(let code, let text, _, _): throw AMQPError(code, text)
        default: throw AMQPError(503, "an answer that was not expected")
        }
        flush()
      }
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
    connected()
    begin()
    if heartbeat > 0 { startHeartbeat(.seconds(Int64(heartbeat))) }
    let patience: Duration? = heartbeat > 0 ? .seconds(Int64(heartbeat) * 3) : nil
    while true {
      while let event = try parser.next() {
        if case .command(let command) = event, try !take(command) { return }
      }
      flush()
      let bytes = try await connection.read(atMost: 131_072, deadline: patience.map { environment.clock.now + $0 })
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
  }

  /// Brings a new connection to where the last one was.
  private func begin() {
    isReady = true
    AMQPFrames.write(.channelOpen, Self.publisher, to: &output)
    AMQPFrames.write(.confirmSelect(noWait: false), Self.publisher, to: &output)
    for deletion in deletions { write(deletion) }
    for declaration in declarations { write(declaration) }
    // Tags count from 1 on each connection.
    sent = []
    settledTags = 0
    for number in unconfirmed.keys.sorted() { write(number) }
    for channel in consumers.keys.sorted() { open(channel) }
    flush()
  }

  /// Asks how a queue is, on the channel on which it was declared.
  func write(_ question: AMQPMethod.QueueDeclaration) {
    AMQPFrames.write(.queueDeclare(question), Self.publisher, to: &output)
  }

  private func write(_ declaration: AMQPDeclaration) {
    AMQPFrames.write(declaration, Self.publisher, to: &output)
  }

  private func write(_ number: UInt64) {
    guard let publication = unconfirmed[number] else { return }
    sent.append(number)
    AMQPFrames.write(
      .basicPublish(
        exchange: publication.exchange, routingKey: publication.routingKey, mandatory: false, immediate: false),
      properties: publication.properties, body: publication.body, Self.publisher, frameMax: Self.frameMax, to: &output)
  }

  private func open(_ channel: UInt16) {
    guard let consumer = consumers[channel] else { return }
    AMQPFrames.writeConsumer(
      of: consumer.queue, isExclusive: consumer.isExclusive, prefetch: Self.prefetch, channel, to: &output)
  }

  private func startHeartbeat(_ interval: Duration) {
    let generation = generation
    environment.executor.spawn("amqp-heartbeat") { await self.beat(interval, generation) }
  }

  private func beat(_ interval: Duration, _ generation: Int) async {
    while true {
      let last = lastSent
      do { try await environment.clock.sleep(until: last + interval / 2) } catch { return }
      guard generation == self.generation, isReady, !isClosed else { return }
      // Whatever is sent shows that the client lives (AMQP 0-9-1 §4.2.7).
      guard lastSent == last else { continue }
      lastSent = environment.clock.now
      AMQPFrames.writeHeartbeat(to: &output)
      flush()
    }
  }

  // MARK: What comes

  /// False when the connection has ended in order.
  private func take(_ command: AMQPCommand) throws -> Bool {
    switch command.method {
    case .basicAck(let tag, let multiple): confirm(tag, multiple)
    case .basicNack(let tag, let multiple, _):
      // The broker could not take it: a new connection publishes it again.
      throw AMQPError(506, "publication \(tag) was refused\(multiple ? ", and those before" : "")")
    case .basicDeliver(_, let tag, let redelivered, _, _):
      guard consumers[command.channel] != nil else { return true }
      let delivery = AMQPDelivery(
        properties: try command.readProperties(), body: command.body, isRedelivered: redelivered, tag: tag)
      consumers[command.channel]!.waiting.append(delivery)
      work(command.channel)
    case .queueDeclareOk(let queue, let messages, _): noteDepth(queue, messages)
    case .queueDeleteOk: noteDeletion()
    case .basicCancel:
      // The queue was deleted; whoever did it declares it anew, and the consumer goes on there.
      guard consumers[command.channel] != nil else { return true }
      consumers[command.channel]!.waiting = []
      AMQPFrames.write(.channelClose(code: 200, text: "again", classID: 0, methodID: 0), command.channel, to: &output)
      reopening.insert(command.channel)
    case .channelCloseOk:
      if reopening.remove(command.channel) != nil { open(command.channel) }
    case .channelClose(403, _, _, _) where consumers[command.channel]?.isExclusive == true:
      AMQPFrames.write(.channelCloseOk, command.channel, to: &output)
      let generation = generation
      environment.executor.spawn("amqp-wait-for-queue") { await self.openAgain(command.channel, generation) }
    case .channelClose(let code, let text, _, _):
      AMQPFrames.write(.channelCloseOk, command.channel, to: &output)
      throw AMQPError(code, text)
    case .connectionClose(let code, let text, _, _):
      AMQPFrames.write(.connectionCloseOk, 0, to: &output)
      flush()
      throw AMQPError(code, text)
    case .connectionCloseOk: return false
    default: break
    }
    return true
  }

  var reopening: Set<UInt16> = []

  /// Another consumer has the queue: a dead one, of which the broker has not noticed that it is.
  private func openAgain(_ channel: UInt16, _ generation: Int) async {
    do { try await environment.clock.sleep(for: Self.queuePatience) } catch { return }
    guard generation == self.generation, isReady, !isClosed else { return }
    open(channel)
    flush()
  }

  private func confirm(_ tag: UInt64, _ multiple: Bool) {
    guard tag > settledTags, tag - settledTags <= UInt64(sent.count) else { return }
    let last = Int(tag - settledTags) - 1
    for index in (multiple ? 0 : last)...last { unconfirmed.removeValue(forKey: sent[index])?.batch.confirmed() }
    // Tags may be confirmed in any order: those at the front that are done are forgotten.
    var done = 0
    while done < sent.count, unconfirmed[sent[done]] == nil { done += 1 }
    sent.removeFirst(done)
    settledTags += UInt64(done)
  }
}
