import Environment
import System

/// Publishes numbered messages to a queue of its own and works them off at its own pace, as a service beside Parley's would (contract
/// section 5). Now and then working off fails, and what failed comes again.
final class Worker: Resident<SessionHistory, SessionCommons, SessionAction>, Inhabitant, @unchecked Sendable {
  private struct Failed: Error {}

  private static let exchange = "WORK"
  private lazy var log = WorkLog(worker: name)

  func live(_ environment: Environment) async throws {
    let end = environment.clock.now + agenda.run
    history.work.append(log)
    let publisher = AMQPClient(environment, broker: Scenario.broker)
    let consumer = AMQPClient(environment, broker: Scenario.broker)
    let queue = "WORK_\(name)"
    for client in [publisher, consumer] {
      await client.declare([.exchange(Self.exchange), .queue(queue, exchange: Self.exchange)])
      client.start()
    }
    await consumer.consume(queue, exclusive: true) { [self] in try await workOff($0, environment) }
    while environment.clock.now < end {
      try await environment.clock.sleep(for: stream.exponential(mean: behavior.thinkTime))
      let numbers = log.confirmed + 1...log.confirmed + 1 + stream.choose(behavior.batch)
      lastSeen = "publishes \(numbers)"
      try await publisher.publish(numbers.map { Self.message($0, queue) })
      log.confirmed = numbers.upperBound
    }
    lastSeen = "works off what is left"
    var progress = (count: log.done.count, at: environment.clock.now)
    while !log.isDone, environment.clock.now - progress.at < behavior.stillness {
      try await environment.clock.sleep(for: .milliseconds(500))
      if log.done.count > progress.count { progress = (log.done.count, environment.clock.now) }
    }
    await publisher.close()
    await consumer.close()
    commons.settled += 1
    commons.looked += 1
    isServed = true
  }

  private static func message(_ number: Int, _ queue: String) -> AMQPMessage {
    AMQPMessage(exchange: exchange, routingKey: queue, properties: AMQPProperties(), body: Array("\(number)".utf8))
  }

  private func workOff(_ deliveries: [AMQPDelivery], _ environment: Environment) async throws {
    try await environment.clock.sleep(for: stream.exponential(mean: behavior.workTime))
    let fails = stream.chance(behavior.failing)
    for delivery in deliveries.prefix(fails ? stream.choose(deliveries.count) : deliveries.count) {
      log.note(Int(String(decoding: delivery.body, as: UTF8.self)) ?? 0, at: history.time)
      tally.count(.worked)
    }
    if fails { throw Failed() }
  }
}

/// What a worker has published and worked off.
final class WorkLog: @unchecked Sendable {
  let worker: String
  /// The number of the last message that the broker has confirmed: they are 1, 2, 3 …
  var confirmed = 0
  /// What was worked off, and when; again, when it came again.
  private(set) var done: [(number: Int, at: Int64)] = []
  private var numbers: Set<Int> = []

  init(worker: String) { self.worker = worker }

  func note(_ number: Int, at time: Int64) {
    done.append((number, time))
    numbers.insert(number)
  }

  func isDone(_ number: Int) -> Bool { numbers.contains(number) }

  /// Whether everything that was confirmed has been worked off.
  var isDone: Bool { numbers.count >= confirmed }
}
