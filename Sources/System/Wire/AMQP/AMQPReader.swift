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

  /// Checks that nothing follows the properties.
  func end() throws(AMQPError) {
    guard isAtEnd else { throw .syntax("a header is longer than its properties") }
  }

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
    guard let text = String(utf8: try shortBytes()) else { throw .frame("a short string that is not UTF-8") }
    return text
  }

  /// Reads a short string of any bytes.
  mutating func text() throws(AMQPError) -> AMQPText { AMQPText(bytes: try shortBytes()) }

  /// Reads the bytes of a short string.
  mutating func shortBytes() throws(AMQPError) -> ArraySlice<UInt8> {
    let size = Int(try octet())
    return try take(size)
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

  // MARK: Fields that nobody reads

  private mutating func skip(_ count: Int) throws(AMQPError) {
    guard bytes.endIndex - position >= count else { throw .syntax("a truncated field") }
    position += count
  }

  mutating func skipShortString() throws(AMQPError) {
    let size = Int(try octet())
    try skip(size)
  }

  /// Checks a table as `table` does, and makes no values. Returns whether an entry of the table
  /// itself has one of the names.
  mutating func skipTable(lookingFor names: [StaticString] = []) throws(AMQPError) -> Bool {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else { throw .syntax("tables nested too deeply") }
    let size = Int(try long())
    let end = try end(size)
    var isFound = false
    while position < end {
      let start = position
      try skipShortString()
      if !isFound { isFound = names.contains { has($0, from: start + 1) } }
      try skipValue()
    }
    guard position == end else { throw .syntax("a table with a wrong size") }
    return isFound
  }

  /// Whether the bytes from a place up to the position are those of a name.
  private func has(_ name: StaticString, from start: Int) -> Bool {
    name.withUTF8Buffer { text in
      text.count == position - start && text.indices.allSatisfy { text[$0] == bytes[start + $0] }
    }
  }

  private mutating func skipArray() throws(AMQPError) {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maximumDepth else { throw .syntax("arrays nested too deeply") }
    let size = Int(try long())
    let end = try end(size)
    while position < end { try skipValue() }
    guard position == end else { throw .syntax("an array with a wrong size") }
  }

  private mutating func skipValue() throws(AMQPError) {
    switch try octet() {
    case UInt8(ascii: "t"), UInt8(ascii: "b"), UInt8(ascii: "B"): try skip(1)
    case UInt8(ascii: "s"), UInt8(ascii: "u"): try skip(2)
    case UInt8(ascii: "I"), UInt8(ascii: "i"), UInt8(ascii: "f"): try skip(4)
    case UInt8(ascii: "l"), UInt8(ascii: "L"), UInt8(ascii: "d"), UInt8(ascii: "T"): try skip(8)
    case UInt8(ascii: "D"): try skip(5)
    case UInt8(ascii: "S"), UInt8(ascii: "x"):
      let size = Int(try long())
      try skip(size)
    case UInt8(ascii: "A"): try skipArray()
    case UInt8(ascii: "F"): _ = try skipTable()
    case UInt8(ascii: "V"): break
    case let type: throw .syntax("unknown field type \(type)")
    }
  }
}
