import Environment

/// A value of a parameter or a column, in the types that Parley uses.
public enum PostgresValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// `int2`, `int4` or `int8`.
  case int(Int64)
  /// `text`, `varchar`, `name` and `bpchar`, and the text form of any other type.
  case text(String)
  /// `bytea`.
  case bytes([UInt8])
  /// The 16 bytes of a `uuid`.
  case uuid([UInt8])
  /// `timestamptz`, or `timestamp` in UTC.
  case time(Timestamp)
  /// `infinity` of either type of times, or with a minus `-infinity`.
  case endOfTime(isPositive: Bool)

  /// Microseconds from 1970-01-01 to 2000-01-01, the origin of PostgreSQL's times.
  private static let origin: Int64 = 946_684_800_000_000

  /// The format in which this program asks for values of a type: binary where it reads that form,
  /// otherwise text.
  public static func format(of type: PostgresType) -> PostgresFormat {
    switch type {
    case .bool, .bytea, .int2, .int4, .int8, .text, .varchar, .bpchar, .name, .uuid, .timestamp, .timestamptz: .binary
    default: .text
    }
  }

  /// Writes a value for a parameter of a type. Nil as bytes stands for NULL.
  ///
  /// The server converts the text form to any type, and refuses what it cannot convert (22P02).
  public func encoded(as type: PostgresType) -> (format: PostgresFormat, bytes: [UInt8]?) {
    switch (self, type) {
    case (.null, _): (.text, nil)
    case (.bool(let flag), .bool): (.binary, [flag ? 1 : 0])
    case (.bool(let flag), _): (.text, Array((flag ? "t" : "f").utf8))
    case (.int(let number), .int8): (.binary, Self.bigEndian(number))
    case (.int(let number), _): (.text, Array("\(number)".utf8))
    // The text form of bytes gives a meaning to backslashes.
    case (.text(let text), .bytea): (.binary, Array(text.utf8))
    case (.text(let text), _): (.text, Array(text.utf8))
    case (.bytes(let bytes), .bytea), (.uuid(let bytes), .uuid): (.binary, bytes)
    case (.bytes(let bytes), _): (.text, Array("\\x".utf8) + Array(Hex.encode(bytes).utf8))
    case (.uuid(let bytes), _): (.text, Array(Hex.encode(bytes).utf8))
    case (.time(let time), .timestamp), (.time(let time), .timestamptz):
      (.binary, Self.bigEndian(time.microseconds &- Self.origin))
    case (.time(let time), _): (.text, Array(time.rfc3339.utf8))
    case (.endOfTime(let isPositive), _): (.text, Array((isPositive ? "infinity" : "-infinity").utf8))
    }
  }

  /// Reads a value of a column. Values of unknown types are read as text if their form is text.
  /// - Throws: `PostgresProtocolError` if the bytes are not of the type.
  public init(
    decoding bytes: ArraySlice<UInt8>?, as type: PostgresType, _ format: PostgresFormat
  ) throws(PostgresProtocolError) {
    guard let bytes else {
      self = .null
      return
    }
    switch format {
    case .binary: self = try Self.binary(bytes, type)
    case .text: self = try Self.text(bytes, type)
    }
  }

  private static func binary(_ bytes: ArraySlice<UInt8>, _ type: PostgresType) throws(PostgresProtocolError) -> Self {
    var reader = PostgresReader(bytes)
    let value: Self
    switch type {
    case .bool:
      let byte = try reader.number(UInt8.self)
      guard byte < 2 else { throw PostgresProtocolError("a boolean of \(byte)") }
      value = .bool(byte == 1)
    case .int2: value = .int(Int64(try reader.number(Int16.self)))
    case .int4: value = .int(Int64(try reader.number(Int32.self)))
    case .int8: value = .int(try reader.number(Int64.self))
    case .text, .varchar, .bpchar, .name: return .text(try utf8(reader.rest()))
    case .bytea: return .bytes(Array(reader.rest()))
    case .uuid: value = .uuid(Array(try reader.take(16)))
    case .timestamp, .timestamptz:
      let raw = try reader.number(Int64.self)
      switch raw {
      case .max: value = .endOfTime(isPositive: true)
      case .min: value = .endOfTime(isPositive: false)
      default:
        let (microseconds, overflow) = raw.addingReportingOverflow(origin)
        guard !overflow else { throw PostgresProtocolError("a time that is out of range") }
        value = .time(Timestamp(microseconds: microseconds))
      }
    default: throw PostgresProtocolError("a binary value of the type \(type.oid)")
    }
    try reader.end()
    return value
  }

  private static func text(_ bytes: ArraySlice<UInt8>, _ type: PostgresType) throws(PostgresProtocolError) -> Self {
    let text = try utf8(bytes)
    switch type {
    case .bool:
      guard text == "t" || text == "f" else { throw PostgresProtocolError("an invalid boolean") }
      return .bool(text == "t")
    case .int2, .int4, .int8:
      guard let number = Int64(text) else { throw PostgresProtocolError("an invalid number") }
      return .int(number)
    case .bytea:
      // The other form, `escape`, is of no use since PostgreSQL 9.0.
      guard bytes.starts(with: "\\x".utf8), let raw = Hex.decode(bytes.dropFirst(2)) else {
        throw PostgresProtocolError("an invalid bytea")
      }
      return .bytes(raw)
    case .uuid:
      let digits = bytes.filter { $0 != UInt8(ascii: "-") }
      guard digits.count == 32, bytes.count == 36, let raw = Hex.decode(digits) else {
        throw PostgresProtocolError("an invalid uuid")
      }
      return .uuid(raw)
    default: return .text(text)
    }
  }

  private static func utf8(_ bytes: ArraySlice<UInt8>) throws(PostgresProtocolError) -> String {
    guard let text = String(utf8: bytes) else { throw PostgresProtocolError("a text that is not UTF-8") }
    return text
  }

  private static func bigEndian(_ number: Int64) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * Int64($0))) }
  }
}
