import Environment
import Testing

@testable import System

/// Every message of protocol 3.0 and its bytes.
@Suite("PostgreSQL's messages")
struct PostgresCodecTests {
  static let column: PostgresColumn = {
    var column = PostgresColumn("user_id", .varchar, .binary)
    (column.table, column.number, column.size, column.modifier) = (16_384, 1, -1, 68)
    return column
  }()

  static let backend: [PostgresBackendMessage] = [
    .authentication(.ok), .authentication(.cleartextPassword), .authentication(.md5Password(salt: [1, 2, 3, 4])),
    .authentication(.sasl(["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])), .authentication(.saslContinue([1, 0, 2])),
    .authentication(.saslFinal([3])), .authentication(.other(7, [])), .authentication(.other(8, [9])),
    .backendKey(process: 4711, key: [1, 2, 3, 4]), .parameterStatus(PostgresParameter("server_version", "15.18")),
    .readyForQuery(.idle), .readyForQuery(.open), .readyForQuery(.failed), .parameterDescription([]),
    .parameterDescription([20, 25]), .rowDescription([column, PostgresColumn("?column?", .int4)]), .noData,
    .dataRow(PostgresRow([])), .dataRow(PostgresRow([Array("a".utf8), nil, []])), .commandComplete("INSERT 0 1"),
    .emptyQuery, .portalSuspended, .parseComplete, .bindComplete, .closeComplete,
    .error(
      PostgresFields(code: .uniqueViolation, message: "duplicate", [.init("n", "users_pkey"), .init("?", "new")])),
    .notice(PostgresFields(severity: "WARNING", code: .internalError, message: "é")),
    .notification(process: 1, channel: "c", payload: ""), .negotiateProtocolVersion(196_608, unknown: ["_pq_.x"]),
    .copy(UInt8(ascii: "G"), isBinary: true, formats: [1, 1]), .copy(UInt8(ascii: "W"), isBinary: false, formats: []),
    .copyData([0, 1]), .copyDone,
  ]

  static let starts: [PostgresFrontendMessage] = [
    .sslRequest, .gssRequest, .cancel(process: 4711, key: [1, 2, 3, 4]),
    .startup(minor: 0, [PostgresParameter("user", "u"), PostgresParameter("database", "d")]),
    .startup(minor: 2, []),
  ]

  static let frontend: [PostgresFrontendMessage] = [
    .authentication([1, 2, 0]), .query("SELECT 1"), .parse(statement: "s1", sql: "SELECT $1", types: [20, 0]),
    .bind(.init(statement: "s1", formats: [1, 0], values: [[1], nil], resultFormats: [1])),
    .bind(.init(statement: "", formats: [], values: [], resultFormats: [])), .describe(.statement("s1")),
    .describe(.portal("")), .execute(portal: "", rows: 0), .close(.statement("s1")), .close(.portal("p")), .sync,
    .flush, .terminate, .copyData([1]), .copyDone, .copyFail("no"),
  ]

  static func bytes(_ messages: [PostgresBackendMessage]) -> [UInt8] {
    messages.reduce(into: []) { $1.write(to: &$0) }
  }

  static func bytes(_ messages: [PostgresFrontendMessage]) -> [UInt8] {
    messages.reduce(into: []) { $1.write(to: &$0) }
  }

  private static func parse(_ bytes: [UInt8], pieces: Int) throws -> [PostgresBackendMessage] {
    var parser = PostgresBackendParser()
    var messages: [PostgresBackendMessage] = []
    for start in stride(from: 0, to: bytes.count, by: pieces) {
      parser.receive(Array(bytes[start..<min(start + pieces, bytes.count)]))
      while let message = try parser.next() { messages.append(message) }
    }
    #expect(parser.bytesUnderWay == 0)
    return messages
  }

  @Test("the server's messages survive the wire in pieces of any size", arguments: [1, 2, 7, 1 << 20])
  func backend(pieces: Int) throws {
    #expect(try Self.parse(Self.bytes(Self.backend), pieces: pieces) == Self.backend)
  }

  @Test("the client's messages survive the wire in pieces of any size", arguments: [1, 2, 7, 1 << 20])
  func frontend(pieces: Int) throws {
    for start in Self.starts {
      let isStartup = if case .startup = start { true } else { false }
      let expected = [start] + (isStartup ? Self.frontend : [])
      let bytes = Self.bytes(expected)
      var parser = PostgresFrontendParser()
      var messages: [PostgresFrontendMessage] = []
      for place in stride(from: 0, to: bytes.count, by: pieces) {
        parser.receive(Array(bytes[place..<min(place + pieces, bytes.count)]))
        while let message = try parser.next() { messages.append(message) }
      }
      #expect(messages == expected)
    }
  }

  /// Messages whose last field takes whatever is left are shorter when they are cut.
  private static func takesRest(_ type: UInt8) -> Bool { "dp".utf8.contains(type) }

  @Test("a message that is cut at any place, or has a byte too many, is refused or another one")
  func truncations() throws {
    for message in Self.backend {
      let whole = Self.bytes([message])
      let (type, payload) = (whole[0], whole[5...])
      if Self.takesRest(type) { continue }
      for end in payload.startIndex..<payload.endIndex {
        let read = try? PostgresBackendMessage(type: type, payload: payload[..<end])
        #expect(read != message, "cut at \(end) of \(message)")
        if let read { #expect(Self.bytes([read])[5...].elementsEqual(payload[..<end])) }
      }
      if case .authentication = message { continue }
      if case .backendKey = message { continue }
      #expect(throws: PostgresProtocolError.self) { try PostgresBackendMessage(type: type, payload: payload + [0]) }
    }
    for message in Self.frontend {
      let whole = Self.bytes([message])
      let (type, payload) = (whole[0], whole[5...])
      if Self.takesRest(type) { continue }
      for end in payload.startIndex..<payload.endIndex {
        #expect(throws: PostgresProtocolError.self, "cut at \(end) of \(message)") {
          try PostgresFrontendMessage(type: type, payload: payload[..<end])
        }
      }
      #expect(throws: PostgresProtocolError.self) { try PostgresFrontendMessage(type: type, payload: payload + [0]) }
    }
  }

  @Test(
    "lengths that are wrong are refused before their bytes arrive",
    arguments: [
      [0x44, 0, 0, 0, 3], [0x44, 0, 0, 0, 0], [0x44, 0xFF, 0xFF, 0xFF, 0xFF], [0x44, 0x80, 0, 0, 0],
      [0x44, 0, 1, 0, 1],
    ])
  func lengths(bytes: [UInt8]) {
    var parser = PostgresBackendParser()
    parser.receive(bytes)
    #expect(throws: PostgresProtocolError.self) { try parser.next() }
  }

  @Test("after the login, a packet may have 64 MiB and no byte more")
  func limits() throws {
    var parser = PostgresBackendParser()
    parser.loggedIn()
    parser.receive([0x44, 4, 0, 0, 0])
    #expect(try parser.next() == nil)
    parser = PostgresBackendParser()
    parser.loggedIn()
    parser.receive([0x44, 4, 0, 0, 1])
    #expect(throws: PostgresProtocolError.self) { try parser.next() }
  }

  @Test(
    "counts that promise more than the message has are refused",
    arguments: [
      (0x44, [0x7F, 0xFF]), (0x44, [0xFF, 0xFF]), (0x54, [0x7F, 0xFF, 0]), (0x74, [0, 1]),
      (0x76, [0, 3, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]),
      (0x44, [0, 1, 0xFF, 0xFF, 0xFF, 0xFE]), (0x44, [0, 1, 0, 0, 0, 1]),
    ] as [(UInt8, [UInt8])])
  func counts(type: UInt8, payload: [UInt8]) {
    #expect(throws: PostgresProtocolError.self) { try PostgresBackendMessage(type: type, payload: payload[...]) }
  }

  @Test("values in both formats")
  func values() throws {
    let time = Timestamp(microseconds: 1_795_000_000_123_456)
    let table: [(PostgresValue, PostgresType)] = [
      (.null, .int8), (.bool(true), .bool), (.int(-1), .int8), (.int(.max), .int8), (.int(.min), .int8),
      (.text("é"), .text), (.text(""), .varchar), (.bytes([0, 255]), .bytea), (.bytes([]), .bytea),
      (.uuid(Array(0..<16)), .uuid), (.time(time), .timestamp), (.time(Timestamp(microseconds: -1)), .timestamptz),
    ]
    for (value, type) in table {
      let encoded = value.encoded(as: type)
      #expect(try PostgresValue(decoding: encoded.bytes.map { $0[...] }, as: type, encoded.format) == value)
    }
    // Text for a column of bytes is its UTF-8, also where PostgreSQL's text form would mean others.
    for text in ["\\x41", "\\101", "\\", "é\0"] {
      let encoded = PostgresValue.text(text).encoded(as: .bytea)
      #expect(encoded.format == .binary && encoded.bytes == Array(text.utf8))
    }
    let texts: [(String, PostgresType, PostgresValue)] = [
      ("t", .bool, .bool(true)), ("-32768", .int2, .int(-32_768)), ("\\x00ff", .bytea, .bytes([0, 255])),
      ("00010203-0405-0607-0809-0a0b0c0d0e0f", .uuid, .uuid(Array(0..<16))), ("1.5", PostgresType(1700), .text("1.5")),
    ]
    for (text, type, value) in texts {
      #expect(try PostgresValue(decoding: Array(text.utf8)[...], as: type, .text) == value)
    }
    let wrong: [([UInt8], PostgresType, PostgresFormat)] = [
      ([2], .bool, .binary), ([], .int4, .binary), ([0, 0, 0, 0, 0], .int4, .binary), ([0xFF], .text, .binary),
      ([1], PostgresType(1700), .binary), ([0x31, 0x78], .int8, .text), ([0x5C, 0x78, 0x30], .bytea, .text),
      (Array(repeating: 0, count: 15), .uuid, .binary),
    ]
    for (bytes, type, format) in wrong {
      #expect(throws: PostgresProtocolError.self) { try PostgresValue(decoding: bytes[...], as: type, format) }
    }
    #expect(
      try PostgresValue(decoding: [0x7F] + Array(repeating: 0xFF, count: 7), as: .timestamp, .binary)
        == .endOfTime(isPositive: true))
  }
}
