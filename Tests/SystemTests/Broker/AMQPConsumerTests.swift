@testable import Environment
import Testing

@testable import Sim
@testable import System

/// The AMQP client's consumers and their deliveries.
@Suite("Consumers of AMQP")
struct AMQPConsumerTests {
  final class Heard: @unchecked Sendable {
    var bodies: [String] = []
    var faults: [String] = []
  }

  @Test(
    "channel numbers are reused, and consumers beyond the broker's limit wait",
    arguments: [1, 2, 20, 0])
  func channelNumbers(channelMax: UInt16) throws {
    let broker = ScriptedBroker()
    broker.channelMax = channelMax
    try broker.world().perform { environment in
      let client = await AMQPClientTests.client(environment)
      _ = await client.isConnected(within: .seconds(5))
      for _ in 0..<300 {
        var ids: [Int] = []
        for _ in 0..<10 { ids.append(await client.consume("q") { _ in }) }
        try await environment.clock.sleep(for: .milliseconds(20))
        for id in ids { await client.cancel(id) }
        try await environment.clock.sleep(for: .milliseconds(20))
      }
      await client.consume("last") { _ in }
      try await client.publish(AMQPClientTests.message("m"))
    }
    let opened = broker.commands.compactMap { if case .channelOpen = $0.method { $0.channel } else { nil } }
    #expect(opened.allSatisfy { $0 <= (channelMax == 0 ? 21 : max(1, channelMax)) })
    let isLast = broker.commands.contains {
      if case .basicConsume(let it) = $0.method { it.queue == "last" } else { false }
    }
    #expect(isLast == (channelMax != 1))
    #expect(broker.connections == 1)
  }

  @Test("there can be more consumers than channel numbers")
  func manyConsumers() throws {
    let broker = ScriptedBroker()
    broker.channelMax = 0
    let id = try broker.world().perform { environment in
      let client = AMQPClient(environment, broker: BrokerAddress(address: ScriptedBroker.address))
      var last = 0
      for _ in 0..<70_000 { last = await client.consume("q") { _ in } }
      return last
    }
    #expect(id == 70_000)
  }

  @Test(
    "a malformed delivery goes to the dead-letter queue, and the others are handled",
    arguments: [[0, 1], [0x80, 0, 5], [0x20, 0, 0, 0, 0, 9, 1], [0, 0, 7]] as [[UInt8]])
  func unreadable(properties: [UInt8]) throws {
    let broker = ScriptedBroker()
    broker.answer = { command in
      guard case .basicConsume = command.method else { return nil }
      return ScriptedBroker.delivery(1, command.channel, [0x31])
        + ScriptedBroker.delivery(2, command.channel, properties: properties, [0x32])
        + ScriptedBroker.delivery(3, command.channel, [0x33])
    }
    let heard = Heard()
    try broker.world().perform { environment in
      let client = await AMQPClientTests.client(environment)
      await client.consumeEach("q") { heard.bodies += $0.map { String(decoding: $0.body, as: UTF8.self) } }
      try await environment.clock.sleep(for: .seconds(5))
    }
    #expect(heard.bodies == ["1", "3"])
    #expect(broker.published == ["2"])
    #expect(broker.connections == 1)
  }

  @Test("a body that is too large is left out, and the queue continues")
  func largeBody() throws {
    let broker = ScriptedBroker()
    broker.answer = { command in
      guard case .basicConsume = command.method else { return nil }
      return ScriptedBroker.delivery(1, command.channel, [UInt8](repeating: 1, count: 20 << 20))
        + ScriptedBroker.delivery(2, command.channel, [0x32])
    }
    let heard = Heard()
    try broker.world().perform { environment in
      let client = await AMQPClientTests.client(environment)
      await client.consume("q") {
        heard.bodies += $0.map { String(decoding: $0.body, as: UTF8.self) }
        heard.faults += $0.compactMap(\.fault)
      }
      try await environment.clock.sleep(for: .seconds(30))
    }
    #expect(heard.bodies == ["", "2"])
    #expect(heard.faults == ["a body of 20971520 bytes"])
  }
}
