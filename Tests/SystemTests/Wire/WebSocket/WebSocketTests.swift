import Testing

@testable import System

@Suite("WebSocket")
struct WebSocketTests {
  typealias Event = WebSocketParser.Event

  private func frame(
    _ opcode: UInt8, _ payload: [UInt8], isFinal: Bool = true, reserved: UInt8 = 0, masked: Bool = true
  ) -> [UInt8] {
    var bytes: [UInt8] = [(isFinal ? 0x80 : 0) | reserved | opcode]
    let mask: UInt8 = masked ? 0x80 : 0
    if payload.count < 126 {
      bytes.append(mask | UInt8(payload.count))
    } else {
      bytes += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    }
    guard masked else { return bytes + payload }
    let key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
    return bytes + key + payload.enumerated().map { $0.element ^ key[$0.offset & 3] }
  }

  private func parse(_ bytes: [UInt8], role: WebSocketParser.Role = .server, pieces: Int = .max) throws(WebSocketError)
    -> [Event]
  {
    var parser = WebSocketParser(role: role, limit: 100_000)
    var events: [Event] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = rest.prefix(min(pieces, rest.count))
      rest = rest.dropFirst(piece.count)
      parser.receive(Array(piece))
      while let event = try parser.next() { events.append(event) }
    }
    return events
  }

  @Test("the example of RFC 6455 §5.7: a masked Hello")
  func hello() throws {
    let bytes: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
    #expect(try parse(bytes) == [.text(Array("Hello".utf8))])
    #expect(try parse([0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], role: .client) == [.text(Array("Hello".utf8))])
    #expect(WebSocketHandshake.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  }

  @Test("fragments with control frames in between, in pieces of every size", arguments: 1...30)
  func fragments(pieces: Int) throws {
    let bytes =
      frame(1, Array("κό".utf8), isFinal: false) + frame(9, [1, 2]) + frame(0, Array("σμε".utf8), isFinal: false)
      + frame(10, [])
      + frame(0, []) + frame(2, [UInt8](repeating: 7, count: 300)) + frame(8, [3, 0xE8] + Array("bye".utf8))
      + frame(1, [65])
    #expect(
      try parse(bytes, pieces: pieces) == [
        .ping([1, 2]), .pong([]), .text(Array("κόσμε".utf8)), .binary([UInt8](repeating: 7, count: 300)),
        .close(code: 1000, reason: "bye"),
      ])
  }

  @Test(
    "frames round-trip at the limits of each length format",
    arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 90_000])
  func roundTrip(count: Int) throws {
    let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    var masked: [UInt8] = []
    WebSocketFrame.write(.binary, payload, mask: [1, 2, 3, 4], to: &masked)
    #expect(try parse(masked) == [.binary(payload)])
    var plain: [UInt8] = []
    WebSocketFrame.write(.binary, payload, to: &plain)
    #expect(try parse(plain, role: .client) == [.binary(payload)])
  }

  @Test("each violation has its close code")
  func violations() {
    let cases: [(String, [UInt8], UInt16)] = [
      ("reserved bit 1", frame(1, [65], reserved: 0x40), 1002),
      ("reserved bit 2", frame(1, [65], reserved: 0x20), 1002),
      ("reserved bit 3", frame(1, [65], reserved: 0x10), 1002), ("opcode 3", frame(3, []), 1002),
      ("opcode 11", frame(11, []), 1002),
      ("unmasked", frame(1, [65], masked: false), 1002), ("fragmented ping", frame(9, [], isFinal: false), 1002),
      ("long ping", frame(9, [UInt8](repeating: 0, count: 126)), 1002),
      ("continuation of nothing", frame(0, [65]), 1002),
      ("text within text", frame(1, [65], isFinal: false) + frame(1, [66]), 1002),
      ("close of one byte", frame(8, [3]), 1002),
      ("close 999", frame(8, [3, 0xE7]), 1002), ("close 1005", frame(8, [3, 0xED]), 1002),
      ("close 1006", frame(8, [3, 0xEE]), 1002),
      ("close 1015", frame(8, [3, 0xF7]), 1002), ("close 2999", frame(8, [0x0B, 0xB7]), 1002),
      ("close 5000", frame(8, [0x13, 0x88]), 1002),
      ("close reason not UTF-8", frame(8, [3, 0xE8, 0xFF]), 1007), ("text not UTF-8", frame(1, [0xC0, 0x80]), 1007),
      ("text ends within a character", frame(1, [0xE2, 0x82]), 1007),
      ("surrogate", frame(1, [0xED, 0xA0, 0x80]), 1007),
      ("beyond Unicode", frame(1, [0xF4, 0x90, 0x80, 0x80]), 1007), ("overlong", frame(1, [0xE0, 0x80, 0xAF]), 1007),
      ("length in a long form", [0x82, 0xFE, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5], 1002),
      ("length with its highest bit", [0x82, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], 1002),
      ("too big at once", [0x82, 0xFF, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0], 1009),
      (
        "too big in fragments",
        frame(2, [UInt8](repeating: 0, count: 60_000), isFinal: false) + frame(0, [UInt8](repeating: 0, count: 60_000)),
        1009
      ),
    ]
    for (name, bytes, code) in cases {
      let error = #expect(throws: WebSocketError.self, "\(name)") { try parse(bytes) }
      #expect(error?.code == code, "\(name)")
    }
  }

  @Test("invalid UTF-8 is refused at once, not at the end of the message")
  func failsFast() {
    var parser = WebSocketParser(role: .server, limit: 1000)
    parser.receive(Array(frame(1, [0x61, 0xFF] + [UInt8](repeating: 0x61, count: 100)).prefix(10)))
    #expect(throws: WebSocketError(code: 1007, reason: "invalid UTF-8")) { try parser.next() }
  }

  @Test("UTF-8 validation agrees with the standard library, at every split")
  func utf8() {
    let samples: [[UInt8]] = [
      Array("κόσμε😀é\u{7FF}\u{800}\u{FFFF}\u{10FFFF}".utf8), [0xC1, 0xBF], [0xF5, 0x80, 0x80, 0x80], [0x80],
      [0xE1, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
      [0xED, 0x9F, 0xBF], [0xEE, 0x80, 0x80], [0xED, 0xBF, 0xBF], [0xF4, 0x8F, 0xBF, 0xBF], [0xFE], [0xE2, 0x28, 0xA1],
    ]
    for sample in samples {
      let expected = String(validating: sample, as: UTF8.self) != nil
      for split in 0...sample.count {
        var stream = UTF8Stream()
        let isGood = stream.take(sample[..<split]) && stream.take(sample[split...]) && stream.isComplete
        #expect(isGood == expected, "\(sample) at \(split)")
      }
    }
  }

  @Test("100,000 mutated frames and packets: no trap, no hang, bounded memory")
  func mutations() {
    let seeds =
      [
        frame(1, Array("4hello".utf8)), frame(2, [1, 2, 3]),
        frame(1, Array("a".utf8), isFinal: false) + frame(9, []) + frame(0, Array("b".utf8)),
        frame(8, [3, 0xE8]), frame(2, [UInt8](repeating: 9, count: 200)),
      ]
    let texts = [
      "42[\"message\",1,\"2\",{\"3\":[true]}]",
      "452-[\"m\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]", "0/custom,{\"token\":\"abc\"}",
      "43456[1,\"2\"]", "41", "bAQIDBA==", "2probe", "4hello\u{1E}4world",
    ].map { Array($0.utf8) }
    var random: UInt64 = 7
    func below(_ bound: Int) -> Int {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(random >> 33) % bound
    }
    func mutate(_ bytes: inout [UInt8]) {
      for _ in 0...below(3) {
        let place = below(bytes.count)
        switch below(3) {
        case 0: bytes[place] = UInt8(below(256))
        case 1: bytes.insert(UInt8(below(256)), at: place)
        default: if bytes.count > 1 { bytes.remove(at: place) }
        }
      }
    }
    var outcomes = (events: 0, errors: 0, packets: 0, refused: 0)
    for _ in 0..<50_000 {
      var bytes = seeds[below(seeds.count)]
      mutate(&bytes)
      var parser = WebSocketParser(role: .server, limit: 1000)
      parser.receive(bytes)
      do throws(WebSocketError) {
        while try parser.next() != nil { outcomes.events += 1 }
      } catch {
        outcomes.errors += 1
      }
      var text = texts[below(texts.count)]
      mutate(&text)
      let isEngine = EngineIOPacket.payload(text) != nil
      let isSocket = SocketIOPacket(text: String(decoding: text, as: UTF8.self)) != nil
      if isEngine || isSocket { outcomes.packets += 1 } else { outcomes.refused += 1 }
    }
    #expect(
      outcomes.events > 1000 && outcomes.errors > 1000 && outcomes.packets > 1000 && outcomes.refused > 1000,
      "\(outcomes)")
  }
}

@Suite("Engine.IO and Socket.IO packets")
struct SocketPacketTests {
  @Test(
    "Engine.IO packets round-trip",
    arguments: [
      "0{}", "1", "2", "2probe", "3", "3probe", "4hello", "4", "5", "6", "bAQIDBA==",
    ])
  func engine(text: String) {
    #expect(EngineIOPacket(text: Array(text.utf8)[...])?.text == text)
  }

  @Test("invalid Engine.IO packets", arguments: ["", "7", "a", "1x", "5x", "6x", "bA", "b?", "bAQIDBA"])
  func notEngine(text: String) { #expect(EngineIOPacket(text: Array(text.utf8)[...]) == nil) }

  @Test(
    "Socket.IO packets round-trip",
    arguments: [
      "0", "0/custom,", "0{\"token\":\"123\"}", "0/custom,{\"token\":\"123\"}", "1", "1/custom,",
      "2[\"a\",1,\"2\",{\"3\":[true]}]",
      "2/custom,12[\"a\"]", "312[1,\"x\"]", "4{\"message\":\"no\"}",
      "52-[\"a\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
      "61-/custom,7[{\"_placeholder\":true,\"num\":0}]",
    ])
  func socket(text: String) {
    #expect(SocketIOPacket(text: text)?.text == text)
  }

  @Test(
    "invalid Socket.IO packets",
    arguments: [
      "", "7", "abc", "2", "2{}", "2[]", "2[1]", "2abc[\"a\"]", "3[1]", "312{}", "1[]", "0[]", "5[\"a\"]", "5x-[\"a\"]",
      "517-[\"a\"]", "2[\"a\"", "4[]",
    ])
  func notSocket(text: String) { #expect(SocketIOPacket(text: text) == nil) }

  @Test("base64 requires padding and has one form")
  func base64() {
    #expect(Base64.encode([1, 2, 3, 4]) == "AQIDBA==")
    #expect(Base64.encode([0xFB, 0xFF]) == "+/8=")
    #expect(Base64.decode("+/8=".utf8) == [0xFB, 0xFF])
    for text in ["AQIDBA", "AQIDBA=", "-_8=", "AQIDBB==", "A===", "AQ=D"] { #expect(Base64.decode(text.utf8) == nil) }
  }
}
