import Environment

/// A connection of an operator to a broker, for changes of its queues. It sends one request at a
/// time, and no heartbeats.
///
/// It uses AMQP alone, so it works with other brokers, too.
public final class QueueOperator {
  /// What became of the dead letters from one queue.
  public struct Outcome: Hashable, Sendable {
    /// What became of a dead letter.
    public enum Result: Hashable, Sendable {
      /// It was published again, or with a trial would be.
      case replayed
      case dropped
      /// It stays, for this reason.
      case kept(String)
    }

    /// The queue that the letters came from; empty if they do not tell.
    public let queue: String
    /// What became of them.
    public let result: Result
  }

  /// What to do with dead letters.
  public enum Treatment: Sendable {
    case replay, drop
  }

  /// The channel that takes messages from queues, and the one that publishes.
  private static let (taking, publishing): (UInt16, UInt16) = (1, 2)
  private static let rejection = "the broker has rejected it"
  /// Bytes of dead letters that are read at once.
  private static let maximumRead = 4_194_304

  private let environment: Environment
  /// Time for an answer of the broker.
  private let patience: Duration
  private let connection: any Connection
  private var parser = AMQPParser(isServer: false)
  private var frameMax = 4096
  /// Whether the channel that publishes is open.
  private var isPublishing = false
  /// Called with each dead letter that is treated, also in a trial, before its removal is asked
  /// for.
  public var onLetter: ((AMQPProperties) -> Void)?
  /// The number of dead letters whose removal the broker was asked for.
  public private(set) var removed = 0

  /// Connects and logs in.
  /// - Throws: `NetworkError`; `AMQPError` if the broker refuses the login.
  public init(
    _ environment: Environment, broker: BrokerAddress, patience: Duration = .seconds(30)
  ) async throws {
    self.environment = environment
    self.patience = patience
    connection = try await environment.network.connect(
      to: broker.address, deadline: environment.clock.now + patience)
    try await write(AMQPParser.protocolHeader)
    var handshake = AMQPHandshake(user: broker.user, password: broker.password, heartbeat: 0)
    var agreement: AMQPHandshake.Agreement?
    while agreement == nil {
      var output: [UInt8] = []
      agreement = try handshake.take(try await next().method, answeringTo: &output)
      if !output.isEmpty { try await write(output) }
    }
    frameMax = agreement!.frameMax
    _ = try await ask(.channelOpen, on: Self.taking)
  }

  /// Connects, runs `body`, and closes the connection; after an error, ends it at once.
  /// - Throws: `NetworkError`; `AMQPError`; the error of `body`.
  public static func connected<R>(
    _ environment: Environment, broker: BrokerAddress, patience: Duration = .seconds(30),
    _ body: (QueueOperator) async throws -> R
  ) async throws -> R {
    let queues = try await QueueOperator(environment, broker: broker, patience: patience)
    do {
      let result = try await body(queues)
      try await queues.close()
      return result
    } catch {
      queues.abandon()
      throw error
    }
  }

  /// Closes the connection. Messages that were taken and not acknowledged return to their queues.
  public func close() async throws {
    _ = try await ask(.connectionClose(code: 200, text: "bye", classID: 0, methodID: 0), on: 0)
    connection.close()
  }

  /// Ends the connection after an error.
  public func abandon() { connection.reset() }

  // MARK: Queues

  /// Removes the ready messages of a queue.
  /// - Returns: Their number, or with a trial the number of those that would be removed.
  /// - Throws: `AMQPError` 404 for an unknown queue.
  public func purge(_ queue: String, isTrial: Bool) async throws -> Int {
    try AMQPFramingError.check(queue, "queue")
    if isTrial { return try await depth(queue) }
    guard case .queuePurgeOk(let count) = try await ask(.queuePurge(queue: queue, noWait: false), on: Self.taking)
    else { throw Self.unexpected }
    return Int(count)
  }

  private func depth(_ queue: String) async throws -> Int {
    let question = AMQPMethod.QueueDeclaration(queue: queue, passive: true)
    guard case .queueDeclareOk(_, let count, _) = try await ask(.queueDeclare(question), on: Self.taking) else {
      throw Self.unexpected
    }
    return Int(count)
  }

  /// Asks the User Manager to end a supervised session. Returns once the broker has the request.
  /// - Throws: `AMQPError` if the broker refuses it, or no queue gets it.
  public func endSession(_ session: SupervisorID) async throws {
    if let reason = try await tellManager("END_SESSION", ["SESSION_SUPERVISOR_ID": .string(session.text)]) {
      throw AMQPError(312, reason)
    }
  }

  /// Asks the User Manager to erase the sessions of a customer, after the requests for sessions
  /// that are in its queue. Returns once the broker has the request; without the queue there is
  /// nothing to ask.
  /// - Throws: `AMQPError` if the broker refuses it.
  public func eraseSessions(of email: String) async throws {
    let reason = try await tellManager("END_SESSION", ["EMAIL": .string(email), "ERASE": true])
    if reason == Self.rejection { throw AMQPError(312, Self.rejection) }
  }

  /// Returns the reason if no queue gets the message.
  private func tellManager(_ type: String, _ data: JSONValue) async throws -> String? {
    var message = QueueMessage(type, data)
    message.id = "operator/\(Hex.encode(environment.entropy.bytes(8)))"
    var published = message.sent(to: QueueNames.managerExchange, QueueNames.fromCustomerServer)
    published.properties.deliveryMode = 2
    try await openPublishing()
    return try await publish(published)
  }

  // MARK: Dead letters

  /// Publishes dead letters again, to the exchange and with the routing key of before, or drops
  /// them. A letter leaves the dead letters after the broker has confirmed its copy, so a letter
  /// may be published twice if the connection ends, and none is lost.
  ///
  /// Treats those that are there now, oldest first, at most `limit`, and with `queue` only those
  /// from that queue. A trial changes nothing.
  /// - Returns: The outcomes, with the number of letters of each, in the order of their first
  ///   letter.
  public func treat(
    _ treatment: Treatment, from queue: String?, limit: Int, isTrial: Bool
  ) async throws -> [(outcome: Outcome, letters: Int)] {
    var outcomes: [(outcome: Outcome, letters: Int)] = []
    var remaining = try await depth(QueueNames.deadLetters)
    var treated = 0
    if treatment == .replay, !isTrial { try await openPublishing() }
    while remaining > 0, treated < limit, let command = try await take() {
      remaining -= 1
      let letter = DeadLetterOrigin(command)
      if let queue, !letter.queue.hasSameBytes(as: queue) { continue }
      treated += 1
      if let onLetter, let properties = try? command.readProperties() { onLetter(properties) }
      let result = try await treat(command, letter, treatment, isTrial: isTrial)
      let outcome = Outcome(queue: letter.queue, result: result)
      if let known = outcomes.firstIndex(where: { $0.outcome == outcome }) {
        outcomes[known].letters += 1
      } else {
        outcomes.append((outcome, 1))
      }
    }
    try await putBack()
    return outcomes
  }

  /// Reads the first dead letters, and how many there are. It reads at most `limit`, and stops
  /// after 4 MiB. They stay.
  func deadLetters(limit: Int) async throws -> (letters: [DeadLetterView], count: Int) {
    let count = try await depth(QueueNames.deadLetters)
    var letters: [DeadLetterView] = []
    var bytes = 0
    while letters.count < min(limit, count), bytes < Self.maximumRead, let command = try await take() {
      bytes += command.body.count + command.omittedBytes
      letters.append(DeadLetterView(command))
    }
    try await putBack()
    return (letters, max(count, letters.count))
  }

  /// Removes the oldest dead letters beyond the latest `number`, and gives a lifetime to those at
  /// the head of the queue that have none: those that an earlier release has set aside, or another
  /// client. Such a letter goes to the end of the queue, once the broker has confirmed its copy.
  ///
  /// Treats at most `limit` letters.
  func tidyDeadLetters(_ rule: Retention, limit: Int) async throws -> TidiedLetters {
    let count = try await depth(QueueNames.deadLetters)
    let excess = rule.number.map { max(0, count - $0) } ?? 0
    var tidied = TidiedLetters()
    guard excess > 0 || count > 0 && rule.age != nil else { return tidied }
    if rule.age != nil { try await openPublishing() }
    for place in 0..<count {
      guard place < limit, let command = try await take() else {
        tidied.isFull = place >= limit
        break
      }
      guard case .basicGetOk(let tag, _, _, _, _) = command.method else { throw Self.unexpected }
      if place < excess {
        tidied.removed += 1
      } else {
        guard let age = rule.age, let copy = DeadLetterOrigin.copy(of: command, expiringAfter: age) else { break }
        if try await publish(copy) != nil { break }
        tidied.dated += 1
      }
      try await send(.basicAck(tag: tag, multiple: false), on: Self.taking)
    }
    try await putBack()
    return tidied
  }

  /// Returns messages that were taken and not acknowledged to their places.
  private func putBack() async throws {
    _ = try await ask(.channelClose(code: 200, text: "", classID: 0, methodID: 0), on: Self.taking)
    _ = try await ask(.channelOpen, on: Self.taking)
  }

  private func treat(
    _ command: AMQPCommand, _ letter: DeadLetterOrigin, _ treatment: Treatment, isTrial: Bool
  ) async throws -> Outcome.Result {
    guard case .basicGetOk(let tag, _, _, _, _) = command.method else { throw Self.unexpected }
    if treatment == .replay {
      guard let message = letter.message else { return .kept("it cannot be read") }
      if isTrial { return .replayed }
      if let reason = try await publish(message) { return .kept(reason) }
    }
    if !isTrial {
      removed += 1
      try await send(.basicAck(tag: tag, multiple: false), on: Self.taking)
    }
    return treatment == .replay ? .replayed : .dropped
  }

  /// Takes the next dead letter; nil if there is none.
  private func take() async throws -> AMQPCommand? {
    try await send(.basicGet(queue: QueueNames.deadLetters, noAck: false), on: Self.taking)
    let command = try await answer(on: Self.taking)
    if case .basicGetEmpty = command.method { return nil }
    return command
  }

  private func openPublishing() async throws {
    guard !isPublishing else { return }
    _ = try await ask(.channelOpen, on: Self.publishing)
    _ = try await ask(.confirmSelect(noWait: false), on: Self.publishing)
    isPublishing = true
  }

  /// Publishes a message, and waits until the broker has confirmed it.
  /// - Returns: Why it did not; nil if it did.
  private func publish(_ message: AMQPMessage) async throws -> String? {
    let properties = message.properties.bytes
    guard properties.count <= frameMax - AMQPFramingError.headerOverhead else { return "its headers are too large" }
    var output: [UInt8] = []
    AMQPFrames.write(
      .basicPublish(exchange: message.exchange, routingKey: message.routingKey, mandatory: true, immediate: false),
      properties: properties, body: message.body, Self.publishing, frameMax: frameMax, to: &output)
    try await write(output)
    var refusal: String?
    while true {
      switch try await next().method {
      // A message that no queue gets is returned before it is confirmed.
      case .basicReturn(_, let text, _, _): refusal = "no queue gets it (\(text))"
      case .basicAck: return refusal
      case .basicNack: return Self.rejection
      case .channelClose(_, let text, _, _):
        try await send(.channelCloseOk, on: Self.publishing)
        isPublishing = false
        try await openPublishing()
        return text
      default: throw Self.unexpected
      }
    }
  }

  // MARK: Commands

  private static let unexpected = AMQPError(503, "an unexpected method")

  private func write(_ bytes: [UInt8]) async throws {
    try await connection.write(bytes, deadline: environment.clock.now + patience)
  }

  private func send(_ method: AMQPMethod, on channel: UInt16) async throws {
    var output: [UInt8] = []
    AMQPFrames.write(method, channel, to: &output)
    try await write(output)
  }

  private func ask(_ method: AMQPMethod, on channel: UInt16) async throws -> AMQPMethod {
    try await send(method, on: channel)
    return try await answer(on: channel).method
  }

  /// The next command, which is an answer on this channel.
  /// - Throws: `AMQPError` if the broker closes the channel.
  private func answer(on channel: UInt16) async throws -> AMQPCommand {
    let command = try await next()
    if case .channelClose(let code, let text, _, _) = command.method { throw AMQPError(code, text) }
    guard command.channel == channel else { throw Self.unexpected }
    return command
  }

  /// The next command that is no news of the broker's memory.
  /// - Throws: `AMQPError` if the broker closes the connection; `NetworkError`.
  private func next() async throws -> AMQPCommand {
    let deadline = environment.clock.now + patience
    while true {
      while let event = try parser.next() {
        guard case .command(let command) = event else { continue }
        switch command.method {
        case .connectionBlocked, .connectionUnblocked: continue
        case .connectionClose(let code, let text, _, _): throw AMQPError(code, text)
        default: return command
        }
      }
      let bytes = try await connection.read(atMost: 131_072, deadline: deadline)
      if bytes.isEmpty { throw NetworkError.closed }
      parser.receive(bytes)
    }
  }
}
