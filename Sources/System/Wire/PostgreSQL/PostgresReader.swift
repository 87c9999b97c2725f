/// A violation of PostgreSQL's protocol by the peer. The connection is unusable after it.
public struct PostgresProtocolError: Error, Hashable, Sendable {
  /// What is wrong, in words.
  public let reason: String

  /// Creates an error.
  public init(_ reason: String) { self.reason = reason }
}

/// Reads the fields of a message (PostgreSQL 15 documentation, §55.7). Numbers are big-endian.
struct PostgresReader {
  private let bytes: ArraySlice<UInt8>
  private var position: Int

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    position = bytes.startIndex
  }

  /// The number of bytes that are not read yet.
  var left: Int { bytes.endIndex - position }

  mutating func number<N: FixedWidthInteger>(_ type: N.Type = N.self) throws(PostgresProtocolError) -> N {
    let size = N.bitWidth / 8
    guard left >= size else { throw PostgresProtocolError("a truncated number") }
    var value: N = 0
    for index in position..<position + size { value = value << 8 | N(truncatingIfNeeded: bytes[index]) }
    position += size
    return value
  }

  mutating func take(_ count: Int) throws(PostgresProtocolError) -> ArraySlice<UInt8> {
    guard count >= 0, left >= count else { throw PostgresProtocolError("a truncated field") }
    defer { position += count }
    return bytes[position..<position + count]
  }

  /// Takes everything that is left.
  mutating func rest() -> ArraySlice<UInt8> {
    defer { position = bytes.endIndex }
    return bytes[position...]
  }

  /// Reads bytes up to a zero byte, which is taken, too.
  mutating func terminated() throws(PostgresProtocolError) -> ArraySlice<UInt8> {
    guard let end = bytes[position...].firstIndex(of: 0) else {
      throw PostgresProtocolError("a text without its end")
    }
    defer { position = end + 1 }
    return bytes[position..<end]
  }

  mutating func text() throws(PostgresProtocolError) -> String {
    guard let text = String(utf8: try terminated()) else { throw PostgresProtocolError("a text that is not UTF-8") }
    return text
  }

  /// Reads a number of elements of at least `size` bytes each, so that a count cannot ask for more
  /// memory than the message has bytes.
  mutating func count<N: FixedWidthInteger>(_ type: N.Type, of size: Int) throws(PostgresProtocolError) -> Int {
    let count = Int(try number(type))
    guard count >= 0, count <= left / size else { throw PostgresProtocolError("a count of \(count)") }
    return count
  }

  /// Reads a length and a value of that many bytes; nil for the length -1, which is NULL.
  mutating func value() throws(PostgresProtocolError) -> [UInt8]? {
    let length = Int(try number(Int32.self))
    if length == -1 { return nil }
    return Array(try take(length))
  }

  mutating func numbers<N: FixedWidthInteger>(_ type: N.Type) throws(PostgresProtocolError) -> [N] {
    var numbers: [N] = []
    for _ in 0..<(try count(Int16.self, of: N.bitWidth / 8)) { numbers.append(try number(type)) }
    return numbers
  }

  /// Checks that nothing is left.
  func end() throws(PostgresProtocolError) {
    guard left == 0 else { throw PostgresProtocolError("\(left) bytes after the last field") }
  }
}

/// Writes messages. Numbers are big-endian.
struct PostgresWriter {
  private(set) var bytes: [UInt8] = []

  /// Creates a writer that continues `output`, which is empty until the caller takes `bytes` back.
  init(taking output: inout [UInt8]) { swap(&bytes, &output) }

  /// Writes one message: its type, its length, and the fields that `body` writes.
  static func message(_ type: Unicode.Scalar?, to output: inout [UInt8], _ body: (inout PostgresWriter) -> Void) {
    var writer = PostgresWriter(taking: &output)
    if let type { writer.bytes.append(UInt8(ascii: type)) }
    let place = writer.bytes.count
    writer.number(Int32(0))
    body(&writer)
    // The length counts itself.
    let length = Int32(writer.bytes.count - place)
    for index in 0..<4 { writer.bytes[place + index] = UInt8(truncatingIfNeeded: length >> (24 - 8 * Int32(index))) }
    output = writer.bytes
  }

  mutating func number<N: FixedWidthInteger>(_ value: N) {
    var shift = N.bitWidth
    while shift > 0 {
      shift -= 8
      bytes.append(UInt8(truncatingIfNeeded: value >> N(shift)))
    }
  }

  mutating func raw(_ more: some Collection<UInt8>) { bytes.append(contentsOf: more) }

  /// Writes a text and a zero byte. The text has no zero byte: callers check what they are given.
  mutating func text(_ text: String) {
    bytes.append(utf8: text)
    bytes.append(0)
  }

  mutating func numbers<N: FixedWidthInteger>(_ numbers: [N]) {
    number(Int16(numbers.count))
    for value in numbers { number(value) }
  }

  mutating func value(_ value: [UInt8]?) {
    guard let value else { return number(Int32(-1)) }
    number(Int32(value.count))
    raw(value)
  }
}
