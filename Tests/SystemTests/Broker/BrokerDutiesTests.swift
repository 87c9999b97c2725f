@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Timers, commands that wait for the disk, and the broker's reports about its own state.
@Suite("The broker's duties")
struct BrokerDutiesTests {
  @Test("a message that expires before earlier messages is dead-lettered in time")
  func earlierExpiry() throws {
    let letters = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("late")
      try await client.declare(
        "q", ["x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text("late")])
      try await client.write(RawAMQP.publication("q") { $0.expiration = "2000" })
      _ = try await client.get("q", within: .seconds(1))
      // The timer is for this message until the other one is requeued in front of it.
      try await client.write(RawAMQP.publication("q") { $0.expiration = "60000" })
      try await client.send(.basicNack(tag: 1, multiple: false, requeue: true))
      let letters = try await client.get("late", noAck: true, within: .seconds(5)) == nil ? 0 : 1
      return letters
    }
    #expect(letters == 1)
  }

  @Test("commands after a get that waits for the disk are answered after it")
  func pagedGet() throws {
    let world = BrokerWorld(change: { $0.pagingBound = 0 })
    let answers = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.ask(.confirmSelect(noWait: false))
      for number in 1...3 as ClosedRange<UInt8> {
        try await client.write(RawAMQP.publication("q", [number]))
        _ = try await client.next()
      }
      var bytes: [UInt8] = []
      AMQPFrames.write(.basicGet(queue: "q", noAck: true), 1, to: &bytes)
      AMQPFrames.write(.basicQos(size: 0, count: 1, isGlobal: false), 1, to: &bytes)
      AMQPFrames.write(.basicGet(queue: "q", noAck: true), 1, to: &bytes)
      AMQPFrames.write(.queuePurge(queue: "q", noWait: false), 1, to: &bytes)
      AMQPFrames.write(.basicGet(queue: "q", noAck: true), 1, to: &bytes)
      try await client.write(bytes)
      var answers: [String] = []
      while answers.count < 5, let command = try await client.next(within: .seconds(5)) {
        switch command.method {
        case .basicGetOk: answers.append("get \(command.body)")
        case .basicQosOk: answers.append("qos")
        case .queuePurgeOk(let count): answers.append("purge \(count)")
        case .basicGetEmpty: answers.append("empty")
        default: answers.append("\(command.method)")
        }
      }
      return answers
    }
    #expect(answers == ["get [1]", "qos", "get [2]", "purge 1", "empty"])
  }

  @Test("a refused client that keeps writing fills no memory, and its connection ends")
  func refusalFlood() throws {
    let world = BrokerWorld()
    let isServed = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.write([1, 0, 0, 0, 0, 0, 1, 0, 0])
      for _ in 0..<200 {
        // The broker may have closed the connection already.
        do { try await client.write([UInt8](repeating: 0, count: 100_000), within: .seconds(3)) } catch { break }
      }
      try await environment.clock.sleep(for: .seconds(5))
      return try await RawAMQP(environment).declare("q") != nil
    }
    #expect(isServed)
    #expect(world.seen.memory?.members.used == 0)
    #expect(world.world.defects.isEmpty)
  }

  private static func flood(_ client: RawAMQP, _ count: Int = 11) async throws {
    for _ in 0..<count {
      try await client.write(
        RawAMQP.publication("flood", [UInt8](repeating: 1, count: 100_000)) { $0.deliveryMode = 1 })
    }
  }

  @Test("a client that starts to publish while memory is low is blocked too, and each is unblocked")
  func lateBlocking() throws {
    let world = BrokerWorld(change: { $0.memoryBound = 1 << 20 })
    let story = try world.perform { environment in
      var story: [String] = []
      let first = try await RawAMQP(environment)
      let second = try await RawAMQP(environment)
      let third = try await RawAMQP(environment)
      try await first.ask(.queueDeclare(.init(queue: "flood")))
      try await Self.flood(first)
      for client in [first, second] {
        if client === second { try await Self.flood(second, 1) }
        if case .connectionBlocked? = try await client.next(within: .seconds(5))?.method { story.append("blocked") }
      }
      if case .queuePurgeOk? = try await third.ask(.queuePurge(queue: "flood", noWait: false)) {
        story.append("purged")
      }
      for client in [first, second] {
        if case .connectionUnblocked? = try await client.next(within: .seconds(5))?.method { story.append("unblocked") }
        if case .queueDeclareOk? = try await client.declare("after") { story.append("served") }
      }
      return story
    }
    #expect(story == ["blocked", "blocked", "purged", "unblocked", "served", "unblocked", "served"])
  }

  @Test("a blocked client that does not read holds up no other client")
  func deafToBlocking() throws {
    let world = BrokerWorld(change: { $0.memoryBound = 1 << 20 })
    let isServed = try world.perform { environment in
      let deaf = try await RawAMQP(environment)
      try await deaf.ask(.queueDeclare(.init(queue: "flood")))
      let other = try await RawAMQP(environment)
      for _ in 0..<20 {
        // The broker does not read from it while memory is low.
        try? await Self.flood(deaf)
        try await environment.clock.sleep(for: .milliseconds(100))
        try await other.ask(.queuePurge(queue: "flood", noWait: false))
        try await environment.clock.sleep(for: .milliseconds(100))
      }
      deaf.connection.reset()
      return try await other.declare("q") != nil
    }
    #expect(isServed)
    world.world.run(until: world.world.now + .seconds(5))
    #expect(world.seen.memory?.members.used == 0)
  }

  @Test("a broker with a failing disk does not answer, and answers again once the disk works")
  func failingDisk() throws {
    let world = BrokerWorld()
    let answers = try world.perform { environment in
      let client = AMQPClient(
        environment, broker: BrokerAddress(address: RawAMQP.address, user: "parley", password: RawAMQP.token))
      await client.declare([.queue("q", exchange: "")])
      client.start()
      var answers: [Bool] = []
      _ = await client.isConnected(within: .seconds(5))
      answers.append(await client.isAnswering())
      let broker = world.world.node("broker")!
      broker.diskFaults.failingWrites = 1
      broker.diskFaults.failingSyncs = 1
      await client.post(AMQPMessage(exchange: "", routingKey: "q", properties: AMQPProperties(), body: [1]))
      try await environment.clock.sleep(for: .seconds(2))
      answers.append(await client.isAnswering())
      broker.diskFaults.failingWrites = 0
      broker.diskFaults.failingSyncs = 0
      try await environment.clock.sleep(for: .seconds(20))
      answers.append(await client.isAnswering())
      return answers
    }
    #expect(answers == [true, false, true])
  }
}
