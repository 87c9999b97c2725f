@testable import Sim
@testable import System

private func text(_ part: String, _ count: Int) -> String { String(repeating: part, count: count) }

private func list(_ count: Int, _ part: (Int) -> String) -> String { (0..<count).map(part).joined(separator: ",") }

extension Door {
  /// A parser of bytes. It may accept or refuse the input.
  private static func bytes(
    _ name: String, _ size: Int, _ input: @escaping @Sendable (Int) -> [UInt8],
    _ take: @escaping @Sendable ([UInt8]) throws -> Void
  ) -> Door {
    Door(name, size) { size in
      let input = input(size)
      return { try? take(input) }
    }
  }

  private static func json(_ name: String, _ size: Int, _ input: @escaping @Sendable (Int) -> String) -> Door {
    bytes("JSON: \(name)", size, { Array(input($0).utf8) }) { _ = try JSONParser.parse($0) }
  }

  /// The parsers of input from the network.
  static let parsers = values + names + http + sockets + queues

  private static let values = [
    json("numbers", 20_000) { "[" + list($0) { "\($0)" } + "]" },
    json("keys", 10_000) { "{" + list($0) { "\"key\($0)\":0" } + "}" },
    json("long keys with combining marks", 20) { size in
      "{" + list(size) { "\"a\(text("\u{301}\u{323}", 500))\($0)\":0" } + "}"
    },
    json("one key with combining marks", 50_000) { "{\"a\(text("\u{301}\u{323}", $0))\":0}" },
    json("many deep arrays", 500) { "[" + list($0) { _ in text("[", 60) + text("]", 60) } + "]" },
    json("escapes", 50_000) { "\"" + text("\\u0041\\n", $0) + "\"" },
    json("one number", 50_000) { text("1", $0) },
    json("white space", 200_000) { text(" ", $0) + "1" },
    bytes("JSON5: comments", 20_000, { Array((text("/* a */ // b\n", $0) + "1").utf8) }) {
      _ = try JSONParser.parseNotingPositions($0, as: .json5)
    },
    bytes("JSON5: keys with positions", 5_000, { Array(("{" + list($0) { "key\($0): 0" } + "}").utf8) }) {
      _ = try JSONParser.parseNotingPositions($0, as: .json5)
    },
    bytes("property list: references to one object", 20_000, { PropertyLists.shared(references: $0, bytes: 1000) }) {
      _ = try PropertyList.parse($0)
    },
    bytes("property list: integers", 20_000, { PropertyList.bytes(.array((0..<$0).map { .int(Int64($0)) })) }) {
      _ = try PropertyList.parse($0)
    },
    bytes(
      "property list: keys", 5_000, { size in PropertyList.bytes(.object((0..<size).map { .init("key\($0)", 0) })) }
    ) { _ = try PropertyList.parse($0) },
  ]

  private static let names = [
    Door("names: a username of combining marks", 20_000) { size in
      let name = "a" + text("\u{301}\u{323}", size)
      return { _ = try? Username(parsing: name) }
    },
    Door("names: an email of combining marks", 20_000) { size in
      let name = "a" + text("\u{301}\u{323}", size) + "@example.com"
      return { _ = try? EmailAddress(parsing: name) }
    },
    Door("names: an email of labels", 20_000) { size in
      let name = "a@" + text("a.", size) + "com"
      return { _ = try? EmailAddress(parsing: name) }
    },
    bytes("percent encoding", 100_000, { Array(text("%41", $0).utf8) }) {
      _ = PercentEncoding.decode($0, plusIsSpace: true)
    },
    bytes("a form's fields", 10_000, { Array(text("a=b&", $0).utf8) }) { _ = PercentEncoding.decodeForm($0) },
    Door("a token's parts", 20_000) { size in
      let jwt = JWT(secrets: [Array(text("s", 32).utf8)])
      let token = text("a.", size)
      return { _ = try? jwt.verify(token) }
    },
  ]

  private static func request(_ input: [UInt8], pieces: Int) throws {
    var limits = HTTPLimits()
    limits.head = 1 << 20
    limits.body = 16 << 20
    var parser = HTTPRequestParser(limits: limits)
    for start in stride(from: 0, to: input.count, by: pieces) {
      parser.receive(Array(input[start..<min(start + pieces, input.count)]))
      while let event = try parser.next() {
        if case .request(let request) = event { _ = request.fields.all("host") }
      }
    }
  }

  private static let http = [
    bytes(
      "HTTP: header fields", 40_000,
      { size in
        Array(("GET / HTTP/1.1\r\nHost: a\r\n" + (0..<size).map { "X-\($0): a\r\n" }.joined() + "\r\n").utf8)
      }
    ) { try request($0, pieces: .max / 2) },
    bytes("HTTP: a long header, byte by byte", 20_000, { Array("GET / HTTP/1.1\r\nX: \(text("a", $0))\r\n".utf8) }) {
      try request($0, pieces: 1)
    },
    bytes(
      "HTTP: chunks of one byte", 20_000,
      { size in
        Array(
          "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(text("1\r\na\r\n", size))0\r\n\r\n".utf8)
      }
    ) { try request($0, pieces: 1000) },
    bytes("HTTP: pipelined requests", 2_000, { Array(text("GET / HTTP/1.1\r\nHost: a\r\n\r\n", $0).utf8) }) {
      try request($0, pieces: .max / 2)
    },
    bytes("HTTP: empty lines", 20_000, { Array(text("\r\n", $0).utf8) }) { try request($0, pieces: 100) },
    bytes("server-sent events: lines", 10_000, { Array((text("data: a\n", $0) + "\n").utf8) }) { input in
      var parser = EventStreamParser()
      try parser.receive(input)
      while parser.next() != nil {}
    },
  ]

  private static let sockets = [
    bytes("Engine.IO: packets in a payload", 20_000, { Array(text("40\u{1e}", $0).utf8) }) {
      _ = EngineIOPacket.payload($0)
    },
    bytes("Socket.IO: a long namespace", 100_000, { Array("2/\(text("a", $0)),[\"b\"]".utf8) }) {
      _ = SocketIOPacket(text: String(decoding: $0, as: UTF8.self))
    },
    bytes(
      "WebSocket: fragments", 5_000,
      { size in
        [0x01, 0x80, 0, 0, 0, 0] + (0..<size).flatMap { _ in [0x00, 0x81, 0, 0, 0, 0, 0x61] as [UInt8] }
      }
    ) { input in
      var parser = WebSocketParser(role: .server, limit: 16 << 20)
      for byte in input {
        parser.receive([byte])
        while try parser.next() != nil {}
      }
    },
  ]

  private static let queues = [
    Door("AMQP: entries of a table", 5_000) { size in
      let bytes = AttackGrammar.table((0..<size).map { ("key\($0)", AttackGrammar.value(Int64($0))) })
      return {
        var reader = AMQPReader(bytes[...])
        let table = try reader.table()
        var writer = AMQPWriter()
        writer.table(table)
      }
    },
    bytes(
      "PostgreSQL: values of rows", 20_000,
      { size in
        var output: [UInt8] = []
        for _ in 0..<size / 10 { PostgresBackendMessage.dataRow(PostgresRow([[1], nil, [2, 3]])).write(to: &output) }
        return output
      }
    ) {
      var parser = PostgresBackendParser()
      for byte in $0 {
        parser.receive([byte])
        while try parser.next() != nil {}
      }
    },
    bytes(
      "PostgreSQL: a row in pieces of one byte", 50_000,
      { [0x44, 0, 0, 0xFF, 0xFF] + Array(repeating: 0, count: min($0, 65_530)) }
    ) {
      var parser = PostgresBackendParser()
      for byte in $0 {
        parser.receive([byte])
        while try parser.next() != nil {}
      }
    },
    Door("AMQP: a body in frames of one byte", 20_000) { size in
      var header: [UInt8] = [0, 60, 0, 0]
      header.append(big: UInt64(size))
      let publish: [UInt8] = [0, 60, 0, 40, 0, 0, 0, 1, 0x71, 0]
      let bytes =
        AMQPParser.protocolHeader + AttackGrammar.frame(1, 1, publish) + AttackGrammar.frame(2, 1, header + [0, 0])
        + (0..<size).flatMap { _ in AttackGrammar.frame(3, 1, [0x61]) }
      return {
        var parser = AMQPParser(isServer: true)
        for start in stride(from: 0, to: bytes.count, by: 1000) {
          parser.receive(Array(bytes[start..<min(start + 1000, bytes.count)]))
          while try parser.next() != nil {}
        }
      }
    },
  ]
}

/// Property lists that expand when they are read.
enum PropertyLists {
  static func shared(references: Int, bytes: Int) -> [UInt8] {
    AttackGrammar.sharedPropertyList(references: references, bytes: bytes)
  }
}
