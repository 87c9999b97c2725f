@testable import Environment
import Testing

@testable import Sim
@testable import System

@Suite("The broker's bounds")
struct BrokerLimitsTests {
  @Test(
    "numbers beyond the contract's bounds are refused with 406",
    arguments: [
      ("x-message-ttl", .int64(.max)), ("x-message-ttl", .int64(1 << 32)), ("x-message-ttl", .int64(-1)),
      ("x-message-ttl", .text("5")), ("x-max-length", .int64(.max)), ("x-max-length", .int64(1_000_001)),
      ("x-max-length", .int8(-1)), ("x-dead-letter-exchange", .text(String(repeating: "é", count: 128))),
      ("x-dead-letter-routing-key", .string([0xFF])), ("x-overflow", .int64(1)),
    ] as [(String, AMQPValue)])
  func arguments(name: String, value: AMQPValue) throws {
    let table = AMQPTable([.init(name: name, value: value)])
    #expect(throws: AMQPError.self) { try QueueRules(table) }
    let code = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.send(.queueDeclare(.init(queue: "q", durable: true, arguments: table)))
      return try await client.closing()
    }
    #expect(code == 406)
  }

  @Test(
    "an expiration is below 2^32 milliseconds",
    arguments: [
      ("0", true), ("4294967295", true), ("4294967296", false), ("9223372036854775807", false),
      ("9223372036854775808", false), ("-1", false), ("", false), ("5 s", false), ("1e3", false),
    ])
  func expirations(text: String, isGood: Bool) throws {
    let world = BrokerWorld()
    let code = try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q", ["x-message-ttl": .int64(4_294_967_295)])
      try await client.write(RawAMQP.publication("q") { $0.expiration = AMQPText(text) })
      try await client.send(.channelClose(code: 200, text: "", classID: 0, methodID: 0))
      return try await client.closing(within: .seconds(1))
    }
    #expect(code == (isGood ? nil : 406))
  }

  @Test("the largest valid arguments survive a restart")
  func largest() throws {
    let arguments: AMQPTable = [
      "x-message-ttl": .int64(4_294_967_295), "x-max-length": .int32(1_000_000), "mine": .text("is not kept"),
    ]
    let world = BrokerWorld()
    let publish: @Sendable (Environment) async throws -> AMQPMethod? = { environment in
      let client = try await RawAMQP(environment)
      try await client.ask(.confirmSelect(noWait: false))
      try await client.declare("q", arguments)
      try await client.write(RawAMQP.publication("q"))
      _ = try await client.next()
      return try await client.declare("q", arguments)
    }
    #expect(try world.perform(publish) == .queueDeclareOk(queue: "q", messages: 1, consumers: 0))
    world.restart()
    #expect(try world.perform(publish) == .queueDeclareOk(queue: "q", messages: 2, consumers: 0))
  }

  /// Rows that an earlier version or an operator may have left in the database.
  private static let spoiled: @Sendable (Environment) async throws -> Void = { environment in
    let database = Database(
      environment, path: "broker.db", migrations: BrokerSchema.migrations, options: DatabaseOptions())
    let long = String(repeating: "n", count: 300)
    try await database.transaction { database in
      for change: BrokerChange in [
        .addQueue(
          name: "q", isAutoDelete: false,
          arguments: [
            "x-message-ttl": .int64(.max), "x-max-length": .int64(.max), "x-dead-letter-exchange": .text(long),
          ]),
        .addQueue(name: "negative", isAutoDelete: false, arguments: ["x-max-length": .int64(.min)]),
        .addQueue(name: long, isAutoDelete: false, arguments: [:]),
        .bind(exchange: "amq.direct", Binding(queue: "q", routingKey: long)),
        .insert(id: 1, queue: "q", expires: .max, message()),
        .insert(id: 2, queue: "q", expires: .min, message()),
        .insert(id: 3, queue: "q", expires: 0, message(routingKey: long)),
        .insert(id: 4, queue: "q", expires: 0, message(properties: [0xFF])),
        .insert(id: 5, queue: "q", expires: 0, message()),
        .insert(id: .max, queue: "q", expires: 0, message()),
      ] { try await BrokerTables(database).apply(change) }
      try await database.execute("UPDATE queues SET arguments = X'00' WHERE name = 'negative'")
    }
    await database.close()
  }

  private static func message(routingKey: String = "q", properties: [UInt8] = [0, 0]) -> BrokerMessage {
    BrokerMessage(exchange: "", routingKey: routingKey, properties: properties, body: [1], isPersistent: true)
  }

  @Test("stored numbers out of bounds are clamped, names out of bounds are set aside, and the rest is served")
  func storedRows() throws {
    let world = BrokerWorld(before: Self.spoiled)
    let bodies = try world.perform { environment in
      let client = try await RawAMQP(environment)
      var bodies = 0
      while let command = try await client.get("q", noAck: true) { bodies += command.body.count }
      try await client.write(RawAMQP.publication("q"))
      if try await client.get("q", within: .seconds(1)) != nil { bodies += 100 }
      return bodies
    }
    // The messages 1, 2, 4 and 5, and the one that is published after them.
    #expect(bodies == 104)
    #expect(world.world.defects.isEmpty)
  }

  @Test(
    "with a token, only its holder logs in; without one, guest over loopback",
    arguments: [
      ("guest", "guest", nil, true, true), ("guest", "guest", nil, false, false),
      ("guest", "guest", "0123456789abcdef", true, false),
      ("parley", "0123456789abcdef", "0123456789abcdef", false, true),
      ("parley", "0123456789abcdef", nil, true, false), ("parley", "0123456789abcdeF", "0123456789abcdef", true, false),
      ("parley", "", "0123456789abcdef", true, false), ("guest", "0123456789abcdef", "0123456789abcdef", true, false),
    ] as [(String, String, String?, Bool, Bool)])
  func logins(user: String, password: String, token: String?, isLoopback: Bool, isGood: Bool) {
    let response = Array("\0\(user)\0\(password)".utf8)
    let found = try? BrokerLogin.plain.user(response, serviceToken: token, isLoopback: isLoopback)
    #expect(found == (isGood ? user : nil))
    var writer = AMQPWriter()
    writer.table(["LOGIN": .text(user), "PASSWORD": .text(password)])
    let table = Array(writer.bytes.dropFirst(4))
    let again = try? BrokerLogin.amqplain.user(table, serviceToken: token, isLoopback: isLoopback)
    #expect(again == (isGood ? user : nil))
  }

  @Test("a client with a certificate of a service logs in as guest from anywhere, with and without a token")
  func certificates() {
    for token in [nil, "0123456789abcdef"] {
      for (password, isGood) in [("guest", true), ("", false)] {
        let response = Array("\0guest\0\(password)".utf8)
        let found = try? BrokerLogin.plain.user(
          response, serviceToken: token, isLoopback: false, isAuthenticated: true)
        #expect(found == (isGood ? "guest" : nil))
      }
    }
    let holder = try? BrokerLogin.plain.user(
      Array("\0parley\00123456789abcdef".utf8), serviceToken: "0123456789abcdef", isLoopback: false,
      isAuthenticated: true)
    #expect(holder == "parley")
  }

  @Test("the reason of an error is shortened at the end of a character", arguments: [1, 2, 3])
  func reasons(offset: Int) throws {
    let text = String(repeating: "x", count: offset) + String(repeating: "語", count: 200)
    let bytes = AMQPMethod.channelClose(code: 404, text: text, classID: 1, methodID: 2).bytes
    guard case .channelClose(_, let read, _, _) = try AMQPMethod(parsing: bytes[...]) else {
      Issue.record("another method")
      return
    }
    #expect(read.utf8.count <= 255)
    #expect(read.utf8.count > 250)
    #expect(read.hasSuffix("語…"))
  }

  @Test("an error that quotes a long name reaches the client, and closes the channel alone")
  func longNames() throws {
    let answer = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      let name = String(repeating: "é", count: 127)
      try await client.send(.queuePurge(queue: name, noWait: false))
      let code = try await client.closing()
      try await client.send(.channelCloseOk)
      return code == 404 ? try await client.ask(.channelOpen) : nil
    }
    #expect(answer == .channelOpenOk)
  }
}
