import Environment

/// A value in a field table (AMQP 0-9-1 §4.2.5.5, with RabbitMQ's type letters).
///
/// Clients of both dialects are understood: the letters that they write differently (`l` and `L`)
/// have one meaning here.
public enum AMQPValue: Hashable, Sendable {
  case boolean(Bool)
  case int8(Int8)
  case uint8(UInt8)
  case int16(Int16)
  case uint16(UInt16)
  case int32(Int32)
  case uint32(UInt32)
  case int64(Int64)
  case float(UInt32)
  case double(UInt64)
  case decimal(scale: UInt8, value: Int32)
  case string([UInt8])
  case bytes([UInt8])
  case array([AMQPValue])
  case timestamp(UInt64)
  case table(AMQPTable)
  case void

  /// The string, if the value is one in UTF-8.
  public var text: String? {
    if case .string(let bytes) = self { String(utf8: bytes[...]) } else { nil }
  }

  /// The string for people, with U+FFFD in place of bytes that are not UTF-8.
  var shown: String? {
    if case .string(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
  }

  /// The integer, if the value is one of any width.
  public var int: Int64? {
    switch self {
    case .int8(let number): Int64(number)
    case .uint8(let number): Int64(number)
    case .int16(let number): Int64(number)
    case .uint16(let number): Int64(number)
    case .int32(let number): Int64(number)
    case .uint32(let number): Int64(number)
    case .int64(let number): number
    default: nil
    }
  }

  /// Whether the value is a string. It may have any bytes.
  var isString: Bool { if case .string = self { true } else { false } }

  /// The name of the type in RabbitMQ's error texts.
  var typeName: String {
    switch self {
    case .boolean: "bool"
    case .int8: "byte"
    case .uint8: "unsignedbyte"
    case .int16: "short"
    case .uint16: "unsignedshort"
    case .int32: "signedint"
    case .uint32: "unsignedint"
    case .int64: "long"
    case .float: "float"
    case .double: "double"
    case .decimal: "decimal"
    case .string: "longstr"
    case .bytes: "binary"
    case .array: "array"
    case .timestamp: "timestamp"
    case .table: "table"
    case .void: "void"
    }
  }

  /// Creates a string.
  public static func text(_ text: String) -> AMQPValue { .string(Array(text.utf8)) }
}

/// A field table, in the order of the wire. Names are compared by their bytes.
public struct AMQPTable: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  /// A name and its value.
  public struct Entry: Hashable, Sendable {
    /// At most 255 bytes.
    public let name: AMQPText
    /// The value of the name.
    public let value: AMQPValue

    init(name: AMQPText, value: AMQPValue) {
      self.name = name
      self.value = value
    }

    init(name: String, value: AMQPValue) { self.init(name: AMQPText(name), value: value) }
  }

  /// The entries in order. A name may occur more than once.
  public private(set) var entries: [Entry]

  /// Creates a table.
  public init(_ entries: [Entry] = []) { self.entries = entries }
  /// Creates a table of these names and values.
  public init(dictionaryLiteral elements: (String, AMQPValue)...) {
    entries = elements.map { Entry(name: $0.0, value: $0.1) }
  }

  /// The same entries, sorted by the bytes of their names.
  var sorted: AMQPTable { AMQPTable(entries.sorted { $0.name.precedes($1.name) }) }

  /// The first value of a name. Setting it replaces all values of the name; nil removes them.
  public subscript(name: String) -> AMQPValue? {
    get { entries.first { $0.name.isText(name) }?.value }
    set {
      entries.removeAll { $0.name.isText(name) }
      if let newValue { entries.append(Entry(name: name, value: newValue)) }
    }
  }
}

/// An error of the protocol, with its reply code (the constants in the specification's XML).
public struct AMQPError: Error, Hashable, Sendable {
  /// The reply code, for example 501 (frame error).
  public let code: UInt16
  /// The reply text. It begins with the name of the code.
  public let reason: String

  /// Creates an error.
  public init(_ code: UInt16, _ reason: String) {
    self.code = code
    self.reason = reason
  }

  static func syntax(_ reason: String) -> AMQPError { AMQPError(502, "SYNTAX_ERROR - \(reason)") }
  static func frame(_ reason: String) -> AMQPError { AMQPError(501, "FRAME_ERROR - \(reason)") }
}
