import Environment

extension String {
  /// Makes the text that `body` writes in UTF-8. `expected` is its approximate length in bytes.
  @inline(never)
  init(expecting expected: Int, _ body: (inout ByteWriter) -> Void) {
    self = withByteWriter(expecting: expected) { writer in
      body(&writer)
      return String(decoding: writer.written, as: UTF8.self)
    }
  }
}

extension [UInt8] {
  /// Appends bytes of a connection to those that a parser has not taken yet, which begin at
  /// `start`. Removes taken bytes when none or many are left, so that a parser takes linear time.
  mutating func receive(_ bytes: [UInt8], after start: inout Int) {
    if start == count {
      self = bytes
      start = 0
      return
    }
    if start > 65_536 {
      removeFirst(start)
      start = 0
    }
    self += bytes
  }

  /// Appends a constant.
  mutating func append(_ text: StaticString) { text.withUTF8Buffer { append(contentsOf: $0) } }

  /// Appends the UTF-8 bytes of a text in one piece.
  mutating func append(utf8 text: String) { append(contentsOf: text.utf8) }

  /// Appends a number in decimal digits.
  mutating func append(decimal number: Int64) { append(expecting: 20) { $0.append(decimal: number) } }

  /// Appends the bytes that `body` writes. `expected` is their approximate number.
  @inline(never)
  mutating func append(expecting expected: Int, _ body: (inout ByteWriter) -> Void) {
    withByteWriter(expecting: expected) { writer in
      body(&writer)
      append(contentsOf: writer.written)
    }
  }

  /// Makes the bytes that `body` writes. `expected` is their approximate number.
  @inline(never)
  init(expecting expected: Int, _ body: (inout ByteWriter) -> Void) {
    self = withByteWriter(expecting: expected) { writer in
      body(&writer)
      return Array(writer.written)
    }
  }
}

/// Calls `body` with a writer that has room for `expected` bytes on the stack. Its callers are not
/// inlined into asynchronous functions: the room would become part of the task, a kilobyte for each
/// idle connection.
func withByteWriter<R>(expecting expected: Int, _ body: (inout ByteWriter) -> R) -> R {
  withUnsafeTemporaryAllocation(of: UInt8.self, capacity: expected) { bytes in
    var writer = ByteWriter(bytes)
    return body(&writer)
  }
}

/// Writes bytes to a buffer that it borrows, and to memory of its own when that is full. A small
/// piece costs a few instructions; an array would check for uniqueness with each.
struct ByteWriter: ~Copyable {
  private var bytes: UnsafeMutablePointer<UInt8>
  private var room: Int
  private(set) var count = 0
  private var ownsBytes = false

  fileprivate init(_ lent: UnsafeMutableBufferPointer<UInt8>) {
    // An empty buffer may have no address.
    bytes = lent.baseAddress!
    room = lent.count
  }

  deinit { if ownsBytes { bytes.deallocate() } }

  /// The bytes so far; valid until the next write.
  var written: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: bytes, count: count) }

  /// Returns the address of the next `more` bytes.
  @inline(__always)
  private mutating func next(_ more: Int) -> UnsafeMutablePointer<UInt8> {
    if room - count < more { grow(more) }
    return bytes + count
  }

  @inline(never)
  private mutating func grow(_ more: Int) {
    room = max(2 * room, count + more)
    let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: room)
    larger.initialize(from: bytes, count: count)
    if ownsBytes { bytes.deallocate() }
    bytes = larger
    ownsBytes = true
  }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    next(1).pointee = byte
    count += 1
  }

  mutating func append(_ part: Span<UInt8>) {
    part.withUnsafeBufferPointer { part in
      guard let source = part.baseAddress else { return }
      next(part.count).update(from: source, count: part.count)
      count += part.count
    }
  }

  @inline(__always)
  mutating func append(_ text: StaticString) { text.withUTF8Buffer { append($0.span) } }

  mutating func append(utf8 text: String) { append(text.utf8.span) }

  /// Appends at most `limit` bytes. `body` writes them and returns their number.
  @inline(__always)
  mutating func append(atMost limit: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int) {
    let written = body(next(limit))
    require(written <= limit, "wrote \(written) bytes to room for \(limit)")
    count += written
  }

  /// Appends a number, with leading zeros up to `width` digits (at most 20).
  mutating func append(decimal number: Int64, width: Int = 1) {
    if number < 0 { append(UInt8(ascii: "-")) }
    let magnitude = number.magnitude
    var digits = 1
    var bound: UInt64 = 10
    // An `Int64` has at most 19 digits, and 10^19 fits a `UInt64`.
    while digits < 19, magnitude >= bound {
      digits += 1
      bound &*= 10
    }
    digits = max(digits, width)
    append(atMost: 20) { place in
      var rest = magnitude
      for index in (0..<digits).reversed() {
        place[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      }
      return digits
    }
  }

  /// Appends two lower-case hexadecimal digits for each byte.
  mutating func append(hex part: some Collection<UInt8>) {
    if part.withContiguousStorageIfAvailable({ append(hexOf: $0.span) }) == nil { append(hexOf: Array(part).span) }
  }

  private mutating func append(hexOf part: Span<UInt8>) {
    append(atMost: 2 * part.count) { place in
      for index in part.indices {
        place[2 * index] = Hex.digit(part[index] >> 4)
        place[2 * index + 1] = Hex.digit(part[index] & 15)
      }
      return 2 * part.count
    }
  }
}
