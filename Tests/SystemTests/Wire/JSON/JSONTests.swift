import Testing

@testable import System

@Suite("JSON")
struct JSONTests {
  @Test(
    "accepts what RFC 8259 allows",
    arguments: [
      ("{}", "{}"), ("[ ]", "[]"), (" null ", "null"), ("-0", "0"), ("12345678901234567890", "1.2345678901234567e+19"),
      ("1e3", "1000.0"), (#""a\u00e9\ud83d\ude00\n""#, "\"aé😀\\n\""),
      (#"{"b":1,"a":[true,false]}"#, #"{"b":1,"a":[true,false]}"#),
    ])
  func reads(text: String, written: String) throws {
    #expect(try JSONParser.parse(Array(text.utf8)).text == written)
  }

  @Test(
    "refuses what RFC 8259 does not allow",
    arguments: [
      "", "{", "[1,]", "{\"a\":1,}", "{a:1}", "'a'", "01", "1.", ".5", "+1", "NaN", "nul", "\"\u{1}\"", "\"\\x\"",
      "\"\\ud800\"", "1 2",
      "{\"a\":1,\"a\":2}", "// c\n1", "\"a", "[1 2]", "{\"a\" 1}", "\u{FEFF}x", "truefalse", "--1", "1e", "\"\\u12\"",
    ])
  func refuses(text: String) {
    #expect(throws: JSONError.self) { try JSONParser.parse(Array(text.utf8)) }
  }

  @Test("strings round trip at every alignment")
  func writes() throws {
    let scalars = (0...0x7F).map { Unicode.Scalar(UInt8($0)) } + ["é", "😀"]
    for scalar in scalars {
      for (before, after) in [(0, 0), (0, 8), (3, 4), (7, 0), (7, 9), (8, 7), (15, 1)] {
        let text = String(repeating: "a", count: before) + String(scalar) + String(repeating: "~", count: after)
        let written = JSONValue.string(text).bytes
        #expect(try JSONParser.parse(written) == .string(text))
        #expect(!written.contains(0x7F))
      }
    }
    for number in [Int64.min, -10, -1, 0, 9, 10, .max] { #expect(JSONValue.int(number).text == "\(number)") }
  }

  @Test("refuses invalid UTF-8 and values that nest too deep")
  func bounds() {
    #expect(throws: JSONError.self) { try JSONParser.parse([0x22, 0xFF, 0x22]) }
    let deep = String(repeating: "[", count: 65) + String(repeating: "]", count: 65)
    #expect(throws: JSONError.self) { try JSONParser.parse(Array(deep.utf8)) }
    for inner in ["", "1", "{}"] {
      let depth = inner == "{}" ? 63 : 64
      let fits = String(repeating: "[", count: depth) + inner + String(repeating: "]", count: depth)
      #expect(throws: Never.self) { try JSONParser.parse(Array(fits.utf8)) }
    }
    #expect(throws: Never.self) { try JSONParser.parse(Array(deep.utf8), depth: 65) }
  }

  @Test("strings and names are compared by their bytes, in linear time")
  func bytes() throws {
    #expect(JSONValue.string("\u{E9}") != .string("e\u{301}"))
    #expect(throws: Never.self) { try JSONParser.parse(Array("{\"\u{E9}\":1,\"e\u{301}\":2}".utf8)) }
    let long = "a" + String(repeating: "\u{301}\u{323}", count: 100_000)
    let names = (0..<40).map { "\"\($0 < 2 ? long : "")\($0)\":0" }.joined(separator: ",")
    let clock = ContinuousClock()
    let took = try clock.measure {
      let value = try JSONParser.parse(Array("{\(names)}".utf8))
      #expect(value["TYPE"] == nil)
      #expect(JSONValue.string(long) != .string(long + "b"))
      #expect(Set([value, value]).count == 1)
    }
    // In quadratic time each comparison of a long name would take several seconds.
    #expect(took < .seconds(10))
  }

  @Test(
    "a truncated text is an error at its end",
    arguments: [
      "", " ", "{", "[", "{a", "{a:", "{a:-", "{a:+", "-", "+", "[1,", "'", "'\\", "\"\\u12", "0x", "-0x", "1e", "/*",
      "/", "//",
    ])
  func early(text: String) {
    for dialect in [JSONParser.Dialect.json, .json5] {
      #expect(throws: JSONError.self) { try JSONParser.parse(Array(text.utf8), as: dialect) }
      #expect(throws: JSONError.self) { try JSONParser.parseNotingPositions(Array(text.utf8), as: dialect) }
    }
  }

  @Test("accepts JSON5 and reports the position of an error")
  func json5() throws {
    let text = "// one\n{ a: 'x', 'b': [1, 0x10, .5, +2,], /* two */ \"c\": { d: 'l\\\ng' }, }"
    let (value, positions) = try JSONParser.parseNotingPositions(Array(text.utf8), as: .json5)
    #expect(value.text == #"{"a":"x","b":[1,16,0.5,2],"c":{"d":"lg"}}"#)
    #expect(positions["b[1]"] == TextPosition(line: 2, column: 20))
    #expect(positions["c#"]?.line == 2)
    let error = #expect(throws: JSONError.self) { try JSONParser.parse(Array("{\n  a: 1\n  b: 2 }".utf8), as: .json5) }
    #expect(error?.position == TextPosition(line: 3, column: 3))
  }

  @Test("a number beyond a double is refused, and a duplicate member of a large object")
  func large() {
    #expect(throws: JSONError.self) { try JSONParser.parse(Array("1e999".utf8)) }
    let members = (0..<40).map { "\"k\($0 % 39)\":0" }.joined(separator: ",")
    #expect(throws: JSONError.self) { try JSONParser.parse(Array("{\(members)}".utf8)) }
  }
}
