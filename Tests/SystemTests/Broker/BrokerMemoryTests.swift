@testable import Environment
import Testing

@testable import Sim
@testable import System

@Suite("The broker's memory")
struct BrokerMemoryTests {
  private static let header: [UInt8] = {
    var writer = AMQPWriter()
    writer.number(UInt16(60))
    writer.number(UInt16(0))
    writer.number(UInt64(16 << 20))
    writer.number(UInt16(0))
    return writer.bytes
  }()

  private static func frame(_ type: UInt8, _ channel: UInt16, _ payload: [UInt8]) -> [UInt8] {
    var writer = AMQPWriter()
    writer.number(type)
    writer.number(channel)
    writer.longString(payload)
    writer.number(UInt8(0xCE))
    return writer.bytes
  }

  /// The beginning of a message of 16 MiB.
  private static func begun(_ channel: UInt16, _ frames: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    AMQPFrames.write(
      .basicPublish(exchange: "", routingKey: "q", mandatory: false, immediate: false), channel, to: &bytes)
    bytes += frame(2, channel, header)
    for _ in 0..<frames { bytes += frame(3, channel, [UInt8](repeating: 0, count: 100_000)) }
    return bytes
  }

  @Test("no content and no large frame is accepted before the login", arguments: [true, false])
  func strangers(isMessage: Bool) throws {
    let world = BrokerWorld()
    let code = try world.perform { environment in
      let client = try await RawAMQP(environment, logsIn: false)
      try await client.write(isMessage ? Self.begun(1, 0) : Self.frame(1, 0, [UInt8](repeating: 0, count: 100_000)))
      return try await client.closing()
    }
    #expect(code == (isMessage ? 503 : 501))
    world.world.run(until: world.world.now + .seconds(5))
    #expect(world.seen.memory?.strangers.used == 0)
  }

  @Test("incomplete messages of a connection are bounded, and their memory is released at its end")
  func manyChannels() throws {
    let world = BrokerWorld()
    let code = try world.perform { environment in
      let client = try await RawAMQP(environment)
      for channel in 2...20 as ClosedRange<UInt16> { try await client.ask(.channelOpen, on: channel) }
      for channel in 1...20 as ClosedRange<UInt16> {
        // The broker may have closed the connection.
        do { try await client.write(Self.begun(channel, 20)) } catch { break }
      }
      return try await client.closing()
    }
    #expect(code == 506)
    world.world.run(until: world.world.now + .seconds(5))
    #expect(world.seen.memory?.members.used == 0)
  }

  @Test("a client that does not read is not read from", arguments: ["get", "nack", "return"])
  func doesNotRead(way: String) throws {
    let world = BrokerWorld()
    let isRead = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.declare("marker")
      try await client.write(RawAMQP.publication("q", [UInt8](repeating: 1, count: 400_000)))
      var bytes: [UInt8] = []
      for number in 1...200 as ClosedRange<UInt64> {
        switch way {
        case "get": AMQPFrames.write(.basicGet(queue: "q", noAck: false), 1, to: &bytes)
        case "nack": AMQPFrames.write(.basicGet(queue: "q", noAck: false), 1, to: &bytes)
        default:
          AMQPFrames.write(
            .basicPublish(exchange: "", routingKey: "nowhere", mandatory: true, immediate: false), properties: [0, 0],
            body: [UInt8](repeating: 1, count: 100_000), 1, frameMax: 131_072, to: &bytes)
        }
        if way != "return" {
          AMQPFrames.write(.basicNack(tag: number, multiple: false, requeue: true), 1, to: &bytes)
        }
      }
      bytes += RawAMQP.publication("marker")
      // The broker stops reading, so not everything can be written.
      let isWritten = (try? await client.write(bytes, within: .seconds(5))) != nil
      let other = try await RawAMQP(environment)
      let isRead = try await other.get("marker", within: .seconds(5)) != nil
      client.connection.reset()
      // A client that reads is served meanwhile.
      try await other.declare("fine")
      return isRead && isWritten
    }
    #expect(!isRead)
    #expect(world.world.defects.isEmpty)
  }

  @Test("a client that reads gets all answers in order")
  func reads() throws {
    let count = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.write(RawAMQP.publication("q", [UInt8](repeating: 1, count: 400_000)))
      var bytes: [UInt8] = []
      for number in 1...50 as ClosedRange<UInt64> {
        AMQPFrames.write(.basicGet(queue: "q", noAck: false), 1, to: &bytes)
        AMQPFrames.write(.basicNack(tag: number, multiple: false, requeue: true), 1, to: &bytes)
      }
      try await client.write(bytes)
      var count = 0
      while count < 50, let command = try await client.next(), command.body.count == 400_000 { count += 1 }
      return count
    }
    #expect(count == 50)
  }

  @Test("above the memory bound, only publishers of messages in memory wait")
  func blocking() throws {
    let world = BrokerWorld(change: { $0.memoryBound = 1 << 20 })
    let story = try world.perform { environment in
      var story: [String] = []
      let flood = try await RawAMQP(environment, heartbeat: 2)
      try await flood.ask(.queueDeclare(.init(queue: "flood")))
      for _ in 0..<11 {
        try await flood.write(
          RawAMQP.publication("flood", [UInt8](repeating: 1, count: 100_000)) { $0.deliveryMode = 1 })
      }
      if case .connectionBlocked? = try await flood.next()?.method { story.append("blocked") }
      let other = try await RawAMQP(environment)
      try await other.declare("q")
      try await other.ask(.confirmSelect(noWait: false))
      for _ in 0..<20 {
        try await other.write(RawAMQP.publication("q", [UInt8](repeating: 1, count: 100_000)))
        guard case .basicAck? = try await other.next(within: .seconds(5))?.method else { break }
      }
      if case .basicGetOk? = try await other.get("q")?.method { story.append("stored and got") }
      try await environment.clock.sleep(for: .seconds(20))
      try await other.send(.queuePurge(queue: "flood", noWait: false))
      if case .queuePurgeOk(11)? = try await other.next()?.method { story.append("purged") }
      while let command = try await flood.next(within: .seconds(5)) {
        if case .connectionUnblocked = command.method { break }
      }
      try await flood.write(RawAMQP.publication("q"))
      if try await flood.declare("q") != nil { story.append("goes on") }
      return story
    }
    #expect(story == ["blocked", "stored and got", "purged", "goes on"])
  }

  @Test("unsettled deliveries are bounded: a consumer gets no more, a get is refused")
  func unsettled() throws {
    let counts = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      let body = [UInt8](repeating: 1, count: 10_000_000)
      for _ in 0..<9 { try await client.write(RawAMQP.publication("q", body)) }
      try await client.ask(.basicConsume(.init(queue: "q", tag: "c")))
      var count = 0
      while let command = try? await client.next(within: .seconds(2)), command.body.count > 0 { count += 1 }
      try await client.send(.basicAck(tag: 0, multiple: true))
      while let command = try? await client.next(within: .seconds(2)), command.body.count > 0 { count += 100 }
      return count
    }
    #expect(counts == 207)
  }

  @Test("a reopened channel gets no confirms of the channel before it")
  func confirmations() throws {
    for delay in 0..<12 {
      let world = BrokerWorld(seed: UInt64(delay) + 1)
      let isConfirmed = try world.perform { environment in
        let client = try await RawAMQP(environment)
        try await client.declare("q")
        try await client.ask(.confirmSelect(noWait: false))
        try await client.write(RawAMQP.publication("q"))
        try await environment.clock.sleep(for: .microseconds(delay * 100))
        var bytes: [UInt8] = []
        AMQPFrames.write(.channelClose(code: 200, text: "", classID: 0, methodID: 0), 1, to: &bytes)
        AMQPFrames.write(.channelOpen, 1, to: &bytes)
        AMQPFrames.write(.confirmSelect(noWait: false), 1, to: &bytes)
        bytes += RawAMQP.publication("q", [2])
        try await client.write(bytes)
        var isOpen = false
        while let command = try await client.next() {
          if case .channelOpenOk = command.method { isOpen = true }
          if isOpen, case .basicAck = command.method { break }
        }
        return isOpen
      }
      #expect(isConfirmed)
      world.restart()
      let count = try world.perform { environment in try await RawAMQP(environment).declare("q") }
      #expect(count == .queueDeclareOk(queue: "q", messages: 2, consumers: 0))
    }
  }

  @Test("a timer and a load of a deleted queue do not affect the next queue of its name")
  func deletedQueues() throws {
    let world = BrokerWorld(change: { $0.pagingBound = 1000 })
    let story = try world.perform { environment in
      var story: [Int] = []
      let client = try await RawAMQP(environment)
      for round in 1...10 {
        try await client.declare("q")
        try await client.ask(.confirmSelect(noWait: false))
        for _ in 0..<5 {
          try await client.write(
            RawAMQP.publication("q", [UInt8](repeating: 1, count: 2000 + round)) { $0.expiration = "500" })
          _ = try await client.next()
        }
        // The get waits for bodies on the disk, and the deletion waits for the get.
        try await client.send(.basicGet(queue: "q", noAck: true))
        try await client.send(.queueDelete(queue: "q", ifUnused: false, ifEmpty: false, noWait: false))
        if let got = try await client.next() { story.append(got.body.count - 2000) }
        _ = try await client.next()
        try await client.send(.channelClose(code: 200, text: "", classID: 0, methodID: 0))
        _ = try await client.next()
        try await client.ask(.channelOpen)
      }
      return story
    }
    #expect(story == Array(1...10))
  }
}
