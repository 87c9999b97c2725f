@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Transactions, consumers and connections, as a client sees them on the wire.
@Suite("Transactions and consumers")
struct BrokerModesTests {
  private static func count(_ client: RawAMQP, _ queue: String) async throws -> UInt32? {
    guard
      case .queueDeclareOk(_, let messages, _)? = try await client.ask(
        .queueDeclare(.init(queue: queue, passive: true)))
    else { return nil }
    return messages
  }

  // MARK: Transactions

  @Test("a transaction's publications and settlements happen at its commit, and survive a crash")
  func commits() throws {
    let world = BrokerWorld()
    let story = try world.perform { environment in
      let client = try await RawAMQP(environment)
      let other = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.write(RawAMQP.publication("q", [1]))
      var story: [UInt32?] = []
      _ = try await client.get("q")
      #expect(try await client.ask(.txSelect) == .txSelectOk)
      try await client.write(RawAMQP.publication("q", [2]))
      try await client.write(RawAMQP.publication("q", [3]))
      try await client.send(.basicAck(tag: 1, multiple: false))
      story.append(try await Self.count(other, "q"))
      #expect(try await client.ask(.txCommit) == .txCommitOk)
      story.append(try await Self.count(other, "q"))
      // What is not committed is gone with the channel.
      try await client.write(RawAMQP.publication("q", [4]))
      _ = try await client.get("q")
      try await client.send(.basicAck(tag: 2, multiple: false))
      return story
    }
    #expect(story == [0, 2])
    world.restart()
    let bodies = try world.perform { environment in
      let client = try await RawAMQP(environment)
      var bodies: [UInt8] = []
      while let command = try await client.get("q", noAck: true) { bodies += command.body }
      return bodies
    }
    #expect(bodies == [2, 3])
  }

  @Test("a rollback drops publications, and the deliveries can be settled again")
  func rollbacks() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      for body in [1, 2, 3] as [UInt8] { try await client.write(RawAMQP.publication("q", [body])) }
      for _ in 0..<3 { _ = try await client.get("q") }
      try await client.ask(.txSelect)
      try await client.write(RawAMQP.publication("q", [9]))
      try await client.send(.basicAck(tag: 2, multiple: true))
      try await client.send(.basicNack(tag: 3, multiple: false, requeue: true))
      #expect(try await client.ask(.txRollback) == .txRollbackOk)
      let after = try await Self.count(client, "q")
      try await client.send(.basicAck(tag: 1, multiple: false))
      try await client.send(.basicNack(tag: 3, multiple: true, requeue: true))
      let before = try await Self.count(client, "q")
      try await client.ask(.txCommit)
      return [after, before, try await Self.count(client, "q")]
    }
    #expect(story == [0, 0, 2])
  }

  @Test(
    "modes that exclude each other, and transactions that are none, are refused with 406",
    arguments: [
      [.txSelect, .confirmSelect(noWait: false)], [.confirmSelect(noWait: false), .txSelect], [.txCommit],
      [.txRollback],
    ] as [[AMQPMethod]])
  func modes(methods: [AMQPMethod]) throws {
    let code = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      for method in methods { try await client.send(method) }
      return try await client.closing()
    }
    #expect(code == 406)
  }

  @Test("a transaction whose publication a full queue refuses is complete in part: 406")
  func partialTransactions() throws {
    let code = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q", ["x-max-length": .int32(1), "x-overflow": .text("reject-publish")])
      try await client.ask(.txSelect)
      for body in [1, 2] as [UInt8] { try await client.write(RawAMQP.publication("q", [body])) }
      try await client.send(.txCommit)
      return try await client.closing()
    }
    #expect(code == 406)
  }

  @Test("a mandatory publication of a transaction returns with its commit, and never after a rollback")
  func returns() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.ask(.txSelect)
      var publication: [UInt8] = []
      AMQPFrames.write(
        .basicPublish(exchange: "", routingKey: "none", mandatory: true, immediate: false),
        properties: AMQPProperties().bytes, body: [1], 1, frameMax: 131_072, to: &publication)
      var story: [String] = []
      for method in [AMQPMethod.txRollback, .txCommit] {
        try await client.write(publication)
        try await client.send(method)
        var isOver = false
        while !isOver {
          switch try await client.next()?.method {
          case .basicReturn(let code, _, _, _): story.append("return \(code)")
          case .txRollbackOk:
            story.append("rolled back")
            isOver = true
          case .txCommitOk:
            story.append("committed")
            isOver = true
          default: isOver = true
          }
        }
      }
      return story
    }
    #expect(story == ["rolled back", "return 312", "committed"])
  }

  @Test("the answer to recover precedes the deliveries that follow from it")
  func recovery() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.write(RawAMQP.publication("q"))
      try await client.consume("q", "c")
      _ = try await client.next()
      try await client.send(.basicRecover(requeue: true))
      let first = try await client.next()?.method
      guard case .basicDeliver(_, _, let redelivered, _, _)? = try await client.next()?.method else { return "nothing" }
      return first == .basicRecoverOk && redelivered ? "in order" : "out of order"
    }
    #expect(story == "in order")
  }

  @Test("a transaction has at most twice the largest message, and its memory is released")
  func transactionMemory() throws {
    let world = BrokerWorld(change: { $0.maximumMessage = 100_000 })
    let code = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.ask(.txSelect)
      for _ in 0..<5 {
        try await client.write(RawAMQP.publication("q", [UInt8](repeating: 1, count: 90_000)))
      }
      return try await client.closing()
    }
    #expect(code == 506)
    world.world.run(until: world.world.now + .seconds(5))
    #expect(world.seen.memory?.members.used == 0)
  }

  @Test("a message that is larger than the limit is refused with 406, and the connection continues")
  func largeMessages() throws {
    let world = BrokerWorld(change: { $0.maximumMessage = 100_000 })
    let story = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.write(RawAMQP.publication("q", [UInt8](repeating: 1, count: 100_000)))
      try await client.write(RawAMQP.publication("q", [UInt8](repeating: 1, count: 300_000)))
      let code = try await client.closing()
      try await client.send(.channelCloseOk)
      try await client.ask(.channelOpen)
      return (code, try await Self.count(client, "q"))
    }
    #expect(story.0 == 406)
    #expect(story.1 == 1)
  }

  // MARK: Consumers

  @Test("consumers of higher priority get messages while they have room, those of one priority in turn")
  func consumerPriorities() throws {
    let found = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.ask(.basicQos(size: 0, count: 2, isGlobal: false))
      for (tag, priority) in [("low", -1), ("none", nil), ("high", 10), ("higher", 11)] as [(String, Int32?)] {
        try await client.consume("q", tag, priority: priority)
      }
      for body in 1...8 as ClosedRange<UInt8> { try await client.write(RawAMQP.publication("q", [body])) }
      return try await client.deliveries(8)
    }
    #expect(
      found == ["higher:1", "higher:2", "high:3", "high:4", "none:5", "none:6", "low:7", "low:8"])
  }

  @Test("with a single active consumer, the next one starts with what the last one held")
  func singleActiveConsumer() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      let other = try await RawAMQP(environment)
      try await client.declare("q", ["x-single-active-consumer": .boolean(true)])
      try await client.consume("q", "a")
      try await other.consume("q", "b")
      for body in 1...3 as ClosedRange<UInt8> { try await client.write(RawAMQP.publication("q", [body])) }
      var story = [try await client.deliveries(3)]
      try await client.send(.basicAck(tag: 1, multiple: false))
      try await client.send(.channelClose(code: 200, text: "", classID: 0, methodID: 0))
      story.append(try await other.deliveries(2))
      try await other.send(.basicConsume(.init(queue: "q", tag: "x", exclusive: true)))
      story.append(["\(try await other.closing() ?? 0)"])
      return story
    }
    #expect(story == [["a:1", "a:2", "a:3"], ["b:2", "b:3"], ["403"]])
  }

  @Test("replies come directly to the client that has asked, and to nobody else")
  func directReplies() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      let server = try await RawAMQP(environment)
      try await server.declare("requests")
      let wanted = AMQPMethod.Consumption(queue: DirectReplies.queue, tag: "r", noAck: true)
      var story: [String] = []
      try await client.ask(.basicConsume(wanted))
      try await client.write(RawAMQP.publication("requests") { $0.replyTo = AMQPText(DirectReplies.queue) })
      let request = try await server.get("requests", noAck: true, within: .seconds(1))
      let address = try request?.readProperties().replyTo?.text ?? ""
      story.append("\(address.hasPrefix(DirectReplies.queue + ".")) \(address.utf8.count > 40)")
      let declared = try await server.ask(.queueDeclare(.init(queue: address, passive: true)))
      story.append(declared == .queueDeclareOk(queue: address, messages: 0, consumers: 1) ? "there" : "not there")
      try await server.write(RawAMQP.publication(address, [42]))
      story += try await client.deliveries(1)
      try await client.ask(.basicCancel(tag: "r", noWait: false))
      try await server.write(RawAMQP.publication(address, [43]))
      try await server.send(.queueDeclare(.init(queue: address, passive: true)))
      story.append("\(try await server.closing() ?? 0)")
      try await client.write(RawAMQP.publication("requests") { $0.replyTo = AMQPText(DirectReplies.queue) })
      story.append("\(try await client.closing() ?? 0)")
      return story
    }
    #expect(story == ["true true", "there", "r:42", "404", "406"])
  }

  @Test("a reply has the tag of the next delivery, and the tag of its consumer may be used again")
  func tagsOfReplies() throws {
    let tags = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      for queue in [DirectReplies.queue, "q"] {
        try await client.ask(.basicConsume(.init(queue: queue, tag: "c", noAck: true)))
      }
      try await client.write(RawAMQP.publication("q") { $0.replyTo = AMQPText(DirectReplies.queue) })
      let request = try await client.next()
      let address = try request?.readProperties().replyTo?.text ?? ""
      // Each client gets a message once, whether or not its address is there twice.
      try await client.write(
        RawAMQP.publication(address) { $0.headers = ["CC": .array([.string(Array(address.utf8))])] })
      try await client.write(RawAMQP.publication("q"))
      var tags: [UInt64] = []
      for command in [request, try await client.next(), try await client.next()] {
        if case .basicDeliver("c", let tag, _, _, _)? = command?.method { tags.append(tag) }
      }
      let isAll = try await client.ask(.basicQos(size: 0, count: 1, isGlobal: false)) == .basicQosOk
      return (tags, isAll)
    }
    #expect(tags.0 == [1, 2, 2])
    #expect(tags.1)
  }

  @Test("a client that deletes a queue which it consumes hears the answer first")
  func ownQueue() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment, heardCancellations: true)
      try await client.declare("q")
      try await client.consume("q", "c")
      let first = try await client.ask(.queueDelete(queue: "q", ifUnused: false, ifEmpty: false, noWait: false))
      return [first, try await client.next(within: .seconds(1))?.method]
    }
    #expect(story == [.queueDeleteOk(messages: 0), .basicCancel(tag: "c", noWait: true)])
  }

  @Test("a binding that is not there is no error, also of a queue of another connection")
  func unbinding() throws {
    let story = try BrokerWorld().perform { environment in
      let owner = try await RawAMQP(environment)
      let other = try await RawAMQP(environment)
      try await owner.ask(.queueDeclare(.init(queue: "q", exclusive: true)))
      try await owner.ask(
        .queueBind(queue: "q", exchange: "amq.fanout", routingKey: "k", noWait: false, arguments: [:]))
      let missing = try await other.ask(
        .queueUnbind(queue: "q", exchange: "amq.fanout", routingKey: "none", arguments: [:]))
      try await other.send(.queueUnbind(queue: "q", exchange: "amq.fanout", routingKey: "k", arguments: [:]))
      return (missing == .queueUnbindOk, try await other.closing())
    }
    #expect(story.0)
    #expect(story.1 == 405)
  }

  // MARK: Connections

  @Test("a client that closes may send what it had begun, and reads the answer")
  func closing() throws {
    let story = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      let answer = try await client.ask(
        .connectionClose(code: 200, text: "", classID: 0, methodID: 0), on: 0)
      for _ in 0..<20 {
        try await client.write(RawAMQP.publication("q", [UInt8](repeating: 1, count: 50_000)))
        try await environment.clock.sleep(for: .milliseconds(10))
      }
      return answer
    }
    #expect(story == .connectionCloseOk)
  }

  /// What a client sends at once, from the protocol header on.
  private static func login(token: String) -> [UInt8] {
    var bytes = AMQPParser.protocolHeader
    AMQPFrames.write(
      .connectionStartOk(
        properties: [:], mechanism: "PLAIN", response: Array("\0parley\0\(token)".utf8), locale: "en_US"), 0, to: &bytes
    )
    AMQPFrames.write(.connectionTuneOk(channelMax: 10, frameMax: 4096, heartbeat: 0), 0, to: &bytes)
    AMQPFrames.write(.connectionOpen(virtualHost: "/"), 0, to: &bytes)
    AMQPFrames.write(.channelOpen, 1, to: &bytes)
    AMQPFrames.write(.queueDeclare(.init(queue: "q", durable: true)), 1, to: &bytes)
    return bytes + RawAMQP.publication("q") + confirmations
  }

  private static let confirmations: [UInt8] = {
    var bytes: [UInt8] = []
    AMQPFrames.write(.confirmSelect(noWait: false), 1, to: &bytes)
    return bytes
  }()

  @Test(
    "a client that does not wait for the answers to its login gets them in order",
    arguments: [
      (RawAMQP.token, ["start", "tune", "open-ok", "channel.open-ok", "queue.declare-ok", "confirm.select-ok"]),
      ("wrong", ["start", "close 403"]),
    ])
  func pipelinedLogin(token: String, expected: [String]) throws {
    for size in [1, 7, 8, 9, 50, 1000] {
      let answers = try BrokerWorld().perform { environment in
        let client = try await RawAMQP(environment, logsIn: false, greets: false)
        let bytes = Self.login(token: token)
        for start in stride(from: 0, to: bytes.count, by: size) {
          // The broker may have closed the connection.
          do { try await client.write(Array(bytes[start..<min(start + size, bytes.count)])) } catch { break }
        }
        var answers: [String] = []
        while answers.count < expected.count, let command = try await client.next() {
          switch command.method {
          case .connectionStart: answers.append("start")
          case .connectionTune: answers.append("tune")
          case .connectionOpenOk: answers.append("open-ok")
          case .channelOpenOk: answers.append("channel.open-ok")
          case .queueDeclareOk: answers.append("queue.declare-ok")
          case .confirmSelectOk: answers.append("confirm.select-ok")
          case .connectionClose(let code, _, _, _): answers.append("close \(code)")
          default: answers.append("\(command.method)")
          }
        }
        return answers
      }
      #expect(answers == expected, "in pieces of \(size) bytes")
    }
  }

  @Test(
    "the broker agrees to limits within its own alone",
    arguments: [
      (2047, 131_072, true), (1, 4096, true), (0, 131_072, false), (2048, 131_072, false), (10, 0, false),
      (10, 4095, false), (10, 131_073, false),
    ] as [(UInt16, UInt32, Bool)])
  func tuning(channelMax: UInt16, frameMax: UInt32, isGood: Bool) throws {
    let answer = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment, logsIn: false)
      guard case .connectionStart(_, let mechanisms, _)? = try await client.next()?.method else { return "no start" }
      #expect(mechanisms == "PLAIN AMQPLAIN")
      var writer = AMQPWriter()
      writer.table(["LOGIN": .text("parley"), "PASSWORD": .text(RawAMQP.token)])
      try await client.send(
        .connectionStartOk(
          properties: [:], mechanism: "AMQPLAIN", response: Array(writer.bytes.dropFirst(4)), locale: "en_US"), on: 0)
      _ = try await client.next()
      try await client.send(.connectionTuneOk(channelMax: channelMax, frameMax: frameMax, heartbeat: 0), on: 0)
      try await client.send(.connectionOpen(virtualHost: "/"), on: 0)
      switch try await client.next()?.method {
      case .connectionOpenOk: break
      case .connectionClose(let code, _, _, _): return "\(code)"
      default: return "other"
      }
      let updated = try await client.ask(.connectionUpdateSecret(secret: [1], reason: "it has expired"), on: 0)
      #expect(updated == .connectionUpdateSecretOk)
      guard channelMax == 1 else { return "open" }
      // One channel is agreed upon.
      try await client.ask(.channelOpen)
      try await client.send(.channelOpen, on: 2)
      return "\(try await client.closing() ?? 0)"
    }
    #expect(answer == (isGood ? channelMax == 1 ? "530" : "open" : "530"))
  }

  /// What a client does wrong, and the code with which RabbitMQ closes the channel or the
  /// connection.
  private static let wrongs: [(String, AMQPMethod, UInt16, closesConnection: Bool)] = [
    ("an unknown exchange type", .exchangeDeclare(.init(exchange: "x", kind: "x")), 503, true),
    ("the default exchange", .exchangeDeclare(.init(exchange: "")), 403, false),
    ("a reserved name", .exchangeDeclare(.init(exchange: "amq.mine")), 403, false),
    ("a known exchange of another type", .exchangeDeclare(.init(exchange: "amq.topic", durable: true)), 406, false),
    ("no exchange", .exchangeDeclare(.init(exchange: "none", passive: true)), 404, false),
    ("deleting amq.topic", .exchangeDelete(exchange: "amq.topic", ifUnused: false, noWait: false), 403, false),
    ("a queue of a reserved name", .queueDeclare(.init(queue: "amq.mine")), 403, false),
    ("no queue", .queueDeclare(.init(queue: "none", passive: true)), 404, false),
    ("another durability", .queueDeclare(.init(queue: "q")), 406, false),
    (
      "another argument", .queueDeclare(.init(queue: "q", durable: true, arguments: ["x-expires": .int32(9)])), 406,
      false
    ),
    (
      "a stream", .queueDeclare(.init(queue: "s", durable: true, arguments: ["x-queue-type": .text("stream")])), 540,
      true
    ),
    (
      "an argument of a quorum queue",
      .queueDeclare(.init(queue: "s", arguments: ["x-delivery-limit": .int32(1)])), 406, false
    ),
    (
      "a transient quorum queue", .queueDeclare(.init(queue: "s", arguments: ["x-queue-type": .text("quorum")])), 406,
      false
    ),
    ("no queue to bind", bind("none", "amq.direct"), 404, false),
    ("no exchange to bind", bind("q", "none"), 404, false),
    ("the default exchange to bind", bind("q", ""), 403, false),
    ("no previous queue", bind("", "amq.direct"), 404, false),
    ("a consumer of no queue", .basicConsume(.init(queue: "none")), 404, false),
    (
      "a priority that is a string",
      .basicConsume(.init(queue: "q", arguments: ["x-priority": .text("1")])), 406, false
    ),
    ("an unknown tag", .basicAck(tag: 9, multiple: false), 406, false),
    ("a prefetch size", .basicQos(size: 1, count: 0, isGlobal: false), 540, true),
    ("recovery without requeueing", .basicRecover(requeue: false), 540, true),
    ("an open channel", .channelOpen, 504, true),
    ("a method of the broker's", .txSelectOk, 503, true),
  ]

  private static func bind(_ queue: String, _ exchange: String) -> AMQPMethod {
    .queueBind(queue: queue, exchange: exchange, routingKey: "", noWait: false, arguments: [:])
  }

  @Test("errors close what RabbitMQ closes, with its code", arguments: wrongs.indices)
  func errors(index: Int) throws {
    let (name, method, expected, closesConnection) = Self.wrongs[index]
    let found = try BrokerWorld().perform { environment in
      let setup = try await RawAMQP(environment)
      try await setup.declare("q")
      let client = try await RawAMQP(environment)
      switch try await client.ask(method) {
      case .channelClose(let code, _, _, _): return (code, false)
      case .connectionClose(let code, _, let classID, let id):
        #expect(UInt32(classID) << 16 | UInt32(id) == method.id)
        return (code, true)
      default: return (0, false)
      }
    }
    #expect(found == (expected, closesConnection), "\(name)")
  }

  @Test("what RabbitMQ takes without effect is taken")
  func harmless() throws {
    let answers = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare(
        "q", ["x-queue-mode": .text("lazy"), "x-mine": .table([:]), "x-queue-version": .int8(2)])
      return [
        try await client.declare("q", ["x-queue-mode": .text("lazy"), "x-other": .void, "x-queue-version": .int64(2)])
          == .queueDeclareOk(queue: "q", messages: 0, consumers: 0),
        try await client.ask(
          .queueUnbind(queue: "none", exchange: "amq.direct", routingKey: "", arguments: [:])) == .queueUnbindOk,
        try await client.ask(
          .queueUnbind(queue: "q", exchange: "none", routingKey: "", arguments: [:])) == .queueUnbindOk,
        try await client.ask(
          .queueDelete(queue: "none", ifUnused: false, ifEmpty: false, noWait: false)) == .queueDeleteOk(messages: 0),
        try await client.ask(.exchangeDelete(exchange: "none", ifUnused: false, noWait: false)) == .exchangeDeleteOk,
        try await client.ask(.basicConsume(.init(queue: "q", tag: "c", noLocal: true))) == .basicConsumeOk(tag: "c"),
        try await client.ask(.accessRequest) == .accessRequestOk(ticket: 1),
      ]
    }
    #expect(answers == Array(repeating: true, count: 7))
  }
}
