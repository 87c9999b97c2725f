@testable import Environment
import Testing

@testable import Sim
@testable import System

@Suite("Dead letters")
struct DeadLetterTests {
  private static func deaths(_ known: [(queue: String, reason: String)]) -> Deaths {
    Deaths(["x-death": .array(known.map { .table(["queue": .text($0.queue), "reason": .text($0.reason)]) })])
  }

  @Test(
    "a cycle is a target among the deaths without a rejection since (RabbitMQ's rule)",
    arguments: [
      ([], false), ([("q", "expired")], true), ([("q", "rejected")], false), ([("r", "expired")], false),
      ([("r", "rejected"), ("q", "expired")], false), ([("r", "expired"), ("q", "rejected")], false),
      ([("r", "expired"), ("q", "maxlen")], true), ([("q", "expired"), ("q", "rejected")], true),
      ([("r", "expired"), ("q", "expired"), ("s", "rejected")], true),
    ])
  func cycles(known: [(queue: String, reason: String)], isCycle: Bool) {
    #expect(Self.deaths(known).isCycle(to: "q") == isCycle)
  }

  @Test(
    "a count of any integer type increases, and saturates",
    arguments: [
      (.int64(3), 4), (.int64(.max), .max), (.int64(.min), 1), (.uint8(255), 256), (.text("many"), 1), (.void, 1),
    ] as [(AMQPValue, Int64)])
  func counts(known: AMQPValue, count: Int64) {
    var deaths = Deaths([
      "x-death": .array([.void, .table(["count": known, "queue": .text("q"), "reason": .text("expired")])])
    ])
    deaths.add(Deaths.Death(queue: "q", reason: .expired, exchange: "", routingKeys: ["q"], seconds: 1))
    guard case .array(let tables) = deaths.value, case .table(let death)? = tables.first else {
      Issue.record("no death was written")
      return
    }
    #expect(tables.count == 1)
    #expect(death["count"]?.int == count)
  }

  @Test("the header has the latest deaths of a long chain")
  func bound() {
    var deaths = Deaths(nil)
    for number in 0..<1000 {
      deaths.add(Deaths.Death(queue: "\(number)", reason: .expired, exchange: "", routingKeys: [""], seconds: 1))
    }
    #expect(deaths.count == Deaths.maximumCount)
    #expect(deaths.isCycle(to: "999"))
    #expect(!deaths.isCycle(to: "1"))
  }

  private static func deadLetters(to queue: String, _ more: AMQPTable = [:]) -> AMQPTable {
    AMQPTable(
      [
        .init(name: "x-dead-letter-exchange", value: .text("")),
        .init(name: "x-dead-letter-routing-key", value: .text(queue)),
      ] + more.entries)
  }

  @Test("a delayed retry with rejections continues for ever")
  func retries() throws {
    let rounds = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("work", Self.deadLetters(to: "retry"))
      try await client.declare("retry", Self.deadLetters(to: "work", ["x-message-ttl": .int64(100)]))
      try await client.write(RawAMQP.publication("work"))
      var rounds = 0
      while rounds < 10, let command = try await client.get("work", within: .seconds(2)),
        case .basicGetOk(let tag, _, _, _, _) = command.method
      {
        rounds += 1
        try await client.send(.basicReject(tag: tag, requeue: false))
      }
      return rounds
    }
    #expect(rounds == 10)
  }

  @Test(
    "a queue whose dead letters return to it drops them, and the broker continues",
    arguments: [
      ["x-max-length": .int64(0)], ["x-max-length": .int64(1)], ["x-message-ttl": .int64(0)],
      ["x-message-ttl": .int64(50)], [:],
    ] as [AMQPTable], [false, true])
  func loops(limits: AMQPTable, usesFanout: Bool) throws {
    let world = BrokerWorld()
    let counts = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.ask(.exchangeDeclare(.init(exchange: "f", kind: "fanout", durable: true)))
      for name in ["loop", "other"] {
        let arguments =
          usesFanout
          ? AMQPTable([.init(name: "x-dead-letter-exchange", value: .text("f"))] + limits.entries)
          : Self.deadLetters(to: name, limits)
        try await client.declare(name, arguments)
        try await client.ask(
          .queueBind(queue: name, exchange: "f", routingKey: "", noWait: false, arguments: [:]))
      }
      for _ in 0..<5 {
        try await client.write(RawAMQP.publication("loop", exchange: "") { $0.expiration = "20" })
        try await client.write(RawAMQP.publication("", exchange: "f"))
      }
      try await environment.clock.sleep(for: .seconds(2))
      return try await client.declare("fine")
    }
    #expect(counts == .queueDeclareOk(queue: "fine", messages: 0, consumers: 0))
    world.restart()
    let again = try world.perform { environment in try await RawAMQP(environment).declare("fine") }
    #expect(again == .queueDeclareOk(queue: "fine", messages: 0, consumers: 0))
    #expect(world.world.defects.isEmpty)
  }

  @Test("a cycle of more queues than the header holds ends, and a chain arrives", arguments: [true, false])
  func longWays(isCycle: Bool) throws {
    let count = 150
    let left = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      for number in 0..<count {
        let next = isCycle ? (number + 1) % count : number + 1
        try await client.declare("q\(number)", Self.deadLetters(to: "q\(next)", ["x-max-length": .int64(0)]))
      }
      try await client.declare("q\(count)")
      try await client.write(RawAMQP.publication("q0"))
      let letter = try await client.get("q\(count)", within: .seconds(2))
      guard case .array(let deaths)? = try letter?.readProperties().headers?["x-death"] else { return 0 }
      return deaths.count
    }
    #expect(left == (isCycle ? 0 : Deaths.maximumCount))
  }

  @Test("a rejected batch and a queue that expires at once let other clients be served", arguments: [true, false])
  func fairness(isRejected: Bool) throws {
    let arrived = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("dead")
      try await client.declare("q", Self.deadLetters(to: "dead", isRejected ? [:] : ["x-message-ttl": .int64(300)]))
      for _ in 0..<1000 { try await client.write(RawAMQP.publication("q")) }
      if isRejected {
        var last: UInt64 = 0
        for _ in 0..<1000 {
          guard case .basicGetOk(let tag, _, _, _, _)? = try await client.get("q")?.method else { break }
          last = tag
        }
        try await client.send(.basicNack(tag: last, multiple: true, requeue: false))
      }
      try await environment.clock.sleep(for: .seconds(2))
      return try await client.declare("dead")
    }
    #expect(arrived == .queueDeclareOk(queue: "dead", messages: 1000, consumers: 0))
  }

  @Test("a header that exceeds a frame with its deaths loses the other headers, for any client")
  func largeHeaders() throws {
    let sizes = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("dead")
      try await client.declare("q", Self.deadLetters(to: "dead", ["x-max-length": .int64(0)]))
      try await client.write(
        RawAMQP.publication("q") { $0.headers = ["big": .string([UInt8](repeating: 65, count: 130_950))] })
      // It fits the largest frame, but not this client's.
      try await client.write(
        RawAMQP.publication("dead") { $0.headers = ["big": .string([UInt8](repeating: 65, count: 100_000))] })
      let small = try await RawAMQP(environment, frameMax: 4096)
      var sizes: [Int?] = []
      for _ in 0..<2 {
        let headers = try await small.get("dead", noAck: true, within: .seconds(1))?.readProperties().headers
        sizes.append(headers?[BrokerMessage.omission]?.int.map { Int($0) / 1000 })
      }
      return sizes
    }
    #expect(sizes == [130, 100])
  }
}
