import Environment

/// A client of AMQP 0-9-1 that stays connected: with each new connection it declares again what has to be there, consumes again, and
/// publishes again what was not confirmed, in its order and with the same message ids.
///
/// A publication returns once the broker has confirmed it. Deliveries come in batches, in order, one batch of a queue at a time; they
/// are acknowledged when their handler returns, and put back when it throws.
public actor AMQPClient {
  /// What is to be done with what a queue holds.
  public typealias Handler = @Sendable ([AMQPDelivery]) async throws -> Void

  /// Deliveries that a consumer may hold.
  static let maximumPrefetch: UInt16 = 256
  /// Bytes of deliveries that are held for all handlers together.
  static let maximumHeld = 256 << 20
  /// Publications that may wait for their confirmation, and their bytes.
  static let maximumUnconfirmed = 100_000
  static let maximumUnconfirmedBytes = 128 << 20
  /// Output up to which publications are written. The rest waits until the network has taken some of it.
  static let maximumOutput = 1 << 20
  /// Bytes of deliveries that are not complete, on all channels: a broker is not trusted with more memory.
  static let maximumUnderWay = 4 * AMQPParser.maximumBody
  static let patience: Duration = .seconds(10)
  /// Seconds between heartbeats: a broker drops a dead connection after twice that, and its queues are free again.
  static let heartbeat: UInt16 = 2
  /// Time between two tries to consume a queue that another has.
  static let queuePatience: Duration = .milliseconds(250)
  static let publisher: UInt16 = 1
  /// A connection that lasts this long is a success: the next attempt after it waits for the shortest time.
  static let provenAfter: Duration = .seconds(1)
  /// A broker's answer that takes longer shows that it does not work, whatever its heartbeats say.
  private static let answerPatience: Duration = .seconds(3)

  let environment: Environment
  let broker: BrokerAddress
  private let serialExecutor: ActorExecutor
  var declarations: [AMQPDeclaration] = []
  /// Queues that the broker has not said are deleted, in the order in which it is asked.
  var deletions: [AMQPDeletion] = []
  /// By their numbers, which count from 1.
  var consumers: [Int: AMQPConsumer] = [:]
  private var lastConsumer = 0
  /// The channels of this connection.
  var channels = AMQPChannels(maximum: 0)
  /// Numbers the openings of consumers' channels, so that a delivery is settled on the opening that brought it.
  var openings = 0
  /// Deliveries that each consumer may hold. It is lowered when they are too large.
  var prefetch = AMQPClient.maximumPrefetch
  /// Bytes of deliveries that wait for their handlers or are with them.
  var heldBytes = 0
  /// The largest frame that this connection's broker takes.
  var frameMax = AMQPParser.maximumFrame
  /// Whether the broker has said that it reads nothing from this connection for now.
  var isBlocked = false
  /// What is not confirmed, by its number since the client was made.
  var unconfirmed: [UInt64: AMQPPublication] = [:]
  var unconfirmedBytes = 0
  var lastPublication: UInt64 = 0
  /// What was sent on this opening of the publisher's channel.
  var sent = AMQPSent()
  /// The first publication that was not.
  var nextToSend: UInt64 = 1
  /// Publications that may be sent before one of them is confirmed. While one that the broker refuses
  /// is looked for, it is few.
  var window = Int.max
  var connection: (any Connection)?
  var generation = 0
  var isReady = false
  var connectedAt: Instant?
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
  /// Callers that wait for the answer to a question that only shows that the broker answers.
  var answerWaiters: [UnsafeContinuation<Bool, Never>] = []
  /// How many such questions were asked.
  private(set) var questionsAsked = 0
  /// When the broker answered one.
  private var answeredAt: Instant?

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

  /// Whether the broker reads what it is sent, works on it, and is not out of memory. It is asked at most
  /// once a second while it answers; concurrent callers share a question.
  public func isAnswering() async -> Bool {
    guard isReady, !isBlocked else { return false }
    if let answeredAt, environment.clock.now - answeredAt < .seconds(1) { return true }
    return await withUnsafeContinuation { continuation in
      answerWaiters.append(continuation)
      guard answerWaiters.count == 1 else { return }
      questionsAsked += 1
      let question = questionsAsked
      writeQuestion()
      flush()
      environment.executor.spawn("amqp-answer") {
        try? await self.environment.clock.sleep(for: Self.answerPatience)
        // A later question has its own time.
        if question == self.questionsAsked { self.endAnswers(false) }
      }
    }
  }

  /// Whether somebody waits for an answer.
  var hasQuestion: Bool { !answerWaiters.isEmpty }

  /// Ends the wait for an answer: it came, or does not come.
  func endAnswers(_ isAnswering: Bool) {
    answeredAt = isAnswering ? environment.clock.now : nil
    let waiters = answerWaiters
    answerWaiters = []
    for waiter in waiters { waiter.resume(returning: isAnswering) }
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
  func failAll() {
    isClosed = true
    let waiting = unconfirmed
    unconfirmed = [:]
    unconfirmedBytes = 0
    for number in waiting.keys.sorted() { waiting[number]!.batch.failed(NetworkError.closed) }
    failDeletions()
  }

  // MARK: What callers ask for

  /// Has something declared, now and with each new connection; what is published later finds it there.
  /// A name that no frame holds is logged and left out: a broker has nothing of that name.
  public func declare(_ wanted: [AMQPDeclaration]) {
    for declaration in wanted where !declarations.contains(declaration) {
      guard declaration.isFrameable else {
        environment.log.error("amqp-name-too-long", ["declaration": .string("\(declaration)")])
        continue
      }
      declarations.append(declaration)
      if isReady { write(declaration) }
    }
    flush()
  }

  /// Publishes a persistent message, and returns once the broker has confirmed it.
  /// - Throws: `AMQPFramingError` when no frame holds it; `AMQPError` when the broker refuses it, for example
  ///   404 when there is no such exchange; `NetworkError.closed` when the client is closed before, `.exhausted`
  ///   when too many wait already.
  public func publish(_ message: AMQPMessage) async throws { try await publish([message]) }

  /// Publishes a persistent message after all before it; nobody waits for its confirmation. One that no frame holds
  /// or the broker refuses is logged and goes nowhere.
  public func post(_ message: AMQPMessage) {
    guard !isClosed, hasRoom else {
      environment.log.warning("amqp-not-posted", ["routing_key": .string(message.routingKey)])
      return
    }
    do throws(AMQPFramingError) {
      try message.checkFraming()
      enqueue(message, AMQPBatch(1))
      flush()
    } catch {
      environment.log.error("amqp-not-posted", ["error": .string("\(error)")])
    }
  }

  private func enqueue(_ message: AMQPMessage, _ batch: AMQPBatch) {
    var properties = message.properties
    properties.deliveryMode = 2
    lastPublication += 1
    let publication = AMQPPublication(
      exchange: message.exchange, routingKey: message.routingKey, properties: properties.bytes, body: message.body,
      batch: batch)
    unconfirmedBytes += publication.size
    unconfirmed[lastPublication] = publication
    sendWaiting()
  }

  private var hasRoom: Bool {
    unconfirmed.count < Self.maximumUnconfirmed && unconfirmedBytes < Self.maximumUnconfirmedBytes
  }

  /// Publishes persistent messages, one after the other, and returns once the broker has confirmed them all.
  /// - Throws: as for one message. When some cannot be framed or are refused, the others are published and
  ///   confirmed before the error is thrown; `AMQPMessage.checkFraming` tells which cannot be framed.
  public func publish(_ messages: [AMQPMessage]) async throws {
    guard !isClosed else { throw NetworkError.closed }
    guard hasRoom else {
      throw NetworkError.exhausted("too much waits for the broker")
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
        for message in good { enqueue(message, batch) }
        flush()
      }
    }
    if let refusal { throw refusal }
  }

  /// Consumes a queue, now and with each new connection. Returns what `cancel` takes.
  ///
  /// An *exclusive* consumer waits while the queue has another. Where the order of messages matters that is what keeps it: a broker that
  /// has not noticed yet that this client's last connection is dead gives nothing to the new one past what the old one holds.
  @discardableResult
  ///
  /// Each consumer has a channel of its own. When the broker allows no more of them, the consumer waits for one.
  public func consume(_ queue: String, exclusive: Bool = false, _ handler: @escaping Handler) -> Int {
    lastConsumer += 1
    consumers[lastConsumer] = AMQPConsumer(queue: queue, isExclusive: exclusive, handler: handler)
    if isReady {
      channels.waiting.append(lastConsumer)
      openWaiting()
      flush()
    }
    return lastConsumer
  }

  /// Consumes no more; what is held goes back to the queue.
  public func cancel(_ id: Int) {
    forgetWaiting(id)
    guard let consumer = consumers.removeValue(forKey: id), isReady, let channel = consumer.channel else { return }
    guard consumer.isOpen else {
      // The broker has closed it, or is about to: then its number is free with the broker's answer.
      guard !channels.isClosing(channel) else { return }
      channels.free(channel)
      openWaiting()
      return flush()
    }
    AMQPFrames.write(.channelClose(code: 200, text: "done", classID: 0, methodID: 0), channel, to: &output)
    channels.close(channel)
    flush()
  }
}
