@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Properties, and the names and values of headers, have any bytes, as in RabbitMQ.
@Suite("Bytes of messages in the broker")
struct BrokerBytesTests {
  private static let bytes: [UInt8] = [0xFF, 0x80, 0x62]
  private static let binary = AMQPText(bytes: bytes[...])

  /// Properties that are bytes wherever they may be.
  private static var properties: AMQPProperties {
    var properties = AMQPProperties()
    properties.contentType = binary
    properties.contentEncoding = binary
    properties.correlationID = binary
    properties.replyTo = binary
    properties.messageID = binary
    properties.type = binary
    properties.appID = binary
    properties.clusterID = binary
    let inner = AMQPTable([.init(name: binary, value: .int32(1))])
    properties.headers = AMQPTable([
      .init(name: binary, value: .string(bytes)), .init(name: "h", value: .array([.string(bytes), .table(inner)])),
    ])
    return properties
  }

  @Test("a text is compared by its bytes, and shown with replacement characters")
  func texts() {
    #expect(Self.binary.text == nil && Self.binary.shown == "\u{FFFD}\u{FFFD}b" && Self.binary.count == 3)
    #expect(Self.binary == AMQPText(bytes: Self.bytes[...]) && Self.binary != AMQPText(Self.binary.shown))
    #expect(AMQPText("\u{E9}") != AMQPText("e\u{301}"))
    #expect(AMQPText(bytes: [0x61]) == "a" && AMQPText(bytes: [0x61]).text == "a")
    let order: [AMQPText] = ["a", "b", AMQPText(bytes: [0x62, 0xFF]), "c"]
    #expect(order.shuffled().sorted { $0.precedes($1) } == order)
  }

  @Test("a queue gives a message's properties as they came, also after a crash")
  func handedOn() throws {
    let world = BrokerWorld()
    let sent = {
      var properties = Self.properties
      properties.deliveryMode = 2
      return properties
    }()
    try world.perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      for _ in 0..<2 { try await client.write(RawAMQP.publication("q") { $0 = sent }) }
      #expect(try await client.get("q", noAck: true, within: .seconds(1))?.properties == sent.bytes)
      // The other is on the disk.
      try await environment.clock.sleep(for: .seconds(1))
    }
    world.restart()
    let got = try world.perform { environment in
      try await RawAMQP(environment).get("q", noAck: true)?.properties
    }
    #expect(got == sent.bytes)
  }

  @Test("the reader of publications and that of all properties agree on what is malformed")
  func readers() {
    var sample = Self.properties
    sample.headers!["all"] = .array([
      .boolean(true), .int8(1), .uint8(1), .int16(1), .uint16(1), .int32(1), .uint32(1), .int64(1), .float(1),
      .double(1), .decimal(scale: 1, value: 1), .bytes([1]), .timestamp(1), .void, .table(["CC": .void]),
    ])
    (sample.deliveryMode, sample.priority, sample.timestamp) = (2, 7, 1)
    let whole = sample.bytes
    var inputs = (0...whole.count).map { Array(whole.prefix($0)) } + [whole + [0]]
    for place in whole.indices {
      for byte in [0, 1, 0x41, 0x46, 0x53, 0xFF] as [UInt8] {
        var changed = whole
        changed[place] = byte
        inputs.append(changed)
      }
    }
    func fault(_ read: () throws(AMQPError) -> Void) -> AMQPError? {
      do throws(AMQPError) { try read() } catch { return error }
      return nil
    }
    for input in inputs {
      let command = AMQPCommand(channel: 1, method: .txSelect, properties: input)
      let expected = fault { () throws(AMQPError) in _ = try command.readProperties() }
      #expect(fault { () throws(AMQPError) in _ = try PublishedProperties(input) } == expected)
      guard expected == nil, let read = try? PublishedProperties(input), let known = try? command.readProperties()
      else { continue }
      #expect(read.isPersistent == known.isPersistent && read.priority == known.priority ?? 0)
      #expect(read.expiration == known.expiration && read.userID == known.userID)
      #expect(read.hasMoreKeys == (known.headers?["CC"] != nil || known.headers?["BCC"] != nil))
    }
  }

  @Test("a dead letter has the properties of its message")
  func deadLetters() throws {
    let letter = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare(
        "q",
        ["x-dead-letter-exchange": .text(""), "x-dead-letter-routing-key": .text("dead"), "x-max-length": .int64(0)])
      try await client.declare("dead")
      try await client.write(RawAMQP.publication("q") { $0 = Self.properties })
      return try await client.get("dead", noAck: true, within: .seconds(1))?.readProperties()
    }
    var kept = try #require(letter)
    let headers = try #require(kept.headers)
    #expect(Self.properties.headers!.entries.allSatisfy { headers.entries.contains($0) })
    kept.headers = Self.properties.headers
    #expect(kept == Self.properties)
  }

  @Test("properties that the broker reads are refused as in RabbitMQ", arguments: [true, false])
  func refused(isUser: Bool) throws {
    let code = try BrokerWorld().perform { environment in
      let client = try await RawAMQP(environment)
      try await client.declare("q")
      try await client.write(
        RawAMQP.publication("q") { if isUser { $0.userID = Self.binary } else { $0.expiration = Self.binary } })
      return try await client.closing(within: .seconds(1))
    }
    #expect(code == 406)
  }

  @Test("an answer repeats a correlation id of any bytes")
  func answers() throws {
    var properties = AMQPProperties()
    properties.correlationID = Self.binary
    properties.messageID = Self.binary
    let publication = RawAMQP.publication("q", Array(#"{"TYPE":"t","DATA":{}}"#.utf8)) { $0 = properties }
    var parser = AMQPParser(isServer: false)
    parser.receive(publication)
    guard case .command(let command)? = try parser.next() else { throw AMQPError(0, "no command") }
    let delivery = AMQPDelivery(command, tag: 1, isRedelivered: false)
    #expect(delivery.fault == nil)
    let message = try QueueMessage(delivery)
    #expect(message.correlationID == Self.binary && message.properties.correlationID == Self.binary)
    // An id that is no text is none to the services.
    #expect(message.id == nil)
  }

  @Test("methods that declare, delete and bind remove line breaks from names; others do not")
  func lineBreaks() throws {
    let world = BrokerWorld()
    let found = try world.perform { environment in
      let client = try await RawAMQP(environment)
      let declared = try await client.declare("q\r\n1")
      try await client.ask(.exchangeDeclare(.init(exchange: "x\n1", kind: "direct", durable: true)))
      try await client.ask(
        .queueBind(queue: "q\r1", exchange: "x\r1", routingKey: "k\n", noWait: false, arguments: [:]))
      try await client.write(RawAMQP.publication("k\n", exchange: "x1", [7]))
      #expect(try await client.get("q1", noAck: true, within: .seconds(1))?.body == [7])
      try await client.send(.basicGet(queue: "q\n1", noAck: true))
      return (declared, try await client.closing(within: .seconds(1)))
    }
    #expect(found.0 == .queueDeclareOk(queue: "q1", messages: 0, consumers: 0))
    #expect(found.1 == 404)
  }
}
