/// A JSON value (RFC 8259). Objects keep the order of their members. Text is compared by its bytes
/// (`String.hasSameBytes(as:)`).
///
/// ```swift
/// let answer: JSONValue = ["success": true, "count": 3]
/// let text = answer.text  // {"success":true,"count":3}
/// ```
public enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case array([JSONValue])
  case object([Member])

  /// One name and value of an object.
  public struct Member: Hashable, Sendable {
    /// The name.
    public var name: String
    /// The value.
    public var value: JSONValue

    /// A member of an object.
    public init(_ name: String, _ value: JSONValue) {
      self.name = name
      self.value = value
    }

    /// Compares the names by their bytes.
    public static func == (a: Member, b: Member) -> Bool { a.name.hasSameBytes(as: b.name) && a.value == b.value }

    /// Hashes the bytes of the name, and the value.
    public func hash(into hasher: inout Hasher) {
      hasher.combine(ExactText(name))
      hasher.combine(value)
    }
  }

  /// Whether two values are the same.
  public static func == (a: JSONValue, b: JSONValue) -> Bool {
    switch (a, b) {
    case (.null, .null): true
    case (.bool(let a), .bool(let b)): a == b
    case (.int(let a), .int(let b)): a == b
    case (.double(let a), .double(let b)): a == b
    case (.string(let a), .string(let b)): a.hasSameBytes(as: b)
    case (.array(let a), .array(let b)): a == b
    case (.object(let a), .object(let b)): a == b
    default: false
    }
  }

  /// Hashes the value.
  public func hash(into hasher: inout Hasher) {
    switch self {
    case .null: hasher.combine(0)
    case .bool(let flag): hasher.combine(flag)
    case .int(let number): hasher.combine(number)
    case .double(let number): hasher.combine(number)
    case .string(let text): hasher.combine(ExactText(text))
    case .array(let elements): hasher.combine(elements)
    case .object(let members): hasher.combine(members)
    }
  }

  /// The value of the member `name`; nil if the value is not an object or has no such member.
  public subscript(name: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name.hasSameBytes(as: name) }?.value
  }

  /// The text of a string.
  public var string: String? { if case .string(let text) = self { text } else { nil } }
  /// The value of an integer.
  public var int: Int64? { if case .int(let number) = self { number } else { nil } }
  /// The value of a Boolean.
  public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
  /// The value of a number of either kind.
  public var number: Double? {
    switch self {
    case .int(let number): Double(number)
    case .double(let number): number
    default: nil
    }
  }
  /// The elements of an array.
  public var array: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
  /// The members of an object.
  public var members: [Member]? { if case .object(let members) = self { members } else { nil } }

  /// The kind of the value, for an error.
  public var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .int: "an integer"
    case .double: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  /// A string.
  public init(stringLiteral value: String) { self = .string(value) }
  /// An integer.
  public init(integerLiteral value: Int64) { self = .int(value) }
  /// A Boolean.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// An array.
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  /// An object. Inlined, so that the literal itself is not allocated.
  @inline(__always)
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }
}

extension JSONValue {
  /// A size in bytes that fits most values.
  private static let expectedSize = 512

  /// The value as compact JSON text.
  public var text: String { String(expecting: Self.expectedSize) { write(to: &$0) } }

  /// The value as compact JSON text in UTF-8.
  public var bytes: [UInt8] { [UInt8](expecting: Self.expectedSize) { write(to: &$0) } }

  /// Appends the value as JSON text to `output`. NaN and infinity become `null`.
  public func write(to output: inout [UInt8]) { output.append(expecting: Self.expectedSize) { write(to: &$0) } }

  func write(to output: inout ByteWriter) {
    switch self {
    case .null: output.append("null")
    case .bool(let flag): output.append(flag ? "true" : "false")
    case .int(let number): output.append(decimal: number)
    case .double(let number): output.append(utf8: number.isFinite ? "\(number)" : "null")
    case .string(let text): output.append(json: text)
    case .array(let elements):
      output.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        element.write(to: &output)
      }
      output.append(UInt8(ascii: "]"))
    case .object(let members):
      output.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        output.append(json: member.name)
        output.append(UInt8(ascii: ":"))
        member.value.write(to: &output)
      }
      output.append(UInt8(ascii: "}"))
    }
  }
}

extension ByteWriter {
  /// Appends a JSON string with its quotes.
  mutating func append(json text: String) {
    append(UInt8(ascii: "\""))
    append(jsonEscaped: text)
    append(UInt8(ascii: "\""))
  }

  /// Appends the contents of a JSON string, escaped.
  mutating func append(jsonEscaped text: String) {
    let bytes = text.utf8.span
    var start = 0
    while let special = Self.firstSpecial(bytes, from: start) {
      append(bytes.extracting(start..<special))
      append(escapeFor: bytes[special])
      start = special + 1
    }
    append(bytes.extracting(start..<bytes.count))
  }

  /// Returns the index of the first byte from `start` on that must be escaped. Tests eight bytes at
  /// once: `x - 1` borrows into the top bit of a byte that is 0, and of few others.
  private static func firstSpecial(_ bytes: Span<UInt8>, from start: Int) -> Int? {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let raw = bytes.bytes
    var index = start
    while index < bytes.count {
      if index &+ 8 <= bytes.count {
        let word = raw.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
        let quotes = word ^ (ones &* 0x22)
        let backslashes = word ^ (ones &* 0x5C)
        let deletes = word ^ (ones &* 0x7F)
        let controls = (word &- (ones &* 0x20)) & ~word
        let others =
          ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes) | ((deletes &- ones) & ~deletes)
        if (controls | others) & (ones &* 0x80) == 0 {
          index &+= 8
          continue
        }
      }
      let byte = bytes[index]
      if byte < 0x20 || byte == 0x22 || byte == 0x5C || byte == 0x7F { return index }
      index &+= 1
    }
    return nil
  }

  private mutating func append(escapeFor byte: UInt8) {
    append(UInt8(ascii: "\\"))
    switch byte {
    case 0x22, 0x5C: append(byte)
    case 0x0A: append(UInt8(ascii: "n"))
    case 0x0D: append(UInt8(ascii: "r"))
    case 0x09: append(UInt8(ascii: "t"))
    default:
      append("u00")
      append(hex: CollectionOfOne(byte))
    }
  }
}
