@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Operators purge queues and treat dead letters, over the simulated network.
@Suite("Operators of queues")
struct QueueOperatorTests {
  private static let broker = BrokerAddress(
    address: RawAMQP.address, user: "operator", password: "the operators' token")

  private static func world() -> BrokerWorld { BrokerWorld(change: { $0.operatorToken = "the operators' token" }) }

  /// A dead letter of a message that was published to an exchange.
  private static func letter(
    _ number: UInt8, queue: String = "work", exchange: String? = "orders", key: String = "work"
  ) -> [UInt8] {
    RawAMQP.publication(QueueNames.deadLetters, [number]) {
      var headers: AMQPTable = ["PARLEY_REASON": .text("why"), "PARLEY_QUEUE": .text(queue), "own": .int64(7)]
      if let exchange {
        headers["PARLEY_EXCHANGE"] = .text(exchange)
        headers["PARLEY_ROUTING_KEY"] = .text(key)
      }
      $0.headers = headers
      $0.messageID = "m\(number)"
    }
  }

  /// Declares the exchange, the queue that is bound to it, and the dead letters.
  private static func declare(_ raw: RawAMQP) async throws {
    for queue in ["work", QueueNames.deadLetters] { try await raw.declare(queue) }
    var exchange = AMQPMethod.ExchangeDeclaration()
    (exchange.exchange, exchange.durable) = ("orders", true)
    try await raw.ask(.exchangeDeclare(exchange))
    try await raw.ask(.queueBind(queue: "work", exchange: "orders", routingKey: "work", noWait: false, arguments: [:]))
  }

  private static func bodies(_ raw: RawAMQP, _ queue: String) async throws -> [[UInt8]] {
    var bodies: [[UInt8]] = []
    while let command = try await raw.get(queue, noAck: true) { bodies.append(command.body) }
    return bodies
  }

  @Test("a replayed letter is the message as it was, where it was published")
  func replay() throws {
    try Self.world().perform { environment in
      let raw = try await RawAMQP(environment)
      try await Self.declare(raw)
      try await raw.write(Self.letter(1) + Self.letter(2, exchange: nil))
      let queues = try await QueueOperator(environment, broker: Self.broker)
      let outcomes = try await queues.treat(.replay, from: nil, limit: .max, isTrial: false)
      #expect(outcomes.map(\.letters) == [2] && outcomes[0].outcome == .init(queue: "work", result: .replayed))
      try await queues.close()
      var keys: [String] = []
      for number in [UInt8(1), 2] {
        guard let command = try await raw.get("work", noAck: true),
          case .basicGetOk(_, _, let exchange, let key, _) = command.method
        else {
          Issue.record("message \(number) is missing")
          continue
        }
        keys += [exchange, key]
        let properties = try command.readProperties()
        #expect(
          command.body == [number] && properties.messageID == AMQPText("m\(number)") && properties.deliveryMode == 2)
        #expect(properties.headers?.entries.map(\.name) == ["own"])
      }
      // A letter of an earlier release has its queue alone.
      #expect(keys == ["orders", "work", "", "work"])
      #expect(try await Self.bodies(raw, QueueNames.deadLetters).isEmpty)
    }
  }

  @Test("a letter that no queue gets, or that does not tell where it came from, stays in its place")
  func kept() throws {
    try Self.world().perform { environment in
      let raw = try await RawAMQP(environment)
      try await Self.declare(raw)
      try await raw.write(
        RawAMQP.publication(QueueNames.deadLetters, [1]) + Self.letter(2, key: "nobody") + Self.letter(3)
          + Self.letter(4, exchange: "no such exchange") + Self.letter(5))
      let queues = try await QueueOperator(environment, broker: Self.broker)
      let outcomes = try await queues.treat(.replay, from: nil, limit: .max, isTrial: false)
      #expect(outcomes.map(\.letters) == [1, 1, 2, 1])
      let kept = outcomes.compactMap { if case .kept(let reason) = $0.outcome.result { reason } else { nil } }
      #expect(kept.count == 3 && kept[1].contains("NO_ROUTE") && kept[2].contains("no such exchange"), "\(kept)")
      try await queues.close()
      #expect(try await Self.bodies(raw, "work") == [[3], [5]])
      #expect(try await Self.bodies(raw, QueueNames.deadLetters) == [[1], [2], [4]])
    }
  }

  @Test("letters are chosen by queue and number; a trial changes nothing")
  func chosen() throws {
    try Self.world().perform { environment in
      let raw = try await RawAMQP(environment)
      try await Self.declare(raw)
      try await raw.write((1...6).flatMap { Self.letter($0, queue: $0 % 2 == 0 ? "even" : "work") })
      let queues = try await QueueOperator(environment, broker: Self.broker)
      for treatment in [QueueOperator.Treatment.replay, .drop] {
        let tried = try await queues.treat(treatment, from: nil, limit: .max, isTrial: true)
        #expect(tried.map(\.outcome.queue) == ["work", "even"] && tried.map(\.letters) == [3, 3])
      }
      #expect(queues.removed == 0)
      let dropped = try await queues.treat(.drop, from: "even", limit: 2, isTrial: false)
      #expect(dropped.map(\.letters) == [2] && dropped[0].outcome.result == .dropped && queues.removed == 2)
      #expect(try await queues.treat(.drop, from: "none", limit: 2, isTrial: false).isEmpty)
      for _ in 0..<2 {
        let replayed = try await queues.treat(.replay, from: nil, limit: 1, isTrial: false)
        #expect(replayed.map(\.letters) == [1])
      }
      try await queues.close()
      #expect(try await Self.bodies(raw, "work") == [[1], [3]])
      #expect(try await Self.bodies(raw, QueueNames.deadLetters) == [[5], [6]])
    }
  }

  @Test("a letter that comes back while it is replayed is treated once")
  func comesBack() throws {
    try Self.world().perform { environment in
      let raw = try await RawAMQP(environment)
      try await raw.declare(QueueNames.deadLetters)
      try await raw.write(Self.letter(1, exchange: "", key: QueueNames.deadLetters))
      let queues = try await QueueOperator(environment, broker: Self.broker)
      #expect(try await queues.treat(.replay, from: nil, limit: .max, isTrial: false).map(\.letters) == [1])
      try await queues.close()
      #expect(try await Self.bodies(raw, QueueNames.deadLetters) == [[1]])
    }
  }

  @Test("a queue is purged; an unknown one is an error")
  func purge() throws {
    try Self.world().perform { environment in
      let raw = try await RawAMQP(environment)
      try await Self.declare(raw)
      try await raw.write(RawAMQP.publication("work", [1]) + RawAMQP.publication("work", [2]))
      var queues = try await QueueOperator(environment, broker: Self.broker)
      #expect(try await queues.purge("work", isTrial: true) == 2)
      #expect(try await queues.purge("work", isTrial: false) == 2)
      #expect(try await queues.purge("work", isTrial: false) == 0)
      try await queues.close()
      for isTrial in [true, false] {
        queues = try await QueueOperator(environment, broker: Self.broker)
        do {
          _ = try await queues.purge("none", isTrial: isTrial)
          Issue.record("an unknown queue was purged")
        } catch let error as AMQPError { #expect(error.code == 404) }
        queues.abandon()
      }
    }
  }

  @Test("operators log in with their token alone, and only if there is one")
  func login() throws {
    for (token, password, isGood) in [
      ("the operators' token", "the operators' token", true), ("the operators' token", RawAMQP.token, false),
      ("the operators' token", "", false), (nil, "", false), (nil, "guest", false), (nil, RawAMQP.token, false),
    ] as [(String?, String, Bool)] {
      let response = Array("\0operator\0\(password)".utf8)
      for service in [nil, RawAMQP.token] {
        let user = try? BrokerLogin.plain.user(
          response, serviceToken: service, operatorToken: token, isLoopback: true)
        #expect(user == (isGood ? "operator" : nil))
      }
    }
  }
}
