import Environment

/// A client of AMQP 0-9-1 that stays connected. On each new connection it declares its exchanges
/// and queues again, consumes again, and publishes again what was not confirmed, in order and with
/// the same message ids.
///
///     let client = AMQPClient(environment, broker: BrokerAddress(address: address))
///     await client.declare([.queue("orders", exchange: "")])
///     await client.consume("orders") { deliveries in try await handle(deliveries) }
///     client.start()
///     try await client.publish(message)  // returns once the broker has confirmed it
///
/// Deliveries reach their handler in batches, in order, one batch of a queue at a time. A batch is
/// acknowledged when its handler returns, and handled again when it throws.
public actor AMQPClient {
  /// Handles a batch of deliveries from one queue.
  public typealias Handler = @Sendable ([AMQPDelivery]) async throws -> Void

  /// Bytes of deliveries that are not complete, on all channels. It bounds the memory that a broker
  /// can take.
  private static let maximumUnderWay = 4 * AMQPParser.maximumBody
  /// Time to connect, and time for the network to take output.
  private static let patience: Duration = .seconds(10)
  /// Time between two attempts to consume a queue that another consumer has.
  private static let queuePatience: Duration = .milliseconds(250)
  /// A connection that lasts this long is a success: the next attempt after it waits for the
  /// shortest time.
  private static let provenAfter: Duration = .seconds(1)
  /// Time for the broker to answer a question. Heartbeats do not show that it works.
  private static let answerPatience: Duration = .seconds(3)
  /// Time between two connections while the broker refuses a declaration: an operator has to act
  /// first.
  static let refusalDelay: Duration = .seconds(30)

  let environment: Environment
  nonisolated let broker: BrokerAddress
  private let serialExecutor: ActorExecutor
  private var conversation: AMQPConversation
  private var isClosed = false
  private var connection: (any Connection)?
  /// How often the client has connected. It tells one connection from the next.
  private(set) var generation = 0
  private var connectedAt: Instant?
  /// Opened when the client has connected, and when it is closed.
  private let connectionChanged = Gate()
  /// The outlet of the connection. It refers to the client, until the connection ends.
  private var outlet: Outlet?
  /// Delays before rejected publications are sent again.
  private var rejections = Backoff()

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Creates a client. It connects once it is started.
  public init(_ environment: Environment, broker: BrokerAddress) {
    self.environment = environment
    self.broker = broker
    conversation = AMQPConversation(environment.log, environment.limits)
    serialExecutor = environment.executor.forActor("amqp-client")
  }

  /// Starts to connect. The client stays connected until it is closed.
  public nonisolated func start() { environment.executor.spawn("amqp-client") { await self.run() } }

  /// Closes the client. Publications and deletions that are under way throw.
  public func close() {
    isClosed = true
    if isConnected {
      conversation.write(.connectionClose(code: 200, text: "bye", classID: 0, methodID: 0))
      flush()
    } else {
      connection?.reset()
    }
    failAll()
  }

  private func failAll() {
    isClosed = true
    conversation.failAll()
    connectionChanged.open()
  }

  // MARK: State

  /// Whether the client is connected.
  public var isConnected: Bool { conversation.isOpen }

  /// Bytes of publications that wait for their confirmation.
  var unconfirmedBytes: Int { conversation.unconfirmedBytes }
  /// How often the broker was asked whether it answers.
  var questionsAsked: Int { conversation.check.question }

  /// Waits until the client is connected, for a bounded time. Returns whether it is.
  public func isConnected(within patience: Duration) async -> Bool {
    let deadline = environment.clock.now + patience
    while !isConnected, !isClosed, await connectionChanged.wait(until: deadline, in: environment) {}
    return isConnected
  }

  /// Whether the broker reads, works, and is not out of memory. It is asked at most once a second
  /// while it answers.
  public func isAnswering() async -> Bool {
    guard conversation.isReading else { return false }
    if conversation.check.isFresh(at: environment.clock.now) { return true }
    return await withUnsafeContinuation { continuation in
      guard let question = conversation.ask(continuation) else { return }
      flush()
      environment.executor.spawn("amqp-answer") {
        try? await self.environment.clock.sleep(for: Self.answerPatience)
        self.conversation.giveUp(question: question)
      }
    }
  }

  /// Why the broker is of no use now, for an operator to read; nil while it answers.
  public func fault() async -> String? { await isAnswering() ? nil : conversation.fault }

  // MARK: Exchanges and queues

  /// Declares exchanges and queues, now and on each new connection. Messages that are published
  /// later find them. When the broker refuses a declaration, `fault` and the log say what to do
  /// about it.
  public func declare(_ wanted: [AMQPDeclaration]) {
    conversation.declare(wanted)
    flush()
  }

  /// Forgets a declared queue, which another client deletes: it is not declared on the next
  /// connection.
  public func forget(_ queue: String, exchange: String) { conversation.forget(queue, exchange: exchange) }

  /// Deletes a queue, and returns once the broker has deleted it. Do not declare it again before
  /// that.
  /// - Throws: `NetworkError.closed` when the client is closed first; `AMQPFramingError` for a name
  ///   that is too long.
  public func delete(_ queue: String, exchange: String) async throws {
    guard !isClosed else { throw NetworkError.closed }
    try AMQPFramingError.check(queue, "queue")
    let batch = AMQPBatch(1)
    try await withUnsafeThrowingContinuation { continuation in
      batch.continuation = continuation
      conversation.delete(queue, exchange: exchange, batch)
      flush()
    }
  }

  /// The number of ready messages in each of some declared queues. Empty when the client is not
  /// connected, or is asking already.
  public func depths(_ queues: [String]) async -> [(queue: String, messages: UInt32)] {
    let queues = conversation.askable(queues)
    guard !queues.isEmpty else { return [] }
    return await withUnsafeContinuation { continuation in
      conversation.askDepths(queues, continuation)
      flush()
    }
  }

  // MARK: Publishing

  /// Publishes a persistent message, and returns once the broker has confirmed it.
  /// - Returns: the number of the connection. Each connection has a higher number than the last.
  /// - Throws: `AMQPFramingError` when no frame holds the message; `AMQPError` when the broker
  ///   refuses it, for example with 404 when there is no such exchange; `NetworkError.closed` when
  ///   the client is closed first, `.exhausted` when too many publications wait.
  @discardableResult
  public func publish(_ message: AMQPMessage) async throws -> Int {
    try await publish([message])
    return generation
  }

  /// Publishes persistent messages in order, and returns once the broker has confirmed all of them.
  /// - Throws: as for one message. When some messages cannot be framed or are refused, the others
  ///   are published and confirmed before the error is thrown. `AMQPMessage.checkFraming` finds
  ///   those that cannot be framed.
  public func publish(_ messages: [AMQPMessage]) async throws {
    guard !isClosed else { throw NetworkError.closed }
    guard conversation.hasRoom else {
      throw NetworkError.exhausted("too many publications wait for the broker")
    }
    var refusal: AMQPFramingError?
    let good = messages.filter { message in
      do throws(AMQPFramingError) {
        try message.checkFraming()
        return true
      } catch {
        refusal = refusal ?? error
        return false
      }
    }
    if !good.isEmpty {
      let batch = AMQPBatch(good.count)
      try await withUnsafeThrowingContinuation { continuation in
        batch.continuation = continuation
        for message in good { conversation.publish(message, batch) }
        flush()
      }
    }
    if let refusal { throw refusal }
  }

  /// Publishes a persistent message behind all others, without waiting for its confirmation. A
  /// message that cannot be framed or that the broker refuses is logged and dropped.
  public func post(_ message: AMQPMessage) {
    guard !isClosed, conversation.hasRoom else {
      environment.log.warning("amqp-not-posted", ["routing_key": .string(message.routingKey)])
      return
    }
    do throws(AMQPFramingError) {
      try message.checkFraming()
      conversation.publish(message, AMQPBatch(1))
      flush()
    } catch {
      environment.log.error("amqp-not-posted", ["error": .string("\(error)")])
    }
  }

  private func sendAgain(opening: Int, after delay: Duration) async {
    do { try await environment.clock.sleep(for: delay) } catch { return }
    conversation.sendAgain(opening: opening)
    flush()
  }

  // MARK: Consuming

  /// Consumes a queue, now and on each new connection. Returns a number for `cancel`.
  ///
  /// An *exclusive* consumer waits while the queue has another one. This keeps the order of
  /// messages: as long as a broker takes the client's last connection for alive, it delivers
  /// nothing to the new one that is later than what the old one holds.
  ///
  /// Each consumer has a channel of its own. When the broker allows no more channels, it waits for
  /// one.
  @discardableResult
  public func consume(_ queue: String, exclusive: Bool = false, _ handler: @escaping Handler) -> Int {
    defer { flush() }
    return conversation.consume(queue, exclusive: exclusive, handler)
  }

  /// Ends a consumer. Its deliveries return to the queue.
  public func cancel(_ id: Int) {
    conversation.cancel(id)
    flush()
  }

  /// Calls a consumer's handler as long as deliveries wait for it.
  private func work(_ id: Int) async {
    while !isClosed, let batch = conversation.takeBatch(id) {
      do {
        try await batch.handler(batch.deliveries)
        conversation.acknowledge(batch)
      } catch is NodeDown {
        return
      } catch {
        environment.log.warning("amqp-consumer-failed", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return }
        conversation.giveBack(batch)
      }
      flush()
    }
    conversation.endWork(id)
  }

  private func retry(_ refused: AMQPConsumers.Refused) async {
    do { try await environment.clock.sleep(for: Self.queuePatience) } catch { return }
    guard !isClosed else { return }
    conversation.retry(refused)
    flush()
  }

  // MARK: Connections

  private func run() async {
    defer { conversation.removeConsumers() }
    var backoff = Backoff()
    while !isClosed {
      connectedAt = nil
      var refusal: AMQPDeclarationRefusal?
      do {
        try await runConnection()
      } catch is NodeDown {
        conversation.end()
        outlet = nil
        return failAll()
      } catch let error as AMQPDeclarationRefusal {
        environment.log.error(
          "amqp-declaration-refused",
          ["method": .string(error.method), "error": .string(error.error.reason), "remedy": .string(error.remedy)])
        refusal = error
      } catch {
        if !isClosed { environment.log.info("amqp-connection-lost", ["error": .string("\(error)")]) }
      }
      conversation.end(refusal)
      connection?.reset()
      connection = nil
      outlet = nil
      guard !isClosed else { return }
      if let connectedAt, environment.clock.now - connectedAt >= Self.provenAfter { backoff.reset() }
      let delay = refusal == nil ? backoff.next(environment.entropy) : Self.refusalDelay
      do { try await environment.clock.sleep(for: delay) } catch { return failAll() }
    }
  }

  /// Runs one connection, from its handshake to its end.
  private func runConnection() async throws {
    let deadline = environment.clock.now + Self.patience
    let connection = try await environment.network.connect(to: broker.address, deadline: deadline)
    self.connection = connection
    generation += 1
    let outlet = makeOutlet(connection)
    self.outlet = outlet
    var parser = AMQPParser(isServer: false)
    try await connection.write(AMQPParser.protocolHeader, deadline: deadline)
    let agreement = try await shakeHands(connection, &parser, deadline)
    connectedAt = environment.clock.now
    conversation.open(agreement)
    connectionChanged.open()
    flush()
    let heartbeat = Duration.seconds(Int64(agreement.heartbeat))
    environment.executor.spawn("amqp-heartbeat") { await self.beat(heartbeat, outlet) }
    while true {
      while let event = try parser.next() {
        if case .command(let command) = event, try !take(command) { return }
      }
      guard parser.bytesUnderWay <= Self.maximumUnderWay else {
        throw AMQPError(506, "too many bytes of incomplete deliveries")
      }
      flush()
      let bytes = try await connection.read(atMost: 131_072, deadline: environment.clock.now + heartbeat * 3)
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
  }

  private func shakeHands(
    _ connection: any Connection, _ parser: inout AMQPParser, _ deadline: Instant
  ) async throws -> AMQPHandshake.Agreement {
    var handshake = AMQPHandshake(user: broker.user, password: broker.password)
    while true {
      while let event = try parser.next() {
        guard case .command(let command) = event else { continue }
        var agreement: AMQPHandshake.Agreement?
        try conversation.write { agreement = try handshake.take(command.method, answeringTo: &$0) }
        if let agreement { return agreement }
        flush()
      }
      let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
  }

  /// Takes a command of the broker. Returns false when the connection has ended in order.
  private func take(_ command: AMQPCommand) throws -> Bool {
    // The answer to a close goes out, though the connection is of no use any more.
    defer { if case .connectionClose = command.method { flush() } }
    switch try conversation.take(command, at: environment.clock.now) {
    case .work(let id)?: environment.executor.spawn("amqp-consumer") { await self.work(id) }
    case .retry(let refused)?: environment.executor.spawn("amqp-wait-for-queue") { await self.retry(refused) }
    case .sendAgain(let opening)?:
      let delay = rejections.next(environment.entropy)
      environment.executor.spawn("amqp-send-again") { await self.sendAgain(opening: opening, after: delay) }
    case .end?: return false
    case nil: if case .basicAck = command.method { rejections.reset() }
    }
    return true
  }

  private func beat(_ interval: Duration, _ outlet: Outlet) async {
    var last = outlet.lastWrite
    while true {
      do { try await environment.clock.sleep(until: last + interval / 2) } catch { return }
      guard outlet === self.outlet, isConnected, !isClosed else { return }
      // Any output shows that the client is alive (AMQP 0-9-1 §4.2.7).
      guard outlet.lastWrite <= last else {
        last = outlet.lastWrite
        continue
      }
      last = environment.clock.now
      conversation.write { AMQPFrames.writeHeartbeat(to: &$0) }
      flush()
    }
  }

  // MARK: Output

  /// Sends the output. Everything that is written in one turn goes out together.
  private func flush() { if conversation.hasOutput { outlet?.flush(on: self) } }

  /// The outlet of a new connection. It takes nothing once another connection has begun.
  private func makeOutlet(_ connection: any Connection) -> Outlet {
    let generation = generation
    let outlet = Outlet("amqp-writer", environment, connection, patience: Self.patience)
    outlet.draw { generation == self.generation ? self.conversation.takeOutput() : [] }
    return outlet
  }
}
