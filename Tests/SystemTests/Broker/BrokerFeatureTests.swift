@testable import Environment
import Testing

@testable import Sim
@testable import System

/// What RabbitMQ adds to AMQP 0-9-1, as a client sees it on the wire.
@Suite("Features of RabbitMQ")
struct BrokerFeatureTests {
  /// Publishes and waits until the broker has taken it.
  private static func publish(_ client: RawAMQP, _ publications: [UInt8]...) async throws {
    for publication in publications { try await client.write(publication) }
    try await client.ask(.basicQos(size: 0, count: 0, isGlobal: false))
  }

  private static func bodies(_ client: RawAMQP, _ queue: String) async throws -> [UInt8] {
    var bodies: [UInt8] = []
    while let command = try await client.get(queue, noAck: true) { bodies += command.body }
    return bodies
  }

  private static func bind(_ source: String, to destination: String, _ key: String = "") -> AMQPMethod {
    .exchangeBind(destination: destination, source: source, routingKey: key, noWait: false, arguments: [:])
  }

  private static func bind(_ queue: String, _ exchange: String, _ key: String, _ arguments: AMQPTable = [:])
    -> AMQPMethod
  {
    .queueBind(queue: queue, exchange: exchange, routingKey: key, noWait: false, arguments: arguments)
  }

  // MARK: Exchanges

  @Test("exchanges are bound to each other in any shape, and a queue gets a message once, also after a crash")
  func exchangeBindings() throws {
    let world = BrokerWorld()
    let publish: @Sendable (Environment, Bool) async throws -> [UInt8] = { environment, declares in
      let client = try await RawAMQP(environment)
      for name in ["a", "b", "c"] where declares {
        try await client.ask(.exchangeDeclare(.init(exchange: name, kind: "fanout", durable: true)))
      }
      if declares {
        try await client.declare("q")
        for (source, destination) in [("a", "b"), ("b", "c"), ("c", "a"), ("a", "c"), ("a", "a")] {
          let answer = try await client.ask(Self.bind(source, to: destination))
          #expect(answer == .exchangeBindOk)
        }
        try await client.ask(Self.bind("q", "c", ""))
        try await client.ask(Self.bind("q", "a", ""))
      }
      // A message that was acknowledged just before a crash may be there again.
      try await client.ask(.queuePurge(queue: "q", noWait: false))
      try await Self.publish(client, RawAMQP.publication("", exchange: "a", [7]))
      return try await Self.bodies(client, "q")
    }
    #expect(try world.perform { try await publish($0, true) } == [7])
    world.restart()
    #expect(try world.perform { try await publish($0, false) } == [7])
    let after = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.ask(
        .exchangeUnbind(destination: "c", source: "b", routingKey: "", noWait: false, arguments: [:]))
      try await client.ask(.exchangeDelete(exchange: "a", ifUnused: false, noWait: false))
      try await Self.publish(client, RawAMQP.publication("", exchange: "b", [8]))
      return try await Self.bodies(client, "q")
    }
    #expect(after == [])
  }

  @Test("auto-delete exchanges end with their last binding, one after the other")
  func autoDeletion() throws {
    let codes = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      for name in ["a", "b"] {
        try await client.ask(.exchangeDeclare(.init(exchange: name, kind: "fanout", autoDelete: true)))
      }
      try await client.ask(.queueDeclare(.init(queue: "q")))
      try await client.ask(Self.bind("a", to: "b"))
      try await client.ask(Self.bind("q", "b", ""))
      try await client.ask(.queueDelete(queue: "q", ifUnused: false, ifEmpty: false, noWait: false))
      var codes: [UInt16?] = []
      for name in ["a", "b"] {
        try await client.send(.exchangeDeclare(.init(exchange: name, passive: true)))
        codes.append(try await client.closing())
        try await client.send(.channelCloseOk)
        try await client.ask(.channelOpen)
      }
      return codes
    }
    #expect(codes == [404, 404])
  }

  @Test("an alternate exchange gets what has no queue, and an internal one no publication, also after a crash")
  func alternates() throws {
    let world = BrokerWorld()
    let found = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.ask(.exchangeDeclare(.init(exchange: "rest", kind: "fanout", durable: true, isInternal: true)))
      try await client.ask(
        .exchangeDeclare(
          .init(exchange: "x", durable: true, arguments: ["alternate-exchange": .text("rest")])))
      for name in ["q", "others"] { try await client.declare(name) }
      try await client.ask(Self.bind("others", "rest", ""))
      try await client.ask(Self.bind("q", "x", "k"))
      return 1
    }
    #expect(found == 1)
    world.restart()
    let bodies = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await Self.publish(
        client, RawAMQP.publication("k", exchange: "x", [1]), RawAMQP.publication("none", exchange: "x", [2]))
      let bodies = [try await Self.bodies(client, "q"), try await Self.bodies(client, "others")]
      try await client.write(RawAMQP.publication("", exchange: "rest"))
      #expect(try await client.closing() == 403)
      return bodies
    }
    #expect(bodies == [[1], [2]])
  }

  @Test("the default exchange has no queues when it is an alternate exchange")
  func defaultAlternate() throws {
    let bodies = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.ask(.exchangeDeclare(.init(exchange: "x", arguments: ["alternate-exchange": .text("")])))
      try await Self.publish(
        client, RawAMQP.publication("q", exchange: "x", [1]), RawAMQP.publication("q", [2]))
      return try await Self.bodies(client, "q")
    }
    #expect(bodies == [2])
  }

  @Test("a headers exchange routes by headers, also after a crash; a bad x-match is refused")
  func headers() throws {
    let world = BrokerWorld()
    let code = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.ask(.exchangeDeclare(.init(exchange: "h", kind: "headers", durable: true)))
      for (queue, match) in [("all", "all"), ("any", "any")] {
        try await client.declare(queue)
        try await client.ask(
          Self.bind(queue, "h", "", ["x-match": .text(match), "a": .int32(1), "b": .text("two")]))
      }
      try await client.send(Self.bind("all", "h", "", ["x-match": .text("some")]))
      return try await client.closing()
    }
    #expect(code == 406)
    world.restart()
    let bodies = try world.perform { environment in
      let client = try await RawAMQP(environment)
      for (body, headers) in [
        (1, ["a": .int64(1), "b": .text("two")]), (2, ["b": .text("two")]), (3, ["b": .text("three")]),
      ] as [(UInt8, AMQPTable)] {
        try await client.write(RawAMQP.publication("", exchange: "h", [body]) { $0.headers = headers })
      }
      try await Self.publish(client)
      return [try await Self.bodies(client, "all"), try await Self.bodies(client, "any")]
    }
    #expect(bodies == [[1], [1, 2]])
  }

  @Test("CC and BCC are further routing keys, and nobody sees BCC")
  func carbonCopies() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      for name in ["to", "cc", "bcc"] { try await client.declare(name) }
      try await Self.publish(
        client,
        RawAMQP.publication("to", [5]) {
          $0.headers = ["CC": .array([.text("cc"), .text("to")]), "BCC": .array([.text("bcc")])]
        })
      var story: [[String]] = []
      for name in ["to", "cc", "bcc"] {
        let command = try await client.get(name, noAck: true)
        story.append(try command?.readProperties().headers?.entries.map(\.name.shown) ?? ["nothing"])
      }
      try await client.write(RawAMQP.publication("to") { $0.headers = ["CC": .text("cc")] })
      story.append(["\(try await client.closing() ?? 0)"])
      return story
    }
    #expect(story == [["CC"], ["CC"], ["CC"], ["406"]])
  }

  // MARK: Limits

  @Test("priorities: the highest first, the oldest of one priority first, also after a crash")
  func priorities() throws {
    let world = BrokerWorld()
    let order: [(body: UInt8, priority: UInt8?)] = [(1, nil), (2, 5), (3, 9), (4, 5), (5, 0), (6, 200)]
    let first = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q", ["x-max-priority": .int32(9)])
      for (body, priority) in order {
        try await client.write(RawAMQP.publication("q", [body]) { $0.priority = priority })
      }
      try await Self.publish(client)
      // A message that returns keeps its place in its priority.
      let one = try await client.get("q")
      try await client.send(.basicReject(tag: 1, requeue: true))
      return one?.body
    }
    #expect(first == [3])
    world.restart()
    let bodies = try world.perform { try await Self.bodies(try await RawAMQP($0), "q") }
    #expect(bodies == [3, 6, 2, 4, 1, 5])
  }

  @Test(
    "a full queue drops the oldest message, refuses the new one, or passes it on",
    arguments: [
      ("drop-head", [2, 3], [1], "ack"), ("reject-publish", [1, 2], [], "ack nack"),
      ("reject-publish-dlx", [1, 2], [3], "ack nack"),
    ] as [(String, [UInt8], [UInt8], String)],
    [("x-max-length", AMQPValue.int32(2)), ("x-max-length-bytes", .int32(2))])
  func overflow(row: (String, [UInt8], [UInt8], String), limit: (String, AMQPValue)) throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("dead")
      var arguments: AMQPTable = [
        "x-overflow": .text(row.0), "x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text("dead"),
      ]
      arguments[limit.0] = limit.1
      try await client.declare("q", arguments)
      try await client.ask(.confirmSelect(noWait: false))
      var answers: Set<String> = []
      for body in [1, 2, 3] as [UInt8] {
        try await client.write(RawAMQP.publication("q", [body]))
        switch try await client.next()?.method {
        case .basicAck: answers.insert("ack")
        case .basicNack: answers.insert("nack")
        default: answers.insert("other")
        }
      }
      return (try await Self.bodies(client, "q"), try await Self.bodies(client, "dead"), answers.sorted())
    }
    #expect(story.0 == row.1)
    #expect(story.1 == row.2)
    #expect(story.2.joined(separator: " ") == row.3)
  }

  @Test("a message whose lifetime is 0 is delivered to a consumer that waits, and expires otherwise")
  func instant() throws {
    let bodies = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q", ["x-message-ttl": .int32(0)])
      try await Self.publish(client, RawAMQP.publication("q", [1]))
      try await client.ask(.basicConsume(.init(queue: "q", tag: "c", noAck: true)))
      try await client.write(RawAMQP.publication("q", [2]))
      let delivered = try await client.next(within: .seconds(2))?.body
      try await client.ask(.basicCancel(tag: "c", noWait: false))
      try await Self.publish(client, RawAMQP.publication("q", [3]))
      return [delivered ?? [], try await Self.bodies(client, "q")]
    }
    #expect(bodies == [[2], []])
  }

  @Test("a get does not count the messages that have expired behind its own")
  func countsOfGets() throws {
    let count = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.write(RawAMQP.publication("q"))
      try await client.write(RawAMQP.publication("q") { $0.expiration = "0" })
      guard case .basicGetOk(_, _, _, _, let messages)? = try await client.get("q")?.method else { return 9 as UInt32 }
      return messages
    }
    #expect(count == 0)
  }

  @Test("an idle queue is deleted in its time, and not while it is used")
  func idleQueues() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      let other = try await RawAMQP(environment)
      let sleep = { try await environment.clock.sleep(for: .milliseconds(700)) }
      /// Whether the queue is there. Asking is a use.
      func isThere() async throws -> Bool {
        try await other.send(.queueDeclare(.init(queue: "q", passive: true)))
        if case .queueDeclareOk? = try await other.next()?.method { return true }
        try await other.send(.channelCloseOk)
        try await other.ask(.channelOpen)
        return false
      }
      var story: [Bool] = []
      try await client.declare("q", ["x-expires": .int32(1000)])
      for _ in 0..<3 {
        try await sleep()
        story.append(try await isThere())
      }
      try await client.ask(.basicConsume(.init(queue: "q", tag: "c")))
      try await sleep()
      try await sleep()
      story.append(try await isThere())
      try await client.ask(.basicCancel(tag: "c", noWait: false))
      try await sleep()
      story.append(try await client.get("q") == nil)
      try await sleep()
      try await sleep()
      story.append(try await isThere())
      return story
    }
    #expect(story == [true, true, true, true, true, false])
  }

  @Test("a quorum queue counts returns, and dead-letters at its limit")
  func deliveryLimit() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("dead")
      try await client.declare(
        "q",
        [
          "x-queue-type": .text("quorum"), "x-delivery-limit": .int32(2), "x-dead-letter-exchange": .text(""),
          "x-dead-letter-routing-key": .text("dead"),
        ])
      try await Self.publish(client, RawAMQP.publication("q"))
      var counts: [Int64] = []
      while let command = try await client.get("q"), case .basicGetOk(let tag, _, _, _, _) = command.method {
        counts.append(try command.readProperties().headers?["x-delivery-count"]?.int ?? 0)
        try await client.send(.basicReject(tag: tag, requeue: true))
      }
      let letter = try await client.get("dead")
      let reason = try letter?.readProperties().headers?["x-first-death-reason"]?.text
      return (counts, reason)
    }
    #expect(story.0 == [0, 1, 2])
    #expect(story.1 == "delivery_limit")
  }

  @Test(
    "a lazy queue forgets the time to live that a publisher has given, but not of what it refuses",
    arguments: [("drop-head", nil), ("reject-publish-dlx", "9000")] as [(String, String?)])
  func lazyQueues(overflow: String, expected: String?) throws {
    let found = try BrokerWorld().perform { environment -> [String?] in
      let client = try await RawAMQP(environment)
      try await client.declare("letters")
      try await client.declare(
        "q",
        [
          "x-queue-mode": .text("lazy"), "x-max-length": .int32(0), "x-overflow": .text(overflow),
          "x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text("letters"),
        ])
      try await client.write(RawAMQP.publication("q") { $0.expiration = "9000" })
      let headers = try await client.get("letters", within: .seconds(1))?.readProperties().headers
      guard case .array(let deaths)? = headers?["x-death"], case .table(let death)? = deaths.first else {
        return ["no death"]
      }
      return [death["reason"]?.text, death["original-expiration"]?.text]
    }
    #expect(found == ["maxlen", expected])
  }

  @Test("dead letters have the headers that RabbitMQ writes")
  func deathHeaders() throws {
    let headers = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      for (name, next) in [("a", "b"), ("b", "c")] {
        try await client.declare(
          name, ["x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text(next)])
      }
      try await client.declare("c")
      try await client.write(
        RawAMQP.publication("a") {
          $0.expiration = "20"
          $0.headers = ["CC": .array([.text("nowhere")]), "BCC": .array([.text("hidden")])]
        })
      let expired = try await client.get("b", within: .seconds(1))
      #expect(try expired?.readProperties().expiration == nil)
      try await client.send(.basicReject(tag: 1, requeue: false))
      return try await client.get("c", within: .seconds(1))?.readProperties().headers
    }
    for (name, value) in [
      ("x-first-death-reason", "expired"), ("x-first-death-queue", "a"), ("x-first-death-exchange", ""),
      ("x-last-death-reason", "rejected"), ("x-last-death-queue", "b"), ("x-last-death-exchange", ""),
    ] { #expect(headers?[name]?.text == value, "\(name)") }
    guard case .array(let deaths)? = headers?["x-death"], deaths.count == 2, case .table(let second) = deaths[0],
      case .table(let first) = deaths[1]
    else {
      Issue.record("two deaths expected")
      return
    }
    #expect(second["reason"] == .text("rejected"))
    #expect(second["original-expiration"] == nil)
    #expect(first["original-expiration"] == .text("20"))
    #expect(first["routing-keys"] == .array([.text("a"), .text("nowhere")]))
    #expect(first["count"] == .int64(1))
    // The queue's own routing key replaces those in CC.
    #expect(headers?["CC"] == nil)
  }
}
