@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Deliveries that are settled together come back as in RabbitMQ: by the name of the queue, then by
/// consumer tag, and those of `basic.get` one by one. `Tests/Fixtures/amqp-answers.json` has
/// RabbitMQ's own answers.
@Suite("The order of settlements")
struct SettlementOrderTests {
  private static func publish(_ client: RawAMQP, _ publications: [(String, UInt8)]) async throws {
    for (queue, body) in publications { try await client.write(RawAMQP.publication(queue, [body])) }
  }

  private static func nack(requeue: Bool = true) -> AMQPMethod {
    .basicNack(tag: 0, multiple: true, requeue: requeue)
  }

  @Test("queues get their messages back in the order of their names")
  func queues() throws {
    let found = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      let other = try await RawAMQP(environment)
      for queue in ["b", "a"] {
        try await client.declare(queue)
        try await Self.publish(client, [(queue, queue == "b" ? 1 : 2)])
        _ = try await client.get(queue)
        try await other.consume(queue, "of \(queue)")
      }
      try await client.send(Self.nack())
      return try await other.deliveries(2)
    }
    #expect(found == ["of a:2", "of b:1"])
  }

  @Test(
    "a queue delivers after each consumer's messages, in the order of their tags",
    arguments: [Self.nack(), .basicRecover(requeue: true)])
  func consumers(method: AMQPMethod) throws {
    let found = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.ask(.basicQos(size: 0, count: 1, isGlobal: false))
      for tag in ["z", "y"] { try await client.consume("q", tag) }
      try await Self.publish(client, [("q", 1), ("q", 2)])
      _ = try await client.deliveries(2)
      try await client.send(method)
      return try await client.deliveries(2)
    }
    #expect(found == ["y:2", "z:1"])
  }

  @Test("messages of gets return one by one, in the order of the gets")
  func gets() throws {
    let found = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      let other = try await RawAMQP(environment)
      try await client.declare("q")
      try await Self.publish(client, [("q", 1), ("q", 2)])
      for _ in 0..<2 { _ = try await client.get("q") }
      try await client.send(.basicNack(tag: 1, multiple: false, requeue: true))
      _ = try await client.get("q")
      try await other.consume("q", "c")
      try await client.send(Self.nack())
      return try await other.deliveries(2)
    }
    #expect(found == ["c:2", "c:1"])
  }

  @Test("rejected messages die in this order, also at the commit of a transaction", arguments: [false, true])
  func deaths(isTransaction: Bool) throws {
    let found = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("letters")
      for (queue, body) in [("b", 1), ("a", 2)] as [(String, UInt8)] {
        try await client.declare(
          queue, ["x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text("letters")])
        try await Self.publish(client, [(queue, body)])
        _ = try await client.get(queue)
      }
      if isTransaction {
        try await client.ask(.txSelect)
        for tag in [1, 2] as [UInt64] { try await client.send(.basicNack(tag: tag, multiple: false, requeue: false)) }
        try await client.ask(.txCommit)
      } else {
        try await client.send(Self.nack(requeue: false))
      }
      var bodies: [UInt8] = []
      while let command = try await client.get("letters", noAck: true) { bodies += command.body }
      return bodies
    }
    #expect(found == [2, 1])
  }
}
