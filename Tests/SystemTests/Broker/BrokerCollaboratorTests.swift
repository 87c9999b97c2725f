@testable import Environment
import Testing

@testable import Sim
@testable import Simulation
@testable import System

/// The collaborators of the broker by themselves: consumers, ledger, throttle, handshake.
@Suite("Collaborators of the broker")
struct BrokerCollaboratorTests {
  /// A client that never answers.
  private final class Silent: Connection, @unchecked Sendable {
    let peer: SocketAddress
    var hasEnded = false

    init(from host: String = "client") { peer = SocketAddress(host: host, port: 1) }

    func read(atMost limit: Int, deadline: Instant?) async throws -> [UInt8] { throw NetworkError.closed }
    func write(_ bytes: [UInt8], deadline: Instant?) async throws {}
    func writeNow(_ bytes: ArraySlice<UInt8>) throws -> Int { bytes.count }
    func shutdownWrite() {}
    func close() { hasEnded = true }
    func reset() { hasEnded = true }
  }

  /// An actor that has the parts, as the broker has.
  private actor Parts {
    let environment: Environment
    private let serialExecutor: ActorExecutor
    let tasks = BrokerTasks()
    let journal: BrokerJournal
    let ledger: MessageLedger
    let throttle: PublisherThrottle
    var queues = 0
    nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

    init(_ environment: Environment, _ options: BrokerOptions = BrokerOptions()) {
      self.environment = environment
      serialExecutor = environment.executor.forActor("parts")
      let database = Database(
        environment, path: "broker.db", migrations: BrokerSchema.migrations, options: DatabaseOptions())
      journal = BrokerJournal(environment, database, tasks)
      ledger = MessageLedger(journal, options, nextID: 1)
      throttle = PublisherThrottle(environment, journal, ledger)
    }

    func queue(isDurable: Bool = true) -> BrokerQueue {
      queues += 1
      return BrokerQueue(
        id: BrokerQueue.ID(name: "q\(queues)", number: queues), isDurable: isDurable, isAutoDelete: false, owner: nil,
        rules: QueueRules())
    }

    func client(_ connection: any Connection = Silent()) -> BrokerConnection {
      BrokerConnection(1, connection, tasks, maximumMessage: 1 << 20, in: environment) { _ in }
    }

    func check<R: Sendable>(_ body: @Sendable (isolated Parts) async throws -> R) async rethrows -> R {
      try await body(self)
    }
  }

  private func check(
    _ options: BrokerOptions = BrokerOptions(), _ body: @escaping @Sendable (isolated Parts) async throws -> Void
  ) throws {
    let world = World(seed: 1)
    try world.perform { environment in try await Parts(environment, options).check(body) }
    world.end()
  }

  private static func message(_ bytes: Int, isPersistent: Bool = true) -> BrokerMessage {
    BrokerMessage(
      exchange: "", routingKey: "q", properties: [0, 0], body: [UInt8](repeating: 7, count: bytes),
      isPersistent: isPersistent)
  }

  // MARK: Consumers

  @Test("waiting consumers are served in turn, and cancelled ones leave a long list")
  func consumers() throws {
    try check { parts in
      let client = parts.client()
      let channel = BrokerChannel(1, client)
      let queue = parts.queue()
      func consumer(_ tag: Int) -> BrokerConsumer {
        BrokerConsumer(
          tag: "\(tag)", channel: channel, queue: queue, noAck: false, isExclusive: false, prefetch: 0, priority: 0)
      }
      let all = (0..<100).map(consumer)
      var list = ConsumerList()
      #expect(list.removeFirst() == nil)
      for one in all[..<50] { list.append(one) }
      #expect((0..<10).compactMap { _ in list.removeFirst()?.tag } == (0..<10).map(String.init))
      for one in all where Int(one.tag)! % 2 == 1 { one.isCancelled = true }
      for one in all[50...] { list.append(one) }
      var rest: [Int] = []
      while let next = list.removeFirst() { if !next.isCancelled { rest.append(Int(next.tag)!) } }
      #expect(rest == (10..<100).filter { $0 % 2 == 0 })
      #expect(list.removeFirst() == nil)
    }
  }

  @Test("a consumer says which limit keeps the next delivery from it")
  func limits() throws {
    try check { parts in
      let client = parts.client()
      let channel = BrokerChannel(1, client)
      let queue = parts.queue()
      let consumer = BrokerConsumer(
        tag: "a", channel: channel, queue: queue, noAck: false, isExclusive: false, prefetch: 2, priority: 0)
      #expect(consumer.limit == nil)
      consumer.unsettled = 2
      #expect(consumer.limit == .consumer)
      consumer.unsettled = 1
      channel.isFlowing = false
      #expect(consumer.limit == .channel)
      channel.isFlowing = true
      client.unsettledBytes = BrokerConnection.maximumUnsettled
      #expect(consumer.limit == .connection)
      client.unsettledBytes = 0
      client.leave()
      #expect(consumer.limit == .connection)
      consumer.isCancelled = true
      #expect(consumer.limit == .consumer)
    }
  }

  // MARK: Ledger

  @Test("bodies leave memory when too much is ready, and return to their places")
  func paging() throws {
    var options = BrokerOptions()
    options.pagingBound = 2500
    try check(options) { parts in
      let (ledger, queue) = (parts.ledger, parts.queue())
      let messages = (0..<4).map { _ in Self.message(1000) }
      for message in messages { #expect(ledger.add(message, to: queue, expires: 0, isInstant: false)) }
      #expect(ledger.isDiskBehind)
      let topology = BrokerTopology(parts.journal)
      // The queue is not declared, so its bodies stay in memory.
      let changes = messages.enumerated().map { index, message in
        BrokerChange.insert(id: Int64(index + 1), queue: queue.name, expires: 0, message)
      }
      ledger.pageOut(changes, from: topology)
      #expect(queue.contents.pagedOut(10).isEmpty)
      #expect(queue.contents.pageOut(2, priority: messages[1].priority) == messages[1].size)
      #expect(queue.contents.pageOut(2, priority: messages[1].priority) == 0)
      #expect(queue.contents.pageOut(9, priority: messages[1].priority) == 0)
      #expect(queue.contents.pagedOut(10) == [2])
      #expect(queue.contents.pagedOut(1).isEmpty)
      #expect(ledger.pageIn(2, messages[1], to: queue))
      #expect(!ledger.pageIn(2, messages[1], to: queue))
      #expect(queue.contents.pagedOut(10).isEmpty)
      #expect(queue.removeAll().map(\.id) == [1, 2, 3, 4])
    }
  }

  @Test("messages that are only in memory stop their publishers until an eighth of the bound is free")
  func memoryBound() throws {
    var options = BrokerOptions()
    options.memoryBound = 10_000
    try check(options) { parts in
      let (ledger, queue) = (parts.ledger, parts.queue(isDurable: false))
      let message = Self.message(1000, isPersistent: false)
      while !ledger.isMemoryFull { #expect(!ledger.add(message, to: queue, expires: 0, isInstant: false)) }
      let full = queue.count
      #expect(full == 10_000 / message.size + 1)
      #expect(!ledger.isMemoryFreeAgain)
      while !ledger.isMemoryFreeAgain {
        let entry = queue.first!
        ledger.takeFirst(of: queue)
        ledger.forget(entry)
      }
      #expect(queue.count == 8750 / message.size)
      #expect(ledger.purge(queue) == 8750 / message.size)
      #expect(queue.count == 0)
    }
  }

  // MARK: Throttle

  @Test("a publisher of messages in memory waits, is told so, and continues when there is room")
  func throttle() throws {
    var options = BrokerOptions()
    options.memoryBound = 1000
    try check(options) { parts in
      let (ledger, queue, client) = (parts.ledger, parts.queue(isDurable: false), parts.client())
      let clock = parts.environment.clock
      client.hearsBlocking = true
      _ = ledger.add(Self.message(2000, isPersistent: false), to: queue, expires: 0, isInstant: false)
      let begin = clock.now
      // A client that does not publish does not wait.
      await parts.throttle.wait(client)
      client.hasPublished = true
      await parts.throttle.wait(client)
      #expect(clock.now == begin && client.output.bytes.isEmpty && !client.hasPublished)
      client.hasPublished = true
      client.fillsMemory = true
      parts.environment.executor.spawn("reader", isolation: parts) {
        try? await clock.sleep(for: .seconds(3))
        #expect(client.isPaused)
        _ = ledger.purge(queue)
      }
      await parts.throttle.wait(client)
      #expect(clock.now - begin >= .seconds(3) && clock.now - begin < .seconds(4))
      #expect(!client.isPaused && !client.fillsMemory)
      var expected: [UInt8] = []
      AMQPFrames.write(.connectionBlocked(reason: "low on memory"), 0, to: &expected)
      AMQPFrames.write(.connectionUnblocked, 0, to: &expected)
      #expect(client.output.bytes == expected)
    }
  }

  @Test("a blocked publisher that leaves does not wait for memory", arguments: [true, false])
  func throttledAndGone(isHeard: Bool) throws {
    var options = BrokerOptions()
    options.memoryBound = 1000
    try check(options) { parts in
      let connection = Silent()
      let (ledger, queue, client) = (parts.ledger, parts.queue(isDurable: false), parts.client(connection))
      _ = ledger.add(Self.message(2000, isPersistent: false), to: queue, expires: 0, isInstant: false)
      client.hasPublished = true
      client.fillsMemory = true
      let clock = parts.environment.clock
      let begin = clock.now
      parts.environment.executor.spawn("leaver", isolation: parts) {
        try? await clock.sleep(for: .seconds(2))
        if isHeard { client.leave() } else { connection.close() }
      }
      await parts.throttle.wait(client)
      #expect(clock.now - begin < .seconds(3))
    }
  }

  // MARK: Handshake

  private static let greeting: [AMQPMethod] = [
    .connectionStartOk(properties: [:], mechanism: "PLAIN", response: Array("\0parley\0secret".utf8), locale: "en_US"),
    .connectionTuneOk(channelMax: 100, frameMax: 8192, heartbeat: 30), .connectionOpen(virtualHost: "/"),
  ]

  @Test("a connection opens after start-ok, tune-ok and open, and in no other order")
  func handshake() throws {
    try check { parts in
      let handshake = BrokerHandshake(serviceToken: "secret", operatorToken: nil, heartbeat: .seconds(60))
      let client = parts.client()
      for (step, method) in Self.greeting.enumerated() {
        for (other, wrong) in Self.greeting.enumerated() where other != step {
          #expect(throws: AMQPError.self) { try handshake.take(wrong, client) }
        }
        let isOpen = try handshake.take(method, client)
        #expect(isOpen == (step == 2))
      }
      #expect(client.phase == .open && client.user == "parley")
      #expect(client.frameMax == 8192 && client.heartbeat == .seconds(30))
    }
  }

  @Test(
    "a handshake with a wrong value is refused with its code",
    arguments: [
      (0, .connectionStartOk(properties: [:], mechanism: "SCRAM-SHA-256", response: [], locale: "en_US"), 503),
      (
        0,
        .connectionStartOk(
          properties: [:], mechanism: "PLAIN", response: Array("\0parley\0wrong".utf8), locale: "en_US"), 403
      ),
      (1, .connectionTuneOk(channelMax: 100, frameMax: 4095, heartbeat: 0), 530),
      (1, .connectionTuneOk(channelMax: 100, frameMax: 131_073, heartbeat: 0), 530),
      (2, .connectionOpen(virtualHost: "/other"), 530),
    ] as [(Int, AMQPMethod, UInt16)])
  func refusals(step: Int, method: AMQPMethod, code: UInt16) throws {
    try check { parts in
      let handshake = BrokerHandshake(serviceToken: "secret", operatorToken: nil, heartbeat: .seconds(60))
      let client = parts.client()
      for earlier in Self.greeting[..<step] { _ = try handshake.take(earlier, client) }
      do throws(AMQPError) {
        _ = try handshake.take(method, client)
        Issue.record("not refused")
      } catch {
        #expect(error.code == code)
      }
    }
  }

  // MARK: Tasks

  @Test("tasks start between begin and end only")
  func tasks() {
    let tasks = BrokerTasks()
    var started = 0
    #expect(tasks.start(.commit) == nil)
    tasks.begin { _ in
      started += 1
      return nil
    }
    _ = tasks.start(.commit)
    tasks.end()
    _ = tasks.start(.commit)
    #expect(started == 1)
  }
}
