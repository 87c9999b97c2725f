import Environment
import System

/// A program that publishes numbered messages to a queue of its own and works them off, as a
/// service beside Parley's would (contract, section 5). Some of its work fails, and is delivered
/// again.
final class QueueWorker: SimulatedUser {
  private struct Failed: Error {}

  let state: UserState
  private let history: SessionHistory
  private let rendezvous: Rendezvous
  private let run: Duration
  private let log: WorkLog

  private static let exchange = "WORK"

  init(_ state: UserState, history: SessionHistory, rendezvous: Rendezvous, run: Duration) {
    self.state = state
    self.history = history
    self.rendezvous = rendezvous
    self.run = run
    log = WorkLog(worker: state.name)
    rendezvous.users += 1
  }

  func live(_ environment: Environment) async throws {
    let behavior = state.behavior
    let end = environment.clock.now + run
    history.work.append(log)
    let publisher = AMQPClient(environment, broker: Scenario.broker)
    let consumer = AMQPClient(environment, broker: Scenario.broker)
    let queue = "WORK_\(name)"
    for client in [publisher, consumer] {
      await client.declare([.exchange(Self.exchange), .queue(queue, exchange: Self.exchange)])
      client.start()
    }
    let worker = Confined(self)
    await consumer.consume(queue, exclusive: true) { try await worker.value.workOff($0, environment) }
    while environment.clock.now < end {
      try await state.pause(mean: behavior.thinkTime, environment)
      let numbers = log.confirmed + 1...log.confirmed + 1 + state.stream.choose(behavior.batch)
      state.lastSeen = "publishes \(numbers)"
      let begun = history.time
      try await publisher.publish(numbers.map { Self.message($0, queue) })
      log.confirm(numbers, from: begun, to: history.time)
    }
    state.lastSeen = "waits for its last messages"
    var progress = (count: log.done.count, at: environment.clock.now)
    while !log.isDone, environment.clock.now - progress.at < behavior.stillness {
      try await environment.clock.sleep(for: .milliseconds(500))
      if log.done.count > progress.count { progress = (log.done.count, environment.clock.now) }
    }
    await publisher.close()
    await consumer.close()
    rendezvous.settle()
    rendezvous.look()
    state.isServed = true
  }

  private static func message(_ number: Int, _ queue: String) -> AMQPMessage {
    AMQPMessage(exchange: exchange, routingKey: queue, properties: AMQPProperties(), body: Array("\(number)".utf8))
  }

  private func workOff(_ deliveries: [AMQPDelivery], _ environment: Environment) async throws {
    let numbers = deliveries.map { Int(String(decoding: $0.body, as: UTF8.self)) ?? 0 }
    let begun = history.time
    log.deliver(numbers, at: begun)
    try await state.pause(mean: state.behavior.workTime, environment)
    let fails = state.stream.chance(state.behavior.failing)
    for number in numbers.prefix(fails ? state.stream.choose(numbers.count) : numbers.count) {
      log.note(number, at: history.time)
      state.tally.count(.worked)
    }
    if fails { throw Failed() }
    log.acknowledge(numbers, from: begun, to: history.time)
  }
}

/// The messages that a worker has published and worked off.
final class WorkLog {
  let worker: String
  /// The number of the last message that the broker has confirmed. They are 1, 2, 3 and so on.
  private(set) var confirmed = 0
  /// The publications that the broker has confirmed: when they began, and when the last message was
  /// confirmed. In order of their numbers.
  private(set) var publications: [(numbers: ClosedRange<Int>, from: Int64, to: Int64)] = []
  /// The messages that were worked off, and when. A message that is delivered again is there again.
  private(set) var done: [(number: Int, at: Int64)] = []
  private var numbers: Set<Int> = []
  /// The messages that were handed to the worker, and when.
  private(set) var deliveries: [(number: Int, at: Int64)] = []
  /// The messages that were acknowledged: when they were handed to the worker, and when it was
  /// done.
  private(set) var acknowledged: [(number: Int, from: Int64, to: Int64)] = []

  init(worker: String) { self.worker = worker }

  func confirm(_ numbers: ClosedRange<Int>, from begin: Int64, to end: Int64) {
    confirmed = numbers.upperBound
    publications.append((numbers, begin, end))
  }

  func note(_ number: Int, at time: Int64) {
    done.append((number, time))
    numbers.insert(number)
  }

  func deliver(_ numbers: [Int], at time: Int64) { deliveries += numbers.map { ($0, time) } }

  func acknowledge(_ numbers: [Int], from begin: Int64, to end: Int64) {
    acknowledged += numbers.map { ($0, begin, end) }
  }

  func isDone(_ number: Int) -> Bool { numbers.contains(number) }

  /// Whether every confirmed message has been worked off.
  var isDone: Bool { numbers.count >= confirmed }
}
