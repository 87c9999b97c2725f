@testable import Environment
import Testing

@testable import Sim
@testable import System

/// The AMQP client against good and bad brokers.
@Suite("The AMQP client")
struct AMQPClientTests {
  static func message(_ text: String, to key: String = "q", exchange: String = "") -> AMQPMessage {
    AMQPMessage(exchange: exchange, routingKey: key, properties: AMQPProperties(), body: Array(text.utf8))
  }

  static func client(_ environment: Environment) async -> AMQPClient {
    let client = AMQPClient(environment, broker: BrokerAddress(address: ScriptedBroker.address))
    client.start()
    return client
  }

  // MARK: Messages that are refused

  private static let framings: [(AMQPMessage, AMQPFramingError)] = {
    let long = String(repeating: "é", count: 128)
    var late = AMQPProperties()
    late.correlationID = AMQPText(long)
    var named = AMQPProperties()
    named.headers = AMQPTable([.init(name: long, value: .void)])
    var large = AMQPProperties()
    large.headers = ["h": .string([UInt8](repeating: 1, count: 131_072))]
    var value = AMQPValue.table([:])
    for _ in 0..<40 { value = .array([value]) }
    var deep = AMQPProperties()
    deep.headers = ["h": value]
    func with(_ properties: AMQPProperties) -> AMQPMessage {
      AMQPMessage(exchange: "", routingKey: "q", properties: properties, body: [])
    }
    return [
      (message("", to: long), .longName(field: "routing key", bytes: 256)),
      (message("", exchange: long), .longName(field: "exchange", bytes: 256)),
      (with(late), .longName(field: "correlation_id", bytes: 256)),
      (with(named), .longName(field: "name of a header", bytes: 256)),
      (with(large), .largeHeader(bytes: large.bytes.count, limit: 131_052)), (with(deep), .deepHeaders),
      (
        AMQPMessage(
          exchange: "", routingKey: "q", properties: AMQPProperties(), body: [UInt8](repeating: 0, count: 16 << 20 + 1)),
        .largeBody(bytes: 16 << 20 + 1, limit: 16 << 20)
      ),
    ]
  }()

  @Test(
    "a message that no frame holds is refused, and the messages around it are published", arguments: framings.indices
  )
  func framing(index: Int) throws {
    let (bad, expected) = Self.framings[index]
    let broker = ScriptedBroker()
    let error = try broker.world().perform { environment -> AMQPFramingError? in
      let client = await Self.client(environment)
      await client.post(bad)
      do {
        try await client.publish([Self.message("1"), bad, Self.message("2")])
        return nil
      } catch let error as AMQPFramingError {
        try await client.publish(Self.message("3"))
        return error
      }
    }
    #expect(error == expected)
    #expect(broker.published == ["1", "2", "3"])
    #expect(broker.connections == 1)
  }

  @Test("a header that is too large for this broker's frames is refused")
  func smallFrames() throws {
    let broker = ScriptedBroker()
    broker.frameMax = 4096
    let isRefused = try broker.world().perform { environment in
      let client = await Self.client(environment)
      var bad = Self.message("large")
      bad.properties.headers = ["h": .string([UInt8](repeating: 1, count: 5000))]
      var isRefused = false
      do { try await client.publish([Self.message("1"), bad, Self.message("2")]) } catch is AMQPFramingError {
        isRefused = true
      }
      return isRefused
    }
    #expect(isRefused)
    #expect(broker.published == ["1", "2"])
  }

  @Test(
    "a refused publication does not hold up the others",
    arguments: [404, 406, 403, 311] as [UInt16], [0, 1, 50, 99])
  func refusals(code: UInt16, place: Int) throws {
    let broker = ScriptedBroker()
    var isClosed = false
    broker.answer = { command in
      if case .channelCloseOk = command.method { isClosed = false }
      if isClosed { return [] }
      guard case .basicPublish(_, "bad", _, _) = command.method else { return nil }
      isClosed = true
      return ScriptedBroker.bytes(.channelClose(code: code, text: "no", classID: 60, methodID: 40), command.channel)
    }
    let refusal = try broker.world().perform { environment -> AMQPError? in
      let client = await Self.client(environment)
      var messages = (0..<100).map { Self.message("\($0)") }
      messages.insert(Self.message("bad", to: "bad"), at: place)
      await client.post(Self.message("posted", to: "bad"))
      var refusal: AMQPError?
      do { try await client.publish(messages) } catch let error as AMQPError { refusal = error }
      // Later publications are sent as before.
      try await client.publish((100..<200).map { Self.message("\($0)") })
      return refusal
    }
    #expect(refusal == AMQPError(code, "no"))
    var seen: Set<String> = []
    #expect(broker.published.filter { seen.insert($0).inserted } == (0..<200).map(String.init))
    #expect(broker.connections == 1)
  }

  @Test("our own broker refuses a publication and stores the others")
  func refusalByBroker() throws {
    let world = BrokerWorld()
    let counts = try world.perform { environment in
      let client = AMQPClient(
        environment, broker: BrokerAddress(address: RawAMQP.address, user: "parley", password: RawAMQP.token))
      await client.declare([.queue("q", exchange: "")])
      client.start()
      var refused = 0
      for number in 0..<3 {
        var messages = (0..<50).map { Self.message("\($0)") }
        var bad = Self.message("bad")
        switch number {
        case 0: bad.exchange = "nowhere"
        case 1: bad.properties.expiration = "soon"
        default: bad.properties.userID = "somebody else"
        }
        messages.insert(bad, at: 20)
        do { try await client.publish(messages) } catch is AMQPError { refused += 1 }
      }
      return (refused, await client.depths(["q"]).map(\.messages))
    }
    #expect(counts.0 == 3)
    #expect(counts.1.first ?? 0 >= 150)
  }

  @Test("a queue that was forgotten is not declared on the next connection")
  func forgotten() {
    var topology = AMQPTopology()
    let log = Log(node: "n", threshold: .error) { _ in }
    _ = topology.add([.queue("q", exchange: "")], log)
    topology.forget("q", exchange: "")
    var output: [UInt8] = []
    topology.write(to: &output)
    #expect(output.isEmpty)
    #expect(topology.add([.queue("q", exchange: "")], log).count == 1)
  }

  // MARK: Bad brokers

  private static let oversized = bytes(count: 1 << 20)
  private static func bytes(count: Int) -> [UInt8] { [UInt8](repeating: 0x61, count: count) }

  private struct Badness {
    let name: String
    let change: @Sendable (ScriptedBroker) -> Void
  }

  /// Brokers that no client can use.
  private static let badnesses: [Badness] = {
    var list = [
      Badness(name: "frames of 16 bytes") { $0.frameMax = 16 }, Badness(name: "frames of 4095") { $0.frameMax = 4095 },
      Badness(name: "noise") { $0.greeting = bytes(count: 1000) },
      Badness(name: "another protocol") { $0.greeting = Array("AMQP".utf8) + [0, 1, 0, 0] },
      Badness(name: "open at once") { $0.greeting = ScriptedBroker.bytes(.connectionOpenOk) },
      Badness(name: "a large table") { broker in
        let table = AMQPTable((0..<20_000).map { .init(name: "\($0)", value: .void) })
        broker.greeting = ScriptedBroker.bytes(.connectionStart(properties: table, mechanisms: "", locales: ""))
      },
      Badness(name: "silence") { $0.greeting = [] },
      Badness(name: "many deliveries") { broker in
        broker.answer = { command in
          guard case .basicConsume = command.method else { return nil }
          return (1...2000 as ClosedRange<UInt64>).flatMap { ScriptedBroker.delivery($0, command.channel, [1]) }
        }
      },
      Badness(name: "large deliveries") { broker in
        broker.answer = { command in
          guard case .basicConsume = command.method else { return nil }
          return (1...300 as ClosedRange<UInt64>).flatMap {
            ScriptedBroker.delivery($0, command.channel, Self.oversized)
          }
        }
      },
      Badness(name: "closes the channel because of a declaration") { broker in
        broker.opening = ScriptedBroker.bytes(.channelClose(code: 404, text: "", classID: 50, methodID: 10), 1)
        broker.confirms = false
        broker.answer = { if case .basicPublish = $0.method { [] } else { nil } }
      },
    ]
    for method in [
      .connectionStart(properties: [:], mechanisms: "", locales: ""),
      .connectionTune(channelMax: 0, frameMax: 0, heartbeat: 0), .connectionOpenOk, .channelOpen,
      .channelFlow(active: false), .queueDelete(queue: "q", ifUnused: false, ifEmpty: false, noWait: true),
      .basicGetEmpty, .confirmSelect(noWait: true), .connectionOpen(virtualHost: "/"),
    ] as [AMQPMethod] {
      list.append(Badness(name: "unexpected \(method)") { $0.opening = ScriptedBroker.bytes(method, 0) })
    }
    return list
  }()

  @Test("the client leaves a bad broker, and connects again after growing delays", arguments: badnesses.indices)
  func badBrokers(index: Int) throws {
    let broker = ScriptedBroker()
    Self.badnesses[index].change(broker)
    let world = broker.world()
    let isPublished = try world.perform { environment in
      let client = await Self.client(environment)
      await client.consume("q") { _ in try await environment.clock.sleep(for: .seconds(1000)) }
      environment.executor.spawn("publisher") { _ = try? await client.publish(Self.message("m")) }
      try await environment.clock.sleep(for: .seconds(60))
      let connections = broker.connections
      // The client continues once the broker is a good one.
      Self.mend(broker)
      try await environment.clock.sleep(for: .seconds(30))
      return (connections, broker.published.contains("m"))
    }
    #expect((2...60).contains(isPublished.0), "\(Self.badnesses[index].name): \(isPublished.0)")
    #expect(isPublished.1, "\(Self.badnesses[index].name)")
    #expect(world.defects.isEmpty)
  }

  private static func mend(_ broker: ScriptedBroker) {
    broker.frameMax = 0
    broker.greeting = nil
    broker.opening = []
    broker.confirms = true
    broker.answer = { _ in nil }
  }

  /// Odd behaviour of a broker that a client ignores.
  private static let oddities: [(String, @Sendable (ScriptedBroker) -> Void)] = [
    ("no bound for frames and channels", { ($0.frameMax, $0.channelMax) = (0, 0) }),
    ("huge frames", { ($0.frameMax, $0.heartbeat) = (.max, .max) }),
    (
      "deliveries for nobody", { $0.opening = ScriptedBroker.delivery(1, 77, [1]) + ScriptedBroker.delivery(9, 1, [1]) }
    ),
    (
      "acknowledgements of nothing",
      { broker in
        broker.opening = [0, 1, 5, .max].flatMap { (tag: UInt64) in
          ScriptedBroker.bytes(.basicAck(tag: tag, multiple: true), 1)
        }
      }
    ),
    (
      "answers to nothing",
      { broker in
        broker.opening = [
          .queueDeleteOk(messages: 1), .queueDeclareOk(queue: "q", messages: 1, consumers: 1), .exchangeDeclareOk,
          .basicCancel(tag: "c", noWait: true), .channelCloseOk, .connectionUnblocked, .basicQosOk,
        ].flatMap { ScriptedBroker.bytes($0, 1) }
      }
    ),
    (
      "blocked and unblocked, again and again",
      { broker in
        broker.opening =
          (0..<1000).flatMap { _ in ScriptedBroker.bytes(.connectionBlocked(reason: "r")) }
          + ScriptedBroker.bytes(.connectionUnblocked)
      }
    ),
  ]

  @Test("harmless oddities of a broker are ignored", arguments: oddities.indices)
  func odd(index: Int) throws {
    let broker = ScriptedBroker()
    Self.oddities[index].1(broker)
    let isAnswering = try broker.world().perform(within: .seconds(60)) { environment in
      let client = await Self.client(environment)
      try await client.publish(Self.message("m"))
      return await client.isAnswering()
    }
    #expect(isAnswering)
    #expect(broker.connections == 1)
  }

  @Test("the client notices a silent broker, also when it proposed no heartbeats")
  func silence() throws {
    let broker = ScriptedBroker()
    broker.beats = false
    let connections = try broker.world().perform { environment in
      let client = await Self.client(environment)
      _ = await client.isConnected(within: .seconds(5))
      try await environment.clock.sleep(for: .seconds(30))
      return broker.connections
    }
    #expect(connections > 2)
  }

  @Test("nothing is published while the broker blocks, memory is bounded, and everything is published after it")
  func blocked() throws {
    let broker = ScriptedBroker()
    broker.heartbeat = 60
    broker.opening = ScriptedBroker.bytes(.connectionBlocked(reason: "low on memory"))
    let story = try broker.world().perform { environment in
      let client = await Self.client(environment)
      _ = await client.isConnected(within: .seconds(5))
      try await environment.clock.sleep(for: .milliseconds(100))
      let isAnswering = await client.isAnswering()
      for number in 0..<200 {
        var message = Self.message("\(number) ")
        message.body += [UInt8](repeating: 0x20, count: 1 << 20)
        await client.post(message)
      }
      let held = await client.unconfirmedBytes
      let isExhausted: Bool
      do {
        try await client.publish(Self.message("more"))
        isExhausted = false
      } catch NetworkError.exhausted { isExhausted = true }
      let early = broker.published.count
      broker.opening = []
      broker.resetConnection()
      try await environment.clock.sleep(for: .seconds(60))
      return (isAnswering, held, isExhausted, early, broker.published.count)
    }
    #expect(!story.0 && story.2)
    #expect(story.1 < AMQPPublisher.maximumUnconfirmedBytes + 2 << 20)
    #expect(story.3 == 0)
    #expect(story.4 >= 120)
  }
}
