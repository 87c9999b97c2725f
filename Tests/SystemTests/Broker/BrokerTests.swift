@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The broker and its client in simulated worlds, over crashes.
@Suite("The broker")
struct BrokerTests {
  private static let token = "a service token"
  private static let address = SocketAddress(host: "broker", port: 5672)

  private func world(seed: UInt64, _ planted: Set<PlantedBug> = [], paging: Int = 64 << 20) -> World {
    let world = World(seed: seed)
    world.addNode("broker") { environment in
      var options = BrokerOptions()
      options.address = Self.address
      options.serviceToken = Self.token
      options.planted = PlantedBugs(planted)
      options.pagingBound = paging
      return try await Broker.start(environment, options)
    }.start()
    world.run(until: .milliseconds(50))
    return world
  }

  private static func client(_ environment: Environment) async -> AMQPClient {
    let client = AMQPClient(
      environment, broker: BrokerAddress(address: address, user: "parley", password: token))
    await client.declare([.exchange("x"), .queue("q", exchange: "x")])
    client.start()
    return client
  }

  private static func message(_ number: Int, size: Int = 0) -> AMQPMessage {
    var properties = AMQPProperties()
    properties.messageID = "\(number)"
    let body = Array("\(number)".utf8) + [UInt8](repeating: 0x20, count: size)
    return AMQPMessage(exchange: "x", routingKey: "q", properties: properties, body: body)
  }

  final class Heard: @unchecked Sendable {
    var numbers: [Int] = []
    var failures = 0
    var isRedelivered: [Bool] = []
  }

  private static func number(_ delivery: AMQPDelivery) -> Int {
    Int(String(decoding: delivery.body, as: UTF8.self).filter { $0 != " " }) ?? -1
  }

  /// The numbers that a consumer receives, in order.
  private func drained(_ world: World, count: Int) throws -> [Int] {
    let heard = Heard()
    try world.perform(as: "consumer") { environment in
      let client = await Self.client(environment)
      await client.consume("q") { deliveries in heard.numbers += deliveries.map(Self.number) }
      let end = environment.clock.now + .seconds(60)
      while heard.numbers.count < count, environment.clock.now < end {
        try await environment.clock.sleep(for: .milliseconds(50))
      }
      try await environment.clock.sleep(for: .milliseconds(200))
      await client.close()
    }
    return heard.numbers
  }

  /// The numbers that were confirmed while the broker crashed during commits.
  private func confirmedOverCrashes(_ world: World) throws -> [Int] {
    let confirmed = Heard()
    let broker = world.node("broker")!
    for second in 1...4 {
      world.at(.milliseconds(second * 700)) {
        broker.crash(.power, afterDiskOperations: second * 3) { broker.restart(after: .milliseconds(300)) }
      }
    }
    try world.perform(as: "publisher") { environment in
      let client = await Self.client(environment)
      for number in 0..<400 {
        try await client.publish(Self.message(number))
        confirmed.numbers.append(number)
        if number % 4 == 0 { try await environment.clock.sleep(for: .milliseconds(20)) }
      }
      await client.close()
    }
    return confirmed.numbers
  }

  @Test(
    "confirmed messages in a durable queue survive any crash, in order",
    arguments: Array(1...12 as ClosedRange<UInt64>))
  func survives(seed: UInt64) throws {
    let world = world(seed: seed)
    let confirmed = try confirmedOverCrashes(world)
    let heard = try drained(world, count: confirmed.count)
    var seen: Set<Int> = []
    // A message that was published again may be there twice. The first of each is in order.
    let firsts = heard.filter { seen.insert($0).inserted }
    #expect(firsts == confirmed)
    #expect(world.node("broker")!.deaths >= 3)
    #expect(world.defects.isEmpty)
  }

  @Test("a broker that confirms before the commit is detected")
  func confirmsEarly() throws {
    var isFound = false
    for seed in 1...12 as ClosedRange<UInt64> where !isFound {
      let world = world(seed: seed, [.confirmsEarly])
      let confirmed = try confirmedOverCrashes(world)
      isFound = Set(try drained(world, count: confirmed.count)) != Set(confirmed)
    }
    #expect(isFound)
  }

  /// The numbers that a consumer receives whose handler fails now and then.
  private func heardOverFailures(_ world: World) throws -> [Int] {
    let heard = Heard()
    try world.perform(as: "both") { environment in
      let client = await Self.client(environment)
      try await client.publish((0..<600).map { Self.message($0) })
      await client.consume("q") { deliveries in
        if heard.failures < 5, heard.numbers.count >= heard.failures * 100 {
          heard.failures += 1
          throw NetworkError.closed
        }
        heard.numbers += deliveries.map(Self.number)
      }
      let end = environment.clock.now + .seconds(30)
      while heard.numbers.count < 600, environment.clock.now < end {
        try await environment.clock.sleep(for: .milliseconds(20))
      }
      await client.close()
    }
    return heard.numbers
  }

  @Test("requeued messages return to their places", arguments: Array(1...6 as ClosedRange<UInt64>))
  func order(seed: UInt64) throws { #expect(try heardOverFailures(world(seed: seed)) == Array(0..<600)) }

  @Test("a broker that requeues at the end is detected")
  func requeuesAtTheEnd() throws {
    #expect(try heardOverFailures(world(seed: 1, [.requeuesAtTheEnd])) != Array(0..<600))
  }

  @Test("a connection is kept alive by heartbeats or by other output", arguments: [100, 900, 60_000])
  func heartbeats(pause: Int) throws {
    let generations = try world(seed: 4).perform(as: "publisher") { environment in
      let client = await Self.client(environment)
      let end = environment.clock.now + .seconds(60)
      var number = 0
      while environment.clock.now < end {
        number += 1
        try await client.publish(Self.message(number))
        try await environment.clock.sleep(for: .milliseconds(pause))
      }
      let generations = await client.generation
      await client.close()
      return generations
    }
    #expect(generations == 1)
  }

  @Test("a queue that is deleted while the broker is down is deleted once it is up", arguments: [true, false])
  func deletion(isDown: Bool) throws {
    let world = world(seed: 3)
    let broker = world.node("broker")!
    // Before it is asked, or during the commit of the deletion.
    world.at(.seconds(1)) {
      let restart = { broker.restart(after: .seconds(2)) }
      guard isDown else { return broker.crash(.power, afterDiskOperations: 1, then: restart) }
      broker.crash(.power)
      restart()
    }
    let depths = try world.perform(as: "deleter") { environment in
      let client = await Self.client(environment)
      try await client.publish(Self.message(1))
      try await environment.clock.sleep(until: environment.clock.now + .seconds(2))
      try await client.delete("q", exchange: "x")
      await client.declare([.queue("q", exchange: "x")])
      let depths = await client.depths(["q"])
      await client.close()
      return depths.map(\.messages)
    }
    #expect(depths == [0])
    #expect(broker.restarts == 1)
  }

  @Test("a deleted queue's messages do not return in another queue of its name, also after a crash")
  func deletedMessages() throws {
    let world = world(seed: 3)
    world.addNode("holder") { environment in
      let client = await Self.client(environment)
      await client.consume("q") { _ in try await environment.clock.sleep(for: .seconds(10_000)) }
      return nil
    }.start()
    world.run(until: .seconds(1))
    let depths = try world.perform(as: "deleter") { environment in
      let client = await Self.client(environment)
      try await client.publish((0..<200).map { Self.message($0) })
      try await environment.clock.sleep(for: .seconds(1))
      try await client.delete("q", exchange: "x")
      await client.declare([.queue("q", exchange: "x")])
      try await client.publish(Self.message(200))
      world.node("holder")!.crash(.power)
      let broker = world.node("broker")!
      broker.crash(.power)
      broker.restart(after: .milliseconds(100))
      try await environment.clock.sleep(for: .seconds(10))
      let depths = await client.depths(["q"])
      await client.close()
      return depths.map(\.messages)
    }
    #expect(depths == [1])
  }

  @Test("paged-out bodies are read back from the disk, in order")
  func paging() throws {
    let world = world(seed: 3, paging: 20_000)
    try world.perform(as: "publisher") { environment in
      let client = await Self.client(environment)
      for first in stride(from: 0, to: 1000, by: 100) {
        try await client.publish((first..<first + 100).map { Self.message($0, size: 500) })
      }
      await client.close()
    }
    #expect(try drained(world, count: 1000) == Array(0..<1000))
  }

  @Test("an exclusive consumer waits until a dead one is gone, and gets its deliveries first")
  func exclusive() throws {
    let world = world(seed: 5)
    let heard = Heard()
    world.addNode("first") { environment in
      let client = await Self.client(environment)
      // Holds its deliveries for ever.
      await client.consume("q", exclusive: true) { _ in try await environment.clock.sleep(for: .seconds(10_000)) }
      try await client.publish((0..<10).map { Self.message($0) })
      return nil
    }.start()
    world.run(until: .seconds(1))
    world.node("first")!.crash(.power)
    try world.perform(as: "second") { environment in
      let client = await Self.client(environment)
      await client.consume("q", exclusive: true) { deliveries in
        heard.numbers += deliveries.map(Self.number)
        heard.isRedelivered += deliveries.map(\.isRedelivered)
      }
      try await client.publish((10..<20).map { Self.message($0) })
      let end = environment.clock.now + .seconds(20)
      while heard.numbers.count < 20, environment.clock.now < end {
        try await environment.clock.sleep(for: .milliseconds(50))
      }
      await client.close()
    }
    #expect(heard.numbers == Array(0..<20))
    #expect(heard.isRedelivered.prefix(10).allSatisfy { $0 })
  }
}

@Suite("Recent ids")
struct RecentIDsTests {
  @Test("the latest ids are known, and at most twice the limit is held")
  func bound() {
    var ids = RecentIDs(limit: 10, ["a", "b"])
    var fresh = 0
    for id in ["a"] + (0..<100).map({ "\($0)" }) + (90..<100).map({ "\($0)" }) { if ids.insert(id) { fresh += 1 } }
    #expect(fresh == 100)
    let known = ids
    #expect(!known.contains("a"))
    #expect((0..<100).count { known.contains("\($0)") } < 20)
  }
}

@Suite("AMQP on the wire")
struct AMQPWireTests {
  @Test(
    "topics match by words",
    arguments: [
      ("a.b.c", "a.b.c", true), ("a.*.c", "a.b.c", true), ("a.*.c", "a.b.b.c", false), ("a.#", "a", true),
      ("a.#", "a.b.c", true), ("#", "", true), ("#", "a.b", true), ("*", "", false), ("*", "a", true),
      ("*.*", "a", false),
      ("#.c", "a.b.c", true), ("#.b.#", "a.b.c", true), ("#.#", "a", true), ("a.#.b.*", "a.b.b.b", true),
      ("b.#", "a.b", false),
    ])
  func topics(pattern: String, key: String, matches: Bool) {
    var tree = TopicTree()
    for other in ["z", "z.#", pattern] { tree.insert(other) }
    #expect(tree.patterns(matching: Topic.words(key)) == (matches ? [pattern] : []))
    tree.remove(pattern)
    #expect(tree.patterns(matching: Topic.words(key)).isEmpty)
    #expect(tree.patterns(matching: Topic.words("z.y")) == ["z.#"])
  }

  private static let methods: [AMQPMethod] = [
    .connectionStart(properties: ["a": .table(["b": .boolean(true)])], mechanisms: "PLAIN", locales: "en_US"),
    .connectionStartOk(properties: [:], mechanism: "PLAIN", response: [0, 1, 2], locale: "en_US"),
    .connectionTune(channelMax: 1, frameMax: 2, heartbeat: 3),
    .connectionTuneOk(channelMax: 1, frameMax: 2, heartbeat: 3),
    .connectionOpen(virtualHost: "/"), .connectionOpenOk,
    .connectionClose(code: 320, text: "t", classID: 1, methodID: 2), .connectionCloseOk, .channelOpen, .channelOpenOk,
    .channelFlow(active: true), .channelFlowOk(active: false),
    .channelClose(code: 404, text: "t", classID: 1, methodID: 2), .channelCloseOk,
    .exchangeDeclare(.init(exchange: "x", kind: "topic", durable: true, arguments: ["n": .int32(-5)])),
    .exchangeDeclareOk,
    .exchangeDelete(exchange: "x", ifUnused: true, noWait: false), .exchangeDeleteOk,
    .queueDeclare(
      .init(queue: "q", durable: true, noWait: true, arguments: ["x-message-ttl": .int64(5), "l": .array([.void])])),
    .queueDeclareOk(queue: "q", messages: 1, consumers: 2),
    .queueBind(queue: "q", exchange: "x", routingKey: "k", noWait: true, arguments: [:]), .queueBindOk,
    .queueUnbind(queue: "q", exchange: "x", routingKey: "k", arguments: [:]), .queueUnbindOk,
    .queuePurge(queue: "q", noWait: false), .queuePurgeOk(messages: 3),
    .queueDelete(queue: "q", ifUnused: true, ifEmpty: false, noWait: true), .queueDeleteOk(messages: 4),
    .basicQos(size: 0, count: 5, isGlobal: true), .basicQosOk,
    .basicConsume(.init(queue: "q", tag: "t", exclusive: true)),
    .basicConsumeOk(tag: "t"), .basicCancel(tag: "t", noWait: true), .basicCancelOk(tag: "t"),
    .basicPublish(exchange: "x", routingKey: "k", mandatory: true, immediate: false),
    .basicReturn(code: 312, text: "NO_ROUTE", exchange: "x", routingKey: "k"),
    .basicDeliver(consumer: "t", tag: 9, redelivered: true, exchange: "x", routingKey: "k"),
    .basicGet(queue: "q", noAck: true),
    .basicGetOk(tag: 1, redelivered: false, exchange: "x", routingKey: "k", messages: 7), .basicGetEmpty,
    .basicAck(tag: 1, multiple: true), .basicReject(tag: 2, requeue: true),
    .basicNack(tag: 3, multiple: false, requeue: true),
    .basicRecoverAsync(requeue: true), .basicRecover(requeue: true), .basicRecoverOk, .confirmSelect(noWait: true),
    .confirmSelectOk,
  ]

  @Test("every method survives a round trip, and a truncated one is an error", arguments: methods)
  func roundTrip(method: AMQPMethod) throws {
    let bytes = method.bytes
    #expect(try AMQPMethod(parsing: bytes[...]) == method)
    for count in 0..<bytes.count {
      #expect(throws: AMQPError.self) { try AMQPMethod(parsing: bytes[..<count]) }
    }
    #expect(throws: AMQPError.self) { try AMQPMethod(parsing: (bytes + [0])[...]) }
  }

  @Test("frames are parsed from any split of the bytes")
  func frames() throws {
    var properties = AMQPProperties()
    properties.messageID = "m"
    properties.headers = ["a": .text("b")]
    var bytes = AMQPParser.protocolHeader
    AMQPFrames.write(.channelOpen, 1, to: &bytes)
    AMQPFrames.write(
      .basicPublish(exchange: "", routingKey: "q", mandatory: false, immediate: false), properties: properties.bytes,
      body: Array(repeating: 7, count: 1000), 1, frameMax: 300, to: &bytes)
    AMQPFrames.writeHeartbeat(to: &bytes)
    for size in [1, 2, 3, 7, 8, 100, 5000] {
      var parser = AMQPParser(isServer: true)
      var found: [String] = []
      for start in stride(from: 0, to: bytes.count, by: size) {
        parser.receive(Array(bytes[start..<min(start + size, bytes.count)]))
        while let event = try parser.next() {
          switch event {
          case .greeting: found.append("greeting")
          case .heartbeat: found.append("heartbeat")
          case .command(let command):
            found.append("\(command.body.count)")
            if command.body.count > 0 { #expect(try command.readProperties() == properties) }
          }
        }
      }
      #expect(found == ["greeting", "0", "1000", "heartbeat"])
    }
  }

  @Test("100,000 mutated conversations cause errors and no trap")
  func mutations() {
    var bytes = AMQPParser.protocolHeader
    for (number, method) in Self.methods.enumerated() where !method.hasContent {
      AMQPFrames.write(method, UInt16(number % 5), to: &bytes)
    }
    var properties = AMQPProperties()
    properties.headers = ["a": .array([.table(["b": .timestamp(5)])])]
    AMQPFrames.write(
      .basicPublish(exchange: "", routingKey: "q", mandatory: false, immediate: false), properties: properties.bytes,
      body: [1, 2, 3], 1, frameMax: 4096, to: &bytes)
    var random = SplitMix64(state: 7)
    for _ in 0..<100_000 {
      var mutated = bytes
      for _ in 0..<(1 + Int(random.next() % 3)) {
        mutated[8 + Int(random.next() % UInt64(bytes.count - 8))] = UInt8(truncatingIfNeeded: random.next())
      }
      var parser = AMQPParser(isServer: true)
      parser.receive(mutated)
      while let event = try? parser.next() {
        if case .command(let command) = event, command.method.hasContent { _ = try? command.readProperties() }
      }
    }
  }
}
