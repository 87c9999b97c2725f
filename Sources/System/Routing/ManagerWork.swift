import Environment

/// One thing for the manager to handle: an input, or a message to set aside.
struct ManagerWork {
  enum Content {
    case input(ManagerInput, QueueMessage)
    /// A message that cannot be handled, and why.
    case deadLetter(AMQPMessage, reason: String)
  }

  let content: Content
  /// Where the answer goes, if the sender wants one.
  let answer: ManagerEffect.Answer?
  /// Identifies the message among all that were handled. Without a key it is handled each time.
  let key: String?
  /// The request that brought the message.
  let trace: RequestTrace?
  /// The delivery that brought the message, and its queue.
  private let delivery: (queue: String, delivery: AMQPDelivery)?
  /// Resumed with true once the work and all before it are committed, with false if the manager
  /// stops.
  var done: UnsafeContinuation<Bool, Never>?

  private init(
    _ content: Content, answer: ManagerEffect.Answer? = nil, key: String? = nil, trace: RequestTrace? = nil,
    _ delivery: (queue: String, delivery: AMQPDelivery)? = nil
  ) {
    self.content = content
    self.answer = answer
    self.key = key
    self.trace = trace
    self.delivery = delivery
  }

  /// Work that the manager gives itself.
  init(_ input: ManagerInput) { self.init(.input(input, QueueMessage(""))) }

  /// Work that an operator gives the manager over HTTP.
  init(_ input: ManagerInput, for caller: PendingAnswers.Caller) {
    self.init(
      .input(input, QueueMessage("")), answer: .init(destination: .caller(caller), type: ""), trace: .current)
  }

  /// A message that came over HTTP.
  init(
    _ message: QueueMessage, from source: ManagerSource, _ caller: PendingAnswers.Caller
  ) throws(QueueMessage.Malformed) {
    self.init(
      .input(try ManagerInput(message, from: source), message),
      answer: ManagerEffect.Answer(destination: .caller(caller), type: message.type),
      key: Self.key(of: message, from: source), trace: message.trace)
  }

  /// A message that came by queue. It begins a trace if its sender has not.
  init(_ delivery: AMQPDelivery, from source: ManagerSource, _ environment: Environment) {
    let trace = delivery.nextTrace(from: environment.identifiers) ?? RequestTrace(from: environment.identifiers)
    do throws(QueueMessage.Malformed) {
      let message = try QueueMessage(delivery, depth: JSONParser.queueDepth)
      let input = try ManagerInput(message, from: source)
      // Each heartbeat counts, also one with the id of an earlier one.
      let key = if case .heartbeat = input { nil as String? } else { Self.key(of: message, from: source) }
      self.init(
        .input(input, message), answer: Self.answer(to: delivery, type: message.type), key: key, trace: trace,
        (source.queue, delivery))
    } catch {
      self.init(settingAside: delivery, from: source.queue, because: error.reason, trace, environment.log)
    }
  }

  private init(
    settingAside delivery: AMQPDelivery, from queue: String, because reason: String, _ trace: RequestTrace?, _ log: Log
  ) {
    self.init(
      .deadLetter(delivery.deadLetter(from: queue, because: reason, log), reason: reason),
      answer: Self.answer(to: delivery, type: "REFUSED"), trace: trace)
  }

  /// The same delivery, to set aside. Nil for work that no delivery brought.
  func settingAside(because reason: String, _ log: Log) -> ManagerWork? {
    delivery.map { ManagerWork(settingAside: $0.delivery, from: $0.queue, because: reason, trace, log) }
  }

  var input: ManagerInput? { if case .input(let input, _) = content { input } else { nil } }
  var isDeadLetter: Bool { input == nil }

  private static func key(of message: QueueMessage, from source: ManagerSource) -> String? {
    message.id.map { "\(source.rawValue)/\($0)" }
  }

  private static func answer(to delivery: AMQPDelivery, type: String) -> ManagerEffect.Answer? {
    delivery.replyTo.map {
      ManagerEffect.Answer(
        destination: .queue($0, correlationID: delivery.properties.correlationID), type: type)
    }
  }
}
