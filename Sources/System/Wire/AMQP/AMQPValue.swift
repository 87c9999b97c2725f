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

/// Reads the fields of a method or a content header from its payload.
struct AMQPReader {
  /// Levels of tables and arrays. Deeper values are refused, since each level is a call.
  static let maximumDepth = 16

  private let bytes: ArraySlice<UInt8>
  private var position: Int
  private var bits: (octet: UInt8, next: UInt8)?
  private var depth = 0

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  var rest: ArraySlice<UInt8> { bytes[position...] }
  var isAtEnd: Bool { position == bytes.endIndex }

  private mutating func number<N: FixedWidthInteger & UnsignedInteger>(_ type: N.Type) throws(AMQPError) -> N {
    bits = nil
    let size = N.bitWidth / 8
    guard bytes.endIndex - position >= size else { throw .syntax("a truncated field") }
    var value: N = 0
    for index in position..<position + size { value = value << 8 | N(truncatingIfNeeded: bytes[index]) }
    position += size
    return value
  }

  mutating func octet() throws(AMQPError) -> UInt8 { try number(UInt8.self) }
  mutating func short() throws(AMQPError) -> UInt16 { try number(UInt16.self) }
  mutating func long() throws(AMQPError) -> UInt32 { try number(UInt32.self) }
  mutating func longLong() throws(AMQPError) -> UInt64 { try number(UInt64.self) }

  /// Reads a bit. Consecutive bits share octets, from the lowest place on (§4.2.5.2).
  mutating func bit() throws(AMQPError) -> Bool {
    if bits == nil || bits!.next == 8 { bits = (try number(UInt8.self), 0) }
    let value = bits!.octet >> bits!.next & 1 == 1
    bits!.next += 1
    return value
  }

  private mutating func take(_ count: Int) throws(AMQPError) -> ArraySlice<UInt8> {
    guard bytes.endIndex - position >= count else { throw .syntax("a truncated field") }
    defer { position += count }
    return bytes[position..<position + count]
  }

  mutating func shortString() throws(AMQPError) -> String {
    let size = Int(try octet())
    let raw = try take(size)
    guard let text = String(utf8: raw) else { throw .frame("a short string that is not UTF-8") }
    return text
  }

  /// Reads a short string of any bytes.
  mutating func text() throws(AMQPError) -> AMQPText {
    let size = Int(try octet())
    return AMQPText(bytes: try take(size))
  }

  mutating func longString() throws(AMQPError) -> [UInt8] {
    let size = Int(try long())
    return Array(try take(size))
  }

  mutating func table() throws(AMQPError) -> AMQPTable {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else { throw .syntax("tables nested too deeply") }
    let size = Int(try long())
    let end = try end(size)
    var entries: [AMQPTable.Entry] = []
    while position < end {
      let name = try text()
      entries.append(AMQPTable.Entry(name: name, value: try value()))
    }
    guard position == end else { throw .syntax("a table with a wrong size") }
    return AMQPTable(entries)
  }

  private func end(_ size: Int) throws(AMQPError) -> Int {
    guard bytes.endIndex - position >= size else { throw .syntax("a truncated table or array") }
    return position + size
  }

  private mutating func array() throws(AMQPError) -> [AMQPValue] {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else { throw .syntax("arrays nested too deeply") }
    let size = Int(try long())
    let end = try end(size)
    var values: [AMQPValue] = []
    while position < end { values.append(try value()) }
    guard position == end else { throw .syntax("an array with a wrong size") }
    return values
  }

  private mutating func value() throws(AMQPError) -> AMQPValue {
    switch try octet() {
    case UInt8(ascii: "t"): return .boolean(try octet() != 0)
    case UInt8(ascii: "b"): return .int8(Int8(bitPattern: try octet()))
    case UInt8(ascii: "B"): return .uint8(try octet())
    case UInt8(ascii: "s"): return .int16(Int16(bitPattern: try short()))
    case UInt8(ascii: "u"): return .uint16(try short())
    case UInt8(ascii: "I"): return .int32(Int32(bitPattern: try long()))
    case UInt8(ascii: "i"): return .uint32(try long())
    // py-amqp writes `L` for the same type, as the specification's grammar has it. RabbitMQ reads
    // both.
    case UInt8(ascii: "l"), UInt8(ascii: "L"): return .int64(Int64(bitPattern: try longLong()))
    case UInt8(ascii: "f"): return .float(try long())
    case UInt8(ascii: "d"): return .double(try longLong())
    case UInt8(ascii: "D"):
      let scale = try octet()
      return .decimal(scale: scale, value: Int32(bitPattern: try long()))
    case UInt8(ascii: "S"): return .string(try longString())
    case UInt8(ascii: "x"): return .bytes(try longString())
    case UInt8(ascii: "A"): return .array(try array())
    case UInt8(ascii: "T"): return .timestamp(try longLong())
    case UInt8(ascii: "F"): return .table(try table())
    case UInt8(ascii: "V"): return .void
    case let type: throw .syntax("unknown field type \(type)")
    }
  }
}

/// Writes the fields of a method or a content header.
struct AMQPWriter {
  /// The longest short string, in bytes. Its length is one octet (§4.2.5.3).
  static let maximumShortString = 255

  private(set) var bytes: [UInt8] = []
  private var bit: UInt8 = 8

  /// Creates a writer with room for a usual header.
  init() { bytes.reserveCapacity(96) }

  /// Creates a writer that continues `output`, which is empty until the caller takes `bytes` back.
  init(taking output: inout [UInt8]) {
    // Room for a small message, so that the array does not grow with each of its frames.
    if output.isEmpty { output.reserveCapacity(256) }
    swap(&bytes, &output)
  }

  mutating func number<N: FixedWidthInteger>(_ value: N) {
    bit = 8
    var shift = N.bitWidth
    while shift > 0 {
      shift -= 8
      bytes.append(UInt8(truncatingIfNeeded: value >> N(shift)))
    }
  }

  /// Overwrites a number that was written at `place`.
  mutating func overwrite<N: FixedWidthInteger>(_ value: N, at place: Int) {
    for index in 0..<N.bitWidth / 8 {
      bytes[place + index] = UInt8(truncatingIfNeeded: value >> N(N.bitWidth - 8 - 8 * index))
    }
  }

  /// Writes the size of what `body` writes, then that.
  mutating func sized(_ body: (inout AMQPWriter) -> Void) {
    let place = bytes.count
    number(UInt32(0))
    body(&self)
    overwrite(UInt32(bytes.count - place - 4), at: place)
    bit = 8
  }

  /// Writes the class id and the method id.
  mutating func method(_ classID: UInt16, _ id: UInt16) {
    number(classID)
    number(id)
  }

  mutating func flag(_ value: Bool) {
    if bit == 8 {
      bytes.append(0)
      bit = 0
    }
    if value { bytes[bytes.count - 1] |= 1 << bit }
    bit += 1
  }

  /// Writes a name or a property of at most 255 bytes. Longer ones are refused at the doors: by
  /// readers, `AMQPMessage.checkFraming` and `QueueRules`, and when rows are read back.
  mutating func shortString(_ text: String) {
    require(text.utf8.count <= Self.maximumShortString, "a short string of \(text.utf8.count) bytes")
    number(UInt8(text.utf8.count))
    bytes.append(utf8: text)
  }

  /// Writes a short string of any bytes. Its length has the same doors.
  mutating func text(_ text: AMQPText) {
    require(text.count <= Self.maximumShortString, "a short string of \(text.count) bytes")
    number(UInt8(text.count))
    text.append(to: &bytes)
  }

  /// Writes the text of an error. A text that quotes a long name is shortened, at the end of a
  /// character.
  mutating func replyText(_ text: String) {
    guard text.utf8.count > Self.maximumShortString else { return shortString(text) }
    let mark = "…"
    var short = ""
    var count = mark.utf8.count
    for scalar in text.unicodeScalars {
      count += UTF8.width(scalar)
      guard count <= Self.maximumShortString else { break }
      short.unicodeScalars.append(scalar)
    }
    shortString(short + mark)
  }

  mutating func longString(_ raw: [UInt8]) {
    number(UInt32(raw.count))
    bytes.append(contentsOf: raw)
  }

  mutating func table(_ table: AMQPTable) {
    sized { writer in
      for entry in table.entries {
        writer.text(entry.name)
        writer.value(entry.value)
      }
    }
  }

  mutating func raw(_ more: some Collection<UInt8>) {
    bit = 8
    bytes.append(contentsOf: more)
  }

  private mutating func value(_ value: AMQPValue) {
    func type(_ letter: Unicode.Scalar) { bytes.append(UInt8(ascii: letter)) }
    switch value {
    case .boolean(let flag): type("t"); number(flag ? UInt8(1) : 0)
    case .int8(let number): type("b"); self.number(number)
    case .uint8(let number): type("B"); self.number(number)
    case .int16(let number): type("s"); self.number(number)
    case .uint16(let number): type("u"); self.number(number)
    case .int32(let number): type("I"); self.number(number)
    case .uint32(let number): type("i"); self.number(number)
    case .int64(let number): type("l"); self.number(number)
    case .float(let raw): type("f"); number(raw)
    case .double(let raw): type("d"); number(raw)
    case .decimal(let scale, let raw): type("D"); number(scale); number(raw)
    case .string(let raw): type("S"); longString(raw)
    case .bytes(let raw): type("x"); longString(raw)
    case .array(let values):
      type("A")
      sized { writer in for value in values { writer.value(value) } }
    case .timestamp(let seconds): type("T"); number(seconds)
    case .table(let table): type("F"); self.table(table)
    case .void: type("V")
    }
  }
}
