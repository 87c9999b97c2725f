/// A position in a text. Lines and columns count from 1.
public struct TextPosition: Hashable, Sendable, CustomStringConvertible {
  /// The line, from 1.
  public let line: Int
  /// The column, in bytes of UTF-8.
  public let column: Int
  /// `line:column`.
  public var description: String { "\(line):\(column)" }
}

/// The error of an invalid JSON text.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The problem.
  public let reason: String
  /// The position of the problem.
  public let position: TextPosition
  /// `line 3, column 7: …`.
  public var description: String { "line \(position.line), column \(position.column): \(reason)" }
}

/// A parser of JSON (RFC 8259) and JSON5 (spec.json5.org, version 1.0.0).
///
/// Unlike Foundation's, it keeps the order of members, bounds the depth, refuses duplicate names
/// (RFC 8259 §4 leaves their meaning open), and reports positions for scenario files.
///
/// ```swift
/// let value = try JSONParser.parse(Array(#"{"name": "ann"}"#.utf8))
/// let name = value["name"]?.string
/// ```
public struct JSONParser {
  /// A grammar.
  public enum Dialect: Sendable { case json, json5 }

  /// The maximum depth of arrays and objects from clients, which bounds the recursion.
  public static let maximumDepth = 64
  /// The maximum depth of a queue message: a service wraps a client's value in one.
  static let queueDepth = 72
  /// The maximum depth inside the platform. An accepted value is wrapped a few more times and must
  /// not be refused for that.
  static let innerDepth = 128

  private let input: [UInt8]
  private let dialect: Dialect
  private let depth: Int
  private var index = 0
  private var positions: [String: TextPosition]?
  /// The state of `position`: the last line, its start, and the offset up to which lines are
  /// counted.
  private var line = 1
  private var lineStart = 0
  private var counted = 0

  private init(_ input: [UInt8], _ dialect: Dialect, depth: Int, noting: Bool) {
    self.input = input
    self.dialect = dialect
    self.depth = depth
    positions = noting ? [:] : nil
  }

  /// Parses a text with at most `depth` levels of arrays and objects.
  public static func parse(
    _ bytes: [UInt8], as dialect: Dialect = .json, depth: Int = maximumDepth
  ) throws(JSONError) -> JSONValue {
    var parser = JSONParser(bytes, dialect, depth: depth, noting: false)
    return try parser.document()
  }

  /// Parses a text, and returns the position of each value (`people[0].count`) and each key
  /// (`people[0].count#`).
  public static func parseNotingPositions(
    _ bytes: [UInt8], as dialect: Dialect
  ) throws(JSONError) -> (JSONValue, [String: TextPosition]) {
    var parser = JSONParser(bytes, dialect, depth: maximumDepth, noting: true)
    let value = try parser.document()
    return (value, parser.positions ?? [:])
  }

  private mutating func document() throws(JSONError) -> JSONValue {
    // A byte order mark.
    if input.count >= 3, input[0] == 0xEF, input[1] == 0xBB, input[2] == 0xBF { index = 3 }
    try space()
    let value = try value(depth: 0, path: "")
    try space()
    if index < input.count { throw error("expected the end of the text, found \(found)") }
    return value
  }

  // MARK: Values

  private mutating func value(depth: Int, path: String) throws(JSONError) -> JSONValue {
    if positions != nil { positions![path] = position(index) }
    switch peek {
    case UInt8(ascii: "{"): return try object(depth: depth, path: path)
    case UInt8(ascii: "["): return try array(depth: depth, path: path)
    case UInt8(ascii: "\""): return .string(try quoted(UInt8(ascii: "\"")))
    case UInt8(ascii: "'") where dialect == .json5: return .string(try quoted(UInt8(ascii: "'")))
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func object(depth: Int, path: String) throws(JSONError) -> JSONValue {
    guard depth < self.depth else { throw error("nested deeper than \(self.depth) levels") }
    index += 1
    var members: [JSONValue.Member] = []
    try space()
    while peek != UInt8(ascii: "}") {
      if members.isEmpty { members.reserveCapacity(6) }
      let start = index
      let name = try key()
      // A linear search is fast for small objects; large ones are checked once below.
      if members.count < 32 {
        for member in members where member.name.hasSameBytes(as: name) {
          throw error("\"\(name)\" appears twice", at: start)
        }
      }
      let inner = positions == nil ? "" : path.isEmpty ? name : "\(path).\(name)"
      if positions != nil { positions![inner + "#"] = position(start) }
      try space()
      guard peek == UInt8(ascii: ":") else { throw error("expected \":\" after \"\(name)\", found \(found)") }
      index += 1
      try space()
      members.append(.init(name, try value(depth: depth + 1, path: inner)))
      try space()
      if peek == UInt8(ascii: ",") {
        index += 1
        try space()
        if peek == UInt8(ascii: "}"), dialect == .json { throw error("a comma before \"}\"") }
      } else if peek != UInt8(ascii: "}") {
        throw error("expected \",\" or \"}\", found \(found)")
      }
    }
    index += 1
    // One check with a set keeps large objects linear.
    if members.count > 32, Set(members.map { ExactText($0.name) }).count < members.count {
      throw error("a name appears twice")
    }
    return .object(members)
  }

  private mutating func array(depth: Int, path: String) throws(JSONError) -> JSONValue {
    guard depth < self.depth else { throw error("nested deeper than \(self.depth) levels") }
    index += 1
    var elements: [JSONValue] = []
    try space()
    while peek != UInt8(ascii: "]") {
      if elements.isEmpty { elements.reserveCapacity(3) }
      elements.append(try value(depth: depth + 1, path: positions == nil ? "" : "\(path)[\(elements.count)]"))
      try space()
      if peek == UInt8(ascii: ",") {
        index += 1
        try space()
        if peek == UInt8(ascii: "]"), dialect == .json { throw error("a comma before \"]\"") }
      } else if peek != UInt8(ascii: "]") {
        throw error("expected \",\" or \"]\", found \(found)")
      }
    }
    index += 1
    return .array(elements)
  }

  private mutating func key() throws(JSONError) -> String {
    if peek == UInt8(ascii: "\"") { return try quoted(UInt8(ascii: "\"")) }
    guard dialect == .json5 else { throw error("expected a name in double quotes, found \(found)") }
    if peek == UInt8(ascii: "'") { return try quoted(UInt8(ascii: "'")) }
    let start = index
    while let byte = peek, byte.isIdentifier || byte >= 0x80 { index += 1 }
    guard index > start, !input[start].isDigit else { throw error("expected a name, found \(found)", at: start) }
    return try text(input[start..<index], at: start)
  }

  private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
    let count = word.utf8CodeUnitCount
    let matches = word.withUTF8Buffer { input[index...].starts(with: $0) }
    guard matches, index + count == input.count || !input[index + count].isIdentifier else {
      throw error("expected a value, found \(found)")
    }
    index += count
    return value
  }

  // MARK: Numbers

  private mutating func number() throws(JSONError) -> JSONValue {
    let start = index
    var isInteger = true
    if peek == UInt8(ascii: "-") || (dialect == .json5 && peek == UInt8(ascii: "+")) { index += 1 }
    if dialect == .json5 {
      if let special = try special(from: start) { return special }
    }
    let whole = skipDigits()
    if whole > 1, input[index - whole] == UInt8(ascii: "0") { throw error("a number with a leading zero", at: start) }
    var fraction = 0
    if peek == UInt8(ascii: "."), whole > 0 || dialect == .json5 {
      isInteger = false
      index += 1
      fraction = skipDigits()
      if fraction == 0, dialect == .json || whole == 0 { throw error("expected a digit, found \(found)") }
    }
    guard whole + fraction > 0 else { throw error("expected a value, found \(found)", at: start) }
    if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
      isInteger = false
      index += 1
      if peek == UInt8(ascii: "-") || peek == UInt8(ascii: "+") { index += 1 }
      guard skipDigits() > 0 else { throw error("expected a digit, found \(found)") }
    }
    var literal = String(decoding: input[start..<index], as: UTF8.self)
    if literal.hasPrefix("+") { literal.removeFirst() }
    if isInteger, let integer = Int64(literal) { return .int(integer) }
    if literal.hasSuffix(".") { literal += "0" }
    guard let double = Double(literal), double.isFinite else { throw error("a number out of range", at: start) }
    return .double(double)
  }

  private mutating func special(from start: Int) throws(JSONError) -> JSONValue? {
    let negative = start < input.count && input[start] == UInt8(ascii: "-")
    guard peek == UInt8(ascii: "0"), index + 1 < input.count, input[index + 1] | 0x20 == UInt8(ascii: "x") else {
      if peek == UInt8(ascii: "I") || peek == UInt8(ascii: "N") { throw error("Infinity and NaN have no meaning here") }
      return nil
    }
    index += 2
    let digits = index
    while let byte = peek, Hex.value(byte) != nil { index += 1 }
    guard let value = Int64(String(decoding: input[digits..<index], as: UTF8.self), radix: 16) else {
      throw error("not a hexadecimal number", at: start)
    }
    return .int(negative ? -value : value)
  }

  private mutating func skipDigits() -> Int {
    let start = index
    while let byte = peek, byte.isDigit { index += 1 }
    return index - start
  }

  // MARK: Strings

  private mutating func quoted(_ quote: UInt8) throws(JSONError) -> String {
    let start = index
    index += 1
    let first = index
    while index < input.count {
      let byte = input[index]
      if byte == quote {
        index += 1
        return try text(input[first..<index - 1], at: start)
      }
      if byte == UInt8(ascii: "\\") || byte < 0x20 { break }
      index += 1
    }
    return try escaped(quote, from: first, start: start)
  }

  private mutating func escaped(_ quote: UInt8, from first: Int, start: Int) throws(JSONError) -> String {
    var bytes = Array(input[first..<index])
    while index < input.count {
      let byte = input[index]
      if byte == quote {
        index += 1
        return try text(bytes[...], at: start)
      }
      if byte < 0x20 { throw error("a control character in a string") }
      index += 1
      if byte == UInt8(ascii: "\\") { try escape(into: &bytes) } else { bytes.append(byte) }
    }
    throw error("a string that does not end", at: start)
  }

  private mutating func escape(into bytes: inout [UInt8]) throws(JSONError) {
    guard let byte = peek else { throw error("a string that does not end") }
    index += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): bytes.append(byte)
    case UInt8(ascii: "b"): bytes.append(8)
    case UInt8(ascii: "f"): bytes.append(12)
    case UInt8(ascii: "n"): bytes.append(10)
    case UInt8(ascii: "r"): bytes.append(13)
    case UInt8(ascii: "t"): bytes.append(9)
    case UInt8(ascii: "u"): try unicode(into: &bytes)
    case UInt8(ascii: "'") where dialect == .json5: bytes.append(byte)
    case 10 where dialect == .json5: break
    case 13 where dialect == .json5: if peek == 10 { index += 1 }
    case UInt8(ascii: "v") where dialect == .json5: bytes.append(11)
    case UInt8(ascii: "0") where dialect == .json5: bytes.append(0)
    default: throw error("an unknown escape", at: index - 2)
    }
  }

  private mutating func unicode(into bytes: inout [UInt8]) throws(JSONError) {
    let start = index - 2
    var code = try codeUnit()
    if (0xD800..<0xDC00).contains(code), input[index...].starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) {
      index += 2
      let low = try codeUnit()
      guard (0xDC00..<0xE000).contains(low) else { throw error("half of a surrogate pair", at: start) }
      code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
    }
    guard let scalar = Unicode.Scalar(code) else { throw error("half of a surrogate pair", at: start) }
    bytes.append(contentsOf: Character(scalar).utf8)
  }

  private mutating func codeUnit() throws(JSONError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = peek, let digit = Hex.value(byte) else { throw error("expected four hexadecimal digits") }
      code = code << 4 | UInt32(digit)
      index += 1
    }
    return code
  }

  private func text(_ bytes: ArraySlice<UInt8>, at start: Int) throws(JSONError) -> String {
    guard let text = String(utf8: bytes) else {
      throw error("bytes that are not UTF-8", at: start)
    }
    return text
  }

  // MARK: Between tokens

  private mutating func space() throws(JSONError) {
    while let byte = peek {
      switch byte {
      case 0x20, 0x09, 0x0A, 0x0D: index += 1
      case UInt8(ascii: "/") where dialect == .json5: try comment()
      default: return
      }
    }
  }

  private mutating func comment() throws(JSONError) {
    let start = index
    index += 1
    if peek == UInt8(ascii: "/") {
      while let byte = peek, byte != 10 { index += 1 }
    } else if peek == UInt8(ascii: "*") {
      index += 1
      while !(peek == UInt8(ascii: "*") && index + 1 < input.count && input[index + 1] == UInt8(ascii: "/")) {
        guard index < input.count else { throw error("a comment that does not end", at: start) }
        index += 1
      }
      index += 2
    } else {
      throw error("expected a comment", at: start)
    }
  }

  private var peek: UInt8? { index < input.count ? input[index] : nil }

  private var found: String {
    guard let byte = peek else { return "the end of the text" }
    return byte > 0x20 && byte < 0x7F ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte 0x\(String(byte, radix: 16))"
  }

  /// Returns the position of a byte. Positions are mostly asked for in order, so each continues
  /// from the last, and a whole text takes linear time.
  private mutating func position(_ index: Int) -> TextPosition {
    if index < lineStart { (line, lineStart, counted) = (1, 0, 0) }
    for place in counted..<max(counted, index) where input[place] == 10 {
      line += 1
      lineStart = place + 1
    }
    counted = max(counted, index)
    return TextPosition(line: line, column: index - lineStart + 1)
  }

  private func error(_ reason: String, at index: Int? = nil) -> JSONError {
    var places = self
    return JSONError(reason: reason, position: places.position(min(index ?? self.index, input.count)))
  }
}

extension UInt8 {
  var isDigit: Bool { self >= 0x30 && self <= 0x39 }
  var isLetter: Bool { (self | 0x20) >= 0x61 && (self | 0x20) <= 0x7A }
  fileprivate var isIdentifier: Bool { isDigit || isLetter || self == UInt8(ascii: "_") || self == UInt8(ascii: "$") }
}
