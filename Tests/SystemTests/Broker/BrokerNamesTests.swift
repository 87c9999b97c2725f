@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Names are bytes, as in RabbitMQ: two texts that Unicode takes for one are two names.
@Suite("Names in the broker")
struct BrokerNamesTests {
  /// Twice the same letter: as one scalar, and as a letter with a mark.
  private static let composed = "\u{E9}", decomposed = "e\u{301}"

  @Test("queues, exchanges, routing keys and tags that look alike are different, also after a crash")
  func lookalikes() throws {
    let world = BrokerWorld()
    let found = try world.perform { environment in
      let client = try await RawAMQP(environment)
      for (name, exchange) in [(Self.composed, "fanout"), (Self.decomposed, "direct")] {
        try await client.declare(name)
        try await client.ask(.exchangeDeclare(.init(exchange: name, kind: exchange, durable: true)))
      }
      try await client.ask(
        .queueBind(
          queue: Self.composed, exchange: Self.decomposed, routingKey: Self.composed, noWait: false, arguments: [:]))
      for key in [Self.composed, Self.decomposed] {
        try await client.write(RawAMQP.publication(key, exchange: Self.decomposed, [1]))
      }
      try await client.write(RawAMQP.publication(Self.decomposed, [2]))
      try await client.write(RawAMQP.publication(Self.decomposed, [3]))
      var answers: [String] = []
      for tag in [Self.composed, Self.decomposed] {
        answers.append(
          try await client.ask(.basicConsume(.init(queue: Self.composed, tag: tag))) == .basicConsumeOk(tag: tag)
            ? "consumes" : "refused")
        if answers.count == 1 { _ = try await client.next() }
      }
      // The publications are on the disk.
      try await environment.clock.sleep(for: .seconds(1))
      return answers
    }
    #expect(found == ["consumes", "consumes"])
    world.restart()
    let counts = try world.perform { environment in
      let client = try await RawAMQP(environment)
      var counts: [Int] = []
      for name in [Self.composed, Self.decomposed] {
        var count = 0
        while try await client.get(name, noAck: true) != nil { count += 1 }
        counts.append(count)
      }
      return counts
    }
    #expect(counts == [1, 2])
  }

  @Test("the words of a routing key end at the byte of the dot, also before a combining mark")
  func words() {
    let exchange = Exchange(name: "x", kind: .topic, isDurable: true)
    for (queue, key) in [("one", "*"), ("two", "*.*"), ("word", "*.\u{301}b")] {
      _ = exchange.bind(Binding(queue: queue, routingKey: key))
    }
    #expect(exchange.destinations(for: Routing(key: "a.\u{301}b")).map(\.name) == ["two", "word"])
  }

  @Test("a name that is not UTF-8 closes the connection with RabbitMQ's code")
  func malformed() throws {
    let code = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      // queue.declare of a queue whose name has one byte, 0xFF.
      let payload: [UInt8] = [0, 50, 0, 10, 0, 0, 1, 0xFF, 0, 0, 0, 0, 0]
      try await client.write([1, 0, 1, 0, 0, 0, UInt8(payload.count)] + payload + [0xCE])
      return try await client.closing()
    }
    #expect(code == 501)
  }

  @Test("headers that look alike are different")
  func headers() {
    let exchange = Exchange(name: "x", kind: .headers, isDurable: true)
    _ = exchange.bind(Binding(.queue("q"), routingKey: "", arguments: [Self.composed: .int32(1)]))
    for (name, expected) in [(Self.composed, ["q"]), (Self.decomposed, [])] {
      let routing = Routing(key: "", headers: [name: .int32(1)])
      #expect(exchange.destinations(for: routing).map(\.name) == expected)
    }
  }
}
