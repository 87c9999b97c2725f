import Environment
import System

/// A program that uses queues with limits, in rounds: messages that expire, messages of different
/// priorities that wait together, and more messages than a queue may keep.
final class LimitsWorker: SimulatedUser {
  private static let highestPriority = 3

  let state: UserState
  private let history: SessionHistory
  private let rendezvous: Rendezvous
  private let run: Duration
  private let log: LimitsLog
  private var round = 0
  /// When the faults end.
  private var end: Instant?

  init(
    _ state: UserState, history: SessionHistory, rendezvous: Rendezvous, run: Duration, hasSteadyClocks: Bool
  ) {
    self.state = state
    self.history = history
    self.rendezvous = rendezvous
    self.run = run
    log = LimitsLog(worker: state.name, hasSteadyClocks: hasSteadyClocks)
    rendezvous.users += 1
  }

  private var timeLimited: String { "TIME_\(name)" }
  private var expired: String { "EXPIRED_\(name)" }
  private var ranked: String { "RANKED_\(name)" }
  /// The short queue of this round. A copy of a publication that arrives after its round finds its
  /// queue deleted, and pushes nothing out of the next one.
  private var short: String { "SHORT_\(name)_\(round)" }
  private var dropped: String { "DROPPED_\(name)" }

  private var declarations: [AMQPDeclaration] {
    var aging = deadLetters(to: expired)
    aging["x-message-ttl"] = .int64(log.timeToLive / 1_000_000)
    return [
      .queue(expired, exchange: ""), .queue(dropped, exchange: ""), .limitedQueue(timeLimited, arguments: aging),
      .limitedQueue(ranked, arguments: ["x-max-priority": .int32(Int32(Self.highestPriority))]),
    ]
  }

  private var shortQueue: AMQPDeclaration {
    var arguments = deadLetters(to: dropped)
    arguments["x-max-length"] = .int32(Int32(LimitsLog.length))
    return .limitedQueue(short, arguments: arguments)
  }

  private func deadLetters(to queue: String) -> AMQPTable {
    ["x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text(queue)]
  }

  func live(_ environment: Environment) async throws {
    let end = environment.clock.now + run
    self.end = end
    history.limits.append(log)
    let publisher = AMQPClient(environment, broker: Scenario.broker)
    await publisher.declare(declarations)
    publisher.start()
    let worker = Confined(self)
    let letters = try await consumer(environment)
    await letters.consume(expired) { deliveries in worker.value.noteExpired(deliveries) }
    await letters.consume(dropped) { deliveries in
      for delivery in deliveries { worker.value.note(delivery) { $0.dropped.insert($1) } }
    }
    while environment.clock.now < end {
      try await state.pause(mean: state.behavior.thinkTime, environment)
      round += 1
      try await expire(publisher, environment)
      try await rank(publisher, environment)
      try await fill(publisher, environment)
    }
    state.lastSeen = "waits for messages to expire"
    try await wait(environment) { self.log.lives.allSatisfy { $0.confirmed == nil || $0.expired != nil } }
    await publisher.close()
    await letters.close()
    rendezvous.settle()
    rendezvous.look()
    state.isServed = true
  }

  private func consumer(_ environment: Environment) async throws -> AMQPClient {
    let client = AMQPClient(environment, broker: Scenario.broker)
    await client.declare(declarations)
    client.start()
    return client
  }

  /// Waits until `isSo` returns true. The worker's patience begins when the faults have ended:
  /// before that the broker may be away for longer.
  private func wait(_ environment: Environment, until isSo: () -> Bool) async throws {
    let now = environment.clock.now
    let limit = max(now, end ?? now) + state.behavior.stillness
    while !isSo(), environment.clock.now < limit { try await environment.clock.sleep(for: .milliseconds(50)) }
  }

  private func message(_ queue: String, _ body: String, priority: Int? = nil) -> AMQPMessage {
    var properties = AMQPProperties()
    properties.priority = priority.map { UInt8($0) }
    return AMQPMessage(exchange: "", routingKey: queue, properties: properties, body: Array(body.utf8))
  }

  // MARK: Messages that expire

  private func expire(_ publisher: AMQPClient, _ environment: Environment) async throws {
    let number = log.lives.count
    log.lives.append(LimitsLog.Life(published: history.time))
    state.lastSeen = "publishes message \(number), which expires"
    try await publisher.publish(message(timeLimited, "\(number)"))
    log.lives[number].confirmed = history.time
  }

  private func noteExpired(_ deliveries: [AMQPDelivery]) {
    for delivery in deliveries {
      guard let number = Int(String(decoding: delivery.body, as: UTF8.self)), log.lives[number].expired == nil else {
        continue
      }
      log.lives[number].expired = history.time
      state.tally.count(.worked)
    }
  }

  // MARK: Messages with priorities

  /// All messages of a round wait together before any is delivered. The consumer is exclusive: a
  /// connection that the worker has given up may still hold the first messages.
  private func rank(_ publisher: AMQPClient, _ environment: Environment) async throws {
    let count = state.stream.choose(state.behavior.batch) + 1
    let priorities = (0..<count).map { _ in state.stream.choose(Self.highestPriority + 1) }
    let round = self.round
    state.lastSeen = "publishes \(count) messages with priorities"
    try await publisher.publish(
      priorities.enumerated().map { message(ranked, "\(round) \($0) \($1)", priority: $1) })
    log.priorityRounds.append([])
    let client = try await consumer(environment)
    let worker = Confined(self)
    await client.consume(ranked, exclusive: true) { deliveries in worker.value.noteRanked(deliveries) }
    try await wait(environment) { self.log.priorityRounds.last!.count == count }
    await client.close()
  }

  /// Notes the first arrival of each message of this round. One that was worked off before a crash
  /// may return later.
  private func noteRanked(_ deliveries: [AMQPDelivery]) {
    for delivery in deliveries {
      let parts = String(decoding: delivery.body, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
      guard parts.count == 3, parts[0] == round, !log.priorityRounds.isEmpty else { continue }
      let last = log.priorityRounds.count - 1
      guard !log.priorityRounds[last].contains(where: { $0.number == parts[1] }) else { continue }
      log.priorityRounds[last].append((number: parts[1], priority: parts[2]))
      state.tally.count(.worked)
    }
  }

  // MARK: Messages in a short queue

  private func fill(_ publisher: AMQPClient, _ environment: Environment) async throws {
    let count = state.stream.choose(state.behavior.batch) + 1
    let round = self.round
    state.lastSeen = "publishes \(count) messages to a short queue"
    log.lengthRounds.append(LimitsLog.LengthRound(number: round, published: count))
    await publisher.declare([shortQueue])
    try await publisher.publish((1...count).map { message(short, "\(round) \($0)") })
    let client = try await consumer(environment)
    await client.declare([shortQueue])
    let worker = Confined(self)
    await client.consume(short) { deliveries in
      for delivery in deliveries { worker.value.note(delivery) { $0.kept.insert($1) } }
    }
    try await wait(environment) {
      let last = self.log.lengthRounds.last!
      return last.kept.union(last.dropped).count == count && (last.kept.contains(count) || last.hasRepeats)
        && last.keptAlone.count <= LimitsLog.length
    }
    await client.close()
    try await publisher.delete(short, exchange: "")
    log.lengthRounds[log.lengthRounds.count - 1].isOver = true
  }

  /// Notes a message of the last round of a short queue.
  private func note(_ delivery: AMQPDelivery, _ note: (inout LimitsLog.LengthRound, Int) -> Void) {
    let parts = String(decoding: delivery.body, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
    guard parts.count == 2, parts[0] == log.lengthRounds.last?.number else { return }
    note(&log.lengthRounds[log.lengthRounds.count - 1], parts[1])
    state.tally.count(.worked)
  }
}

/// What a worker has seen of queues with limits. Times are in nanoseconds.
final class LimitsLog {
  /// The length of the short queue.
  static let length = 5

  /// A message that expires.
  struct Life {
    /// Before its publication began.
    let published: Int64
    /// When its publication was confirmed.
    var confirmed: Int64?
    /// When its dead letter arrived.
    var expired: Int64?
  }

  /// The messages of a round in the short queue. They are numbered from 1.
  struct LengthRound {
    let number: Int
    let published: Int
    var kept: Set<Int> = []
    var dropped: Set<Int> = []
    /// Messages that were kept and not dropped. The consumer starts after a whole publication,
    /// which drops all messages but the newest. A message that is both has come again: in a
    /// publication that was repeated, and whose first bytes arrived late.
    var keptAlone: Set<Int> { kept.subtracting(dropped) }
    /// Whether a message has come again. The newest messages may then be those that came again.
    var hasRepeats: Bool { !kept.isDisjoint(with: dropped) }
    /// Whether the worker waits for no more messages.
    var isOver = false
  }

  let worker: String
  /// Whether no fault moves a clock.
  let hasSteadyClocks: Bool
  let timeToLive: Int64 = 1_000_000_000
  var lives: [Life] = []
  /// The first arrivals of the messages of each round, in order.
  var priorityRounds: [[(number: Int, priority: Int)]] = []
  var lengthRounds: [LengthRound] = []

  init(worker: String, hasSteadyClocks: Bool) {
    self.worker = worker
    self.hasSteadyClocks = hasSteadyClocks
  }

  /// The most time from the end of a message's life to its dead letter, where no fault is there.
  static let lateness: Int64 = 3_000_000_000

  /// How much earlier or later a clock that drifts may end a time.
  static func drift(of time: Int64) -> Int64 { time / 50 }
}
