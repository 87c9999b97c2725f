import Environment
import Simulation
import System

/// A program that uses queues of its own with all methods of AMQP: transactions, transient and
/// unroutable messages, direct replies, priorities, limits and dead letters. It settles in any
/// order and returns messages, and its connection breaks at any byte.
///
/// It does one thing after another, so the model of its queues (`QueueModel`) knows what comes
/// next.
final class MethodWorker: SimulatedUser {
  /// The client waits this long for an answer before it connects again.
  private static let patience: Duration = .seconds(5)
  private static let betweenBeats: Duration = .milliseconds(1500)
  /// The first channel confirms publications and gets direct replies, and the third one has
  /// transactions. The last one is for declarations.
  static let (confirming, plain, transactional, declaring) = (0, 1, 2, 3)
  static let replies = "replies"

  let state: UserState
  let queues: MethodQueues
  let log: MethodLog
  private let history: SessionHistory
  private let rendezvous: Rendezvous
  private let run: Duration
  private let mayRestart: Bool
  private var belief: QueueBelief
  private var link: BrokerLink?
  private var environment: Environment?
  /// The deliveries that it can settle.
  private(set) var held: [(channel: Int, tag: Int)] = []
  var consumers: [QueueModel.Consumer] = []
  /// Requests that came, with the address for the reply, and those that this connection has made.
  var requests: [(number: Int, address: String)] = []
  var asked: Set<Int> = []
  /// The publications on the first channel of this connection.
  var published = 0
  private var lastNumber = 0

  init(
    _ state: UserState, history: SessionHistory, rendezvous: Rendezvous, run: Duration, mayRestart: Bool
  ) {
    self.state = state
    self.history = history
    self.rendezvous = rendezvous
    self.run = run
    self.mayRestart = mayRestart
    log = MethodLog(worker: state.name)
    queues = MethodQueues(of: state.name, count: state.stream.chance(0.5) ? 2 : 4, state.stream, mayRestart: mayRestart)
    let model = QueueModel(rules: queues.rules)
    belief = QueueBelief(model, model.initial(channels: BrokerLink.channels))
    rendezvous.users += 1
  }

  /// The name of its exchange of a type.
  func exchange(_ kind: RoutingModel.Kind) -> String { "METHODS_\(name)_\(kind.rawValue)" }

  /// The declaration of its exchange of a type.
  func declaration(_ kind: RoutingModel.Kind) -> [UInt8] {
    BrokerWriter.method(
      Self.declaring + 1, "exchange.declare",
      ["exchange": .text(exchange(kind)), "type": .text(kind.rawValue), "durable": .bit(true)])
  }

  private var lock: String { "METHODS_\(name)_LOCK" }

  /// The number of the next message.
  func number() -> Int {
    lastNumber += 1
    return lastNumber
  }

  private var isJudging: Bool { log.breach == nil && !log.isUndecided }

  func live(_ environment: Environment) async throws {
    self.environment = environment
    let end = environment.clock.now + run
    history.methods.append(log)
    while environment.clock.now < end, isJudging {
      try await pause(state.stream.exponential(mean: state.behavior.thinkTime), environment)
      if try await connect(environment) { try await act(drawn(), environment) }
    }
    while isJudging, try await !empty(environment) {}
    link?.reset()
    rendezvous.settle()
    rendezvous.look()
    state.isServed = true
  }

  /// Sleeps, and shows the broker meanwhile that the client is there.
  private func pause(_ duration: Duration, _ environment: Environment) async throws {
    let end = environment.clock.now + duration
    while environment.clock.now < end {
      try await environment.clock.sleep(for: min(Self.betweenBeats, end - environment.clock.now))
      do {
        try await link?.beat(deadline: environment.clock.now + Self.patience)
      } catch is NetworkError { lose([], []) }
    }
  }

  // MARK: Connections

  /// Connects unless it is connected. Returns whether it is.
  private func connect(_ environment: Environment) async throws -> Bool {
    if link != nil { return true }
    state.lastSeen = "connects"
    let deadline = environment.clock.now + Self.patience
    do {
      let new = try await BrokerLink.open(environment, deadline: deadline)
      do {
        try await takeLock(new, environment)
        try await declare(new, environment)
      } catch {
        new.reset()
        throw error
      }
      link = new
    } catch is NetworkError {
      try await environment.clock.sleep(for: .milliseconds(300))
      return false
    }
    return try await warm(environment)
  }

  /// Declares an exclusive queue. That is refused as long as the last connection is there for the
  /// broker, so what comes later finds the effects of what was sent on it.
  private func takeLock(_ link: BrokerLink, _ environment: Environment) async throws {
    while true {
      let deadline = environment.clock.now + Self.patience
      try await link.write(
        BrokerWriter.method(Self.declaring + 1, "queue.declare", ["queue": .text(lock), "exclusive": .bit(true)]),
        deadline: deadline)
      let answer = try await answer(link, deadline)
      if answer.name == "queue.declare-ok" { return }
      guard answer.name == "channel.close", answer.numbers["reply-code"] == 405 else { throw NetworkError.closed }
      try await link.write(
        BrokerWriter.method(Self.declaring + 1, "channel.close-ok")
          + BrokerWriter.method(Self.declaring + 1, "channel.open"), deadline: deadline)
      while try await self.answer(link, deadline).name != "channel.open-ok" {}
      try await environment.clock.sleep(for: .milliseconds(200))
    }
  }

  /// Declares the queues, and asks for confirms, transactions and direct replies.
  private func declare(_ link: BrokerLink, _ environment: Environment) async throws {
    let deadline = environment.clock.now + Self.patience
    var bytes = RoutingModel.Kind.allCases.flatMap(declaration)
    for index in queues.names.indices { bytes += queues.declaration(index, channel: Self.declaring + 1) }
    bytes += BrokerWriter.method(Self.confirming + 1, "confirm.select")
    bytes += BrokerWriter.method(
      Self.confirming + 1, "basic.consume",
      ["queue": .text("amq.rabbitmq.reply-to"), "consumer-tag": .text(Self.replies), "no-ack": .bit(true)])
    bytes += BrokerWriter.method(Self.transactional + 1, "tx.select")
    try await link.write(bytes, deadline: deadline)
    for _ in 0..<queues.names.count + RoutingModel.Kind.allCases.count + 3 {
      let answer = try await answer(link, deadline)
      guard answer.name == "channel.close" else { continue }
      log.breach = ["\(name): the broker refuses a declaration: \(answer.texts["reply-text"] ?? "")"]
      throw NetworkError.closed
    }
    (held, consumers, published, asked) = ([], [], 0, [])
  }

  /// Takes all messages of each queue and returns them. After a restart they are in memory then,
  /// and no delivery waits for the disk.
  private func warm(_ environment: Environment) async throws -> Bool {
    for index in queues.names.indices where link != nil && isJudging {
      var count = -1
      while held.count > count, link != nil, isJudging {
        count = held.count
        let gets = (0..<Self.gets).map { _ in get(index, channel: Self.plain, noAck: false) }
        try await act(gets, environment)
      }
      guard let last = held.last, link != nil else { continue }
      try await act([settle(last, .requeue, isMultiple: true)], environment)
    }
    return link != nil
  }

  /// Messages that are taken at once.
  private static let gets = 20

  private func answer(_ link: BrokerLink, _ deadline: Instant) async throws -> BrokerFrame {
    let frame = try await link.next(deadline: deadline)
    if frame.name == "connection.close" { throw NetworkError.closed }
    return frame
  }

  /// The connection has ended during some steps.
  private func lose(_ steps: [MethodStep], _ heard: [QueueModel.Delivery]) {
    link?.reset()
    link = nil
    held = []
    consumers = []
    let before = belief.states
    belief.takeBroken(steps.map(\.belief), heard, mayRestart: mayRestart)
    log.tell("\(VirtualTime.text(history.time)) the connection ends")
    check(before)
  }

  /// Ends the judgement if no state, or too many, could explain what was seen. `before`: the states
  /// before.
  private func check(_ before: [QueueModel.State]) {
    guard isJudging else { return }
    if belief.states.isEmpty {
      let rules = queues.rules.enumerated().map { "queue \($0): \($1)" }
      let known = before.prefix(4).map { "before the last steps: \($0)" }
      log.breach = rules + log.story + known + ["nothing explains the last answers"]
    }
    if belief.isLost { log.isUndecided = true }
  }

  // MARK: Steps

  /// Takes steps and one that asks how many messages a queue has, and compares what comes with the
  /// model.
  func act(_ wanted: [MethodStep], _ environment: Environment) async throws {
    guard let link, isJudging else { return }
    var exchange = MethodExchange(wanted + [count(state.stream.choose(queues.names.count))])
    let begin = history.time
    state.lastSeen = exchange.steps.map { "\($0.belief.input)" }.joined(separator: "; ")
    state.tally.add(wanted.count, to: .worked)
    let bytes = exchange.steps.flatMap(\.bytes)
    for step in exchange.steps { note(step.belief.input) }
    do {
      let deadline = environment.clock.now + Self.patience
      if state.stream.chance(0.03) {
        try await link.write(Array(bytes.prefix(state.stream.choose(bytes.count + 1))), deadline: deadline)
        throw NetworkError.reset
      }
      try await link.write(bytes, deadline: deadline)
      while !exchange.isAnswered || belief.match(exchange.steps.map(\.belief), exchange.heard) == .incomplete {
        try note(try await link.next(deadline: deadline), in: &exchange)
      }
    } catch let error as NetworkError {
      if case .timedOut = error { log.missing.append((state.lastSeen, begin...history.time)) }
      tell(exchange, begin)
      return lose(exchange.steps, exchange.heard)
    }
    tell(exchange, begin)
    let before = belief.states
    belief.take(exchange.steps.map(\.belief), exchange.heard)
    check(before)
  }

  private func tell(_ exchange: MethodExchange, _ begin: Int64) {
    for step in exchange.steps {
      log.tell("\(VirtualTime.text(begin)) \(step.belief.input)\(step.belief.isAnswered ? "" : " (no answer)")")
    }
    if !exchange.heard.isEmpty { log.tell("\(VirtualTime.text(history.time)) heard \(exchange.heard)") }
  }

  private func note(_ frame: BrokerFrame, in exchange: inout MethodExchange) throws(NetworkError) {
    if frame.name == "connection.close" || frame.name == "channel.close" {
      let code = frame.numbers["reply-code"] ?? 0
      // The broker stops.
      if ![320, 541].contains(code), isJudging {
        log.breach = log.story + ["the broker ends it: \(code) \(frame.texts["reply-text"] ?? "")"]
      }
      throw NetworkError.closed
    }
    guard let delivery = exchange.note(frame) else { return }
    if !delivery.noAck { held.append((delivery.channel, delivery.tag)) }
    if let address = frame.replyTo { requests.append((delivery.number, address)) }
  }

  /// Notes what a step changes for the client. When the connection ends, all of it is void.
  private func note(_ input: QueueModel.Input) {
    switch input {
    case .settle(let settling): forget(settling)
    case .transaction(_, let settlings, isCommitted: true): for settling in settlings { forget(settling) }
    case .recover(let channel), .closeChannel(let channel):
      held.removeAll { $0.channel == channel }
      if case .closeChannel = input { consumers.removeAll { $0.channel == channel } }
    case .consume(let consumer): consumers.append(consumer)
    case .cancel(let tag): consumers.removeAll { $0.tag == tag }
    default: break
    }
  }

  private func forget(_ settling: QueueModel.Settling) {
    held.removeAll {
      $0.channel == settling.channel && ($0.tag == settling.tag || settling.isMultiple && $0.tag < settling.tag)
    }
  }

  // MARK: The end

  /// Settles everything and takes all messages out of the queues. Returns whether that was done.
  private func empty(_ environment: Environment) async throws -> Bool {
    guard try await connect(environment) else { return false }
    state.lastSeen = "empties its queues"
    for consumer in consumers { try await act([cancel(consumer)], environment) }
    while let delivery = held.last, link != nil, isJudging {
      try await act([settle(delivery, .acknowledge)], environment)
    }
    for index in queues.names.indices {
      repeat {
        try await act([get(index, channel: Self.plain, noAck: false)], environment)
        guard link != nil, isJudging, let delivery = held.last else { break }
        try await act([settle(delivery, .acknowledge)], environment)
      } while link != nil && isJudging
    }
    return link != nil
  }
}
