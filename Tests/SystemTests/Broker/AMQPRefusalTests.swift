@testable import Environment
import Testing

@testable import Sim
@testable import System

/// What a client does when the broker refuses its declarations and publications.
@Suite("Refusals by a broker")
struct AMQPRefusalTests {
  /// The state of a scripted broker. Used on one simulated world.
  private final class Disk: @unchecked Sendable {
    var isFull = true
    var publications: UInt64 = 0
  }

  private static func refuse(_ code: UInt16, _ classID: UInt16, _ methodID: UInt16) -> [UInt8] {
    ScriptedBroker.bytes(.channelClose(code: code, text: "no 'q'", classID: classID, methodID: methodID), 1)
  }

  @Test(
    "a refused declaration is reported with its remedy, and tried again every 30 s",
    arguments: [
      (406, 50, 10, "queue.declare", "delete the queue"), (406, 40, 10, "exchange.declare", "delete the exchange"),
      (405, 50, 10, "queue.declare", "end the connection"), (403, 50, 20, "queue.bind", "allow the user"),
    ] as [(UInt16, UInt16, UInt16, String, String)])
  func declarations(code: UInt16, classID: UInt16, methodID: UInt16, method: String, remedy: String) throws {
    let broker = ScriptedBroker()
    broker.opening = Self.refuse(code, classID, methodID)
    broker.confirms = false
    let story = try broker.world().perform { environment in
      let client = await AMQPClientTests.client(environment)
      environment.executor.spawn("publisher") { _ = try? await client.publish(AMQPClientTests.message("m")) }
      try await environment.clock.sleep(for: .seconds(300))
      let connections = broker.connections
      let fault = await client.fault() ?? ""
      // The operator mends the broker.
      broker.opening = []
      broker.confirms = true
      try await environment.clock.sleep(for: AMQPClient.refusalDelay + .seconds(5))
      return (connections, fault, await client.fault(), broker.published.contains("m"))
    }
    #expect((9...11).contains(story.0))
    #expect(story.1.contains(method) && story.1.contains("no 'q'") && story.1.contains(remedy), "\(story.1)")
    #expect(story.2 == nil)
    #expect(story.3)
  }

  @Test("a queue of other properties in our own broker is a fault until it is deleted")
  func otherQueue() throws {
    let story = try BrokerWorld().perform { environment in
      let other = try await RawAMQP(environment)
      try await other.declare("q", ["x-message-ttl": .int64(1000)])
      let client = AMQPClient(
        environment, broker: BrokerAddress(address: RawAMQP.address, user: "parley", password: RawAMQP.token))
      await client.declare([.queue("q", exchange: "")])
      client.start()
      try await environment.clock.sleep(for: .seconds(5))
      let fault = await client.fault() ?? ""
      try await other.ask(.queueDelete(queue: "q", ifUnused: false, ifEmpty: false, noWait: false))
      try await client.publish(AMQPClientTests.message("m"))
      return (fault, await client.fault(), await client.depths(["q"]).map(\.messages))
    }
    #expect(story.0.contains("queue.declare (406") && story.0.contains("'q'"), "\(story.0)")
    #expect(story.1 == nil)
    #expect(story.2 == [1])
  }

  @Test("rejected publications are sent again on the same connection, in order, after growing delays")
  func rejections() throws {
    let broker = ScriptedBroker()
    let disk = Disk()
    broker.answer = { command in
      guard case .basicPublish = command.method else { return nil }
      disk.publications += 1
      let tag = disk.publications
      guard disk.isFull else { return ScriptedBroker.bytes(.basicAck(tag: tag, multiple: false), command.channel) }
      // The second of three is taken.
      return tag % 3 == 2
        ? ScriptedBroker.bytes(.basicAck(tag: tag, multiple: false), command.channel)
        : ScriptedBroker.bytes(.basicNack(tag: tag, multiple: false, requeue: false), command.channel)
    }
    let counts = try broker.world().perform { environment in
      let client = await AMQPClientTests.client(environment)
      environment.executor.spawn("publisher") {
        try? await client.publish(["1", "2", "3"].map { AMQPClientTests.message($0) })
      }
      try await environment.clock.sleep(for: .seconds(60))
      let before = disk.publications
      disk.isFull = false
      try await client.publish(AMQPClientTests.message("4"))
      return before
    }
    #expect(broker.connections == 1)
    #expect((5...60).contains(counts))
    let bodies = broker.commands.compactMap { command -> String? in
      guard case .basicPublish = command.method else { return nil }
      return String(decoding: command.body, as: UTF8.self)
    }
    #expect(bodies.prefix(5) == ["1", "2", "3", "1", "3"])
    #expect(bodies.last == "4")
    #expect(bodies.filter { $0 == "2" }.count == 1)
  }

  @Test("a rejected answer is dropped, so that one client's full queue holds up nobody")
  func rejectedAnswers() throws {
    let broker = ScriptedBroker()
    let disk = Disk()
    broker.answer = { command in
      guard case .basicPublish = command.method else { return nil }
      disk.publications += 1
      let isAnswer = String(decoding: command.body, as: UTF8.self) == "answer"
      let method: AMQPMethod =
        isAnswer
        ? .basicNack(tag: disk.publications, multiple: false, requeue: false)
        : .basicAck(tag: disk.publications, multiple: false)
      return ScriptedBroker.bytes(method, command.channel)
    }
    try broker.world().perform { environment in
      let client = await AMQPClientTests.client(environment)
      var answer = AMQPClientTests.message("answer")
      answer.isAnswer = true
      try await client.publishEach([answer, AMQPClientTests.message("other"), answer])
    }
    let bodies = broker.commands.compactMap { command -> String? in
      guard case .basicPublish = command.method else { return nil }
      return String(decoding: command.body, as: UTF8.self)
    }
    #expect(bodies == ["answer", "other", "answer"])
  }

  @Test("settled tags are known, whatever the order of the confirmations")
  func tags() {
    var sent = SentPublications()
    for number in 11...16 as ClosedRange<UInt64> { sent.append(number) }
    #expect(sent.settle(upTo: 2, multiple: false) == [12])
    #expect(sent.settle(upTo: 2, multiple: false) == [])
    #expect(sent.oldest == 11)
    #expect(sent.settle(upTo: 4, multiple: true) == [11, 13, 14])
    #expect(sent.settle(upTo: 4, multiple: true) == [])
    #expect(sent.settle(upTo: 7, multiple: true) == [])
    #expect(sent.settle(upTo: 0, multiple: true) == [])
    #expect((sent.outstanding, sent.span, sent.oldest) == (2, 2, 15))
    #expect(sent.settle(upTo: 6, multiple: true) == [15, 16])
    sent.append(17)
    #expect(sent.settle(upTo: 7, multiple: false) == [17])
    #expect(sent.oldest == nil)
  }

  @Test("a handshake agrees on the smaller limits", arguments: [(0, 0, 2), (4096, 1, 1), (200_000, 60, 2)])
  func handshake(frameMax: UInt32, proposed: UInt16, heartbeat: UInt16) throws {
    var handshake = AMQPHandshake(user: "u", password: "p")
    var output: [UInt8] = []
    #expect(throws: AMQPError.self) {
      var early = handshake
      _ = try early.take(.connectionOpenOk, answeringTo: &output)
    }
    let start = AMQPMethod.connectionStart(properties: [:], mechanisms: "PLAIN", locales: "en_US")
    #expect(try handshake.take(start, answeringTo: &output) == nil)
    let tune = AMQPMethod.connectionTune(channelMax: 7, frameMax: frameMax, heartbeat: proposed)
    #expect(try handshake.take(tune, answeringTo: &output) == nil)
    let largest = frameMax == 4096 ? 4096 : AMQPParser.maximumFrame
    #expect(
      try handshake.take(.connectionOpenOk, answeringTo: &output)
        == AMQPHandshake.Agreement(frameMax: largest, channelMax: 7, heartbeat: heartbeat))
  }
}
