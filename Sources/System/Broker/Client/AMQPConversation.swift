import Environment

/// What a client says to its broker and what it hears, without the network: commands in, output and
/// effects out. It outlives connections, and continues on a new one where the last one ended. Used
/// on the client's actor.
struct AMQPConversation {
  /// The action that a command demands of the client.
  enum Effect {
    /// Start to call a consumer's handler.
    case work(Int)
    /// Wait, then consume again.
    case retry(AMQPConsumers.Refused)
    /// Wait, then send rejected publications again, if the publisher's channel is still at this
    /// opening.
    case sendAgain(opening: Int)
    /// End the connection: both sides have agreed to.
    case end
  }

  private let log: Log
  private var topology = AMQPTopology()
  private var publisher: AMQPPublisher
  private var consumers: AMQPConsumers
  private(set) var check = AnswerCheck()
  /// The declaration that the broker refused last, until it answers again.
  private var refusal: AMQPDeclarationRefusal?
  /// Whether there is a connection.
  private(set) var isOpen = false
  private var output: [UInt8] = []

  init(_ log: Log, _ limits: WorkLimits) {
    self.log = log
    publisher = AMQPPublisher(log, limits)
    consumers = AMQPConsumers(limits)
  }

  // MARK: Connection

  /// Continues on a new connection.
  mutating func open(_ agreement: AMQPHandshake.Agreement) {
    isOpen = true
    publisher.connect(frameMax: agreement.frameMax)
    openPublisher()
    consumers.connect(channelMax: agreement.channelMax, to: &output)
  }

  private mutating func openPublisher() { publisher.open(to: &output) { topology.write(to: &$0) } }

  /// Notes that the connection has ended, and why, when it was because of a declaration.
  mutating func end(_ refusal: AMQPDeclarationRefusal? = nil) {
    isOpen = false
    self.refusal = refusal ?? self.refusal
    output = []
    topology.endDepths()
    check.fail()
    publisher.disconnect()
    consumers.disconnect()
  }

  /// Fails everything that waits for the broker: the client is closed.
  mutating func failAll() {
    publisher.failAll()
    topology.failAll()
  }

  /// Forgets all consumers. Their handlers hold the service that holds the client.
  mutating func removeConsumers() { consumers.removeAll() }

  // MARK: Output

  /// Whether there is output.
  var hasOutput: Bool { !output.isEmpty }

  /// Takes the output for the network. Publications that wait follow with the next call.
  mutating func takeOutput() -> [UInt8] {
    publisher.send(to: &output)
    defer { output = [] }
    return output
  }

  /// Lets a part of the connection write what it has to say.
  mutating func write(_ body: (inout [UInt8]) throws -> Void) rethrows { try body(&output) }

  /// Writes a method on channel 0, which is the connection itself.
  mutating func write(_ method: AMQPMethod) { AMQPFrames.write(method, 0, to: &output) }

  // MARK: Requests

  mutating func declare(_ wanted: [AMQPDeclaration]) {
    let added = topology.add(wanted, log)
    if isOpen { for declaration in added { declaration.write(on: AMQPPublisher.channel, to: &output) } }
  }

  mutating func forget(_ queue: String, exchange: String) { topology.forget(queue, exchange: exchange) }

  mutating func delete(_ queue: String, exchange: String, _ batch: AMQPBatch) {
    topology.delete(queue, exchange: exchange, batch)
    if isOpen { AMQPTopology.write(deleting: queue, to: &output) }
  }

  /// Those of some queues whose depth can be asked for now.
  func askable(_ queues: [String]) -> [String] { isOpen ? topology.askable(queues) : [] }

  mutating func askDepths(_ queues: [String], _ waiter: UnsafeContinuation<[AMQPTopology.Depth], Never>) {
    topology.ask(queues, waiter, to: &output)
  }

  /// Bytes of publications that wait for their confirmation.
  var unconfirmedBytes: Int { publisher.unconfirmedBytes }
  /// Whether another publication may wait.
  var hasRoom: Bool { publisher.hasRoom }

  mutating func publish(_ message: AMQPMessage, _ batch: AMQPBatch) {
    publisher.append(message, batch)
    publisher.send(to: &output)
  }

  /// Sends rejected publications again.
  mutating func sendAgain(opening: Int) {
    guard isOpen, opening == publisher.opening else { return }
    publisher.sendAgain(to: &output)
  }

  mutating func consume(_ queue: String, exclusive: Bool, _ handler: @escaping AMQPClient.Handler) -> Int {
    consumers.add(queue, exclusive: exclusive, to: &output, handler)
  }

  mutating func retry(_ refused: AMQPConsumers.Refused) { consumers.retry(refused, to: &output) }

  mutating func cancel(_ consumer: Int) { consumers.cancel(consumer, to: &output) }

  mutating func takeBatch(_ consumer: Int) -> AMQPConsumers.Batch? { consumers.takeBatch(consumer) }

  mutating func acknowledge(_ batch: AMQPConsumers.Batch) { consumers.acknowledge(batch, to: &output) }

  mutating func giveBack(_ batch: AMQPConsumers.Batch) { consumers.giveBack(batch, to: &output) }

  mutating func endWork(_ consumer: Int) { consumers.endWork(consumer) }

  // MARK: Health

  /// Whether the broker reads what it is sent.
  var isReading: Bool { isOpen && !publisher.isBlocked }

  /// Why the broker does not answer, for an operator to read.
  var fault: String { refusal?.description ?? "the broker does not answer" }

  /// Adds a caller that waits for the broker to answer. Returns the number of a question that was
  /// written, or nil when one is under way.
  mutating func ask(_ waiter: UnsafeContinuation<Bool, Never>) -> Int? {
    guard let question = check.wait(waiter) else { return nil }
    writeQuestion()
    return question
  }

  /// Gives up a question. A later question has its own time.
  mutating func giveUp(question: Int) { if question == check.question { check.fail() } }

  /// Asks for an exchange that every broker has (AMQP 0-9-1 §3.1.3.1). A broker answers once
  /// everything before the question is on its disk.
  private mutating func writeQuestion() {
    var question = AMQPMethod.ExchangeDeclaration()
    question.exchange = "amq.direct"
    question.passive = true
    AMQPFrames.write(.exchangeDeclare(question), AMQPPublisher.channel, to: &output)
  }

  // MARK: Commands of the broker

  /// Takes a command on an open connection.
  /// - Throws: `AMQPDeclarationRefusal` when an operator has to act; `AMQPError` when the
  ///   connection is of no use any more.
  mutating func take(_ command: AMQPCommand, at now: Instant) throws -> Effect? {
    switch command.method {
    case .basicAck(let tag, let multiple):
      publisher.confirm(tag, multiple: multiple, to: &output)
      if publisher.isReadyToSendAgain { return .sendAgain(opening: publisher.opening) }
    case .basicNack(let tag, let multiple, _):
      let count = publisher.reject(tag, multiple: multiple, to: &output)
      if count > 0 { log.warning("amqp-publications-rejected", ["count": .int(Int64(count))]) }
      if publisher.isReadyToSendAgain { return .sendAgain(opening: publisher.opening) }
    case .basicDeliver(_, let tag, let redelivered, _, _):
      return try consumers.deliver(command, tag: tag, isRedelivered: redelivered).map(Effect.work)
    case .queueDeclareOk(let queue, let messages, _): topology.noteDepth(queue, messages)
    case .queueDeleteOk: topology.noteDeletion()
    case .exchangeDeclareOk:
      refusal = nil
      check.answer(at: now)
    case .connectionBlocked(let reason):
      if publisher.block() { log.warning("amqp-blocked", ["reason": .string(reason)]) }
    case .connectionUnblocked: publisher.unblock(to: &output)
    case .basicCancel: consumers.cancelled(on: command.channel, to: &output)
    case .channelClose(let code, let text, let classID, let methodID):
      AMQPFrames.write(.channelCloseOk, command.channel, to: &output)
      return try noteClose(of: command.channel, AMQPError(code, text), classID: classID, methodID: methodID)
    case .channelCloseOk: consumers.closed(command.channel, to: &output)
    case .connectionClose(let code, let text, _, _):
      AMQPFrames.write(.connectionCloseOk, 0, to: &output)
      throw AMQPError(code, text)
    case .connectionCloseOk: return .end
    case .channelOpenOk, .confirmSelectOk, .basicQosOk, .basicConsumeOk, .basicReturn: break
    default: throw AMQPError(503, "a method that no broker sends")
    }
    return nil
  }

  private mutating func noteClose(
    of channel: UInt16, _ error: AMQPError, classID: UInt16, methodID: UInt16
  ) throws -> Effect? {
    if consumers.isClosing(channel) { return nil }
    guard channel == AMQPPublisher.channel else { return .retry(try consumers.refused(on: channel, error)) }
    if let refusal = AMQPDeclarationRefusal(error, classID: classID, methodID: methodID) { throw refusal }
    guard (classID, methodID) == (60, 40), publisher.isWaiting else { throw error }
    publisher.refuse(error)
    topology.endDepths()
    openPublisher()
    if check.isWaiting { writeQuestion() }
    return nil
  }
}
