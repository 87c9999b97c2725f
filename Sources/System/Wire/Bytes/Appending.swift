import Environment

extension String {
  /// Calls `body` with the text's bytes, where they are.
  @inline(__always)
  func withUTF8Bytes<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    if let result = utf8.withContiguousStorageIfAvailable(body) { return result }
    var native = self
    return native.withUTF8(body)
  }

  /// The text that `body` writes in UTF-8, in about `expected` bytes.
  @inline(never)
  init(expecting expected: Int, _ body: (inout ByteWriter) -> Void) {
    self = withByteWriter(expecting: expected) { writer in
      body(&writer)
      return String(decoding: writer.written, as: UTF8.self)
    }
  }
}

extension [UInt8] {
  /// Appends a constant.
  mutating func append(_ text: StaticString) { text.withUTF8Buffer { append(contentsOf: $0) } }

  /// As bytes that lie in one piece, which a view of them is not known to do.
  mutating func append(utf8 text: String) { text.withUTF8Bytes { append(contentsOf: $0) } }

  /// Appends a number.
  mutating func append(decimal number: Int64) { append(expecting: 20) { $0.append(decimal: number) } }

  /// Appends what `body` writes, in about `expected` bytes: many small pieces together.
  @inline(never)
  mutating func append(expecting expected: Int, _ body: (inout ByteWriter) -> Void) {
    withByteWriter(expecting: expected) { writer in
      body(&writer)
      append(contentsOf: writer.written)
    }
  }

  /// The bytes that `body` writes, in about `expected`.
  @inline(never)
  init(expecting expected: Int, _ body: (inout ByteWriter) -> Void) {
    self = withByteWriter(expecting: expected) { writer in
      body(&writer)
      return Array(writer.written)
    }
  }
}

/// Calls `body` with a writer that needs no memory for `expected` bytes: they are on the stack. Its callers are not inlined into what
/// waits, where they would be the task's, which keeps them: a kilobyte for each idle connection.
func withByteWriter<R>(expecting expected: Int, _ body: (inout ByteWriter) -> R) -> R {
  withUnsafeTemporaryAllocation(of: UInt8.self, capacity: expected) { bytes in
    var writer = ByteWriter(bytes)
    return body(&writer)
  }
}

/// Writes bytes one after the other: to room that it is lent, and what that does not hold to memory of its own. A small piece
/// costs a few instructions, where an array asks with each whether it is shared.
struct ByteWriter: ~Copyable {
  private var bytes: UnsafeMutablePointer<UInt8>
  private var room: Int
  private(set) var count = 0
  private var ownsBytes = false

  fileprivate init(_ lent: UnsafeMutableBufferPointer<UInt8>) {
    // There is always an address, even of no bytes.
    bytes = lent.baseAddress!
    room = lent.count
  }

  deinit { if ownsBytes { bytes.deallocate() } }

  /// What was written, until more is.
  var written: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: bytes, count: count) }

  /// Where the next `more` bytes go.
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

  mutating func append(_ part: UnsafeBufferPointer<UInt8>) {
    guard let source = part.baseAddress else { return }
    next(part.count).update(from: source, count: part.count)
    count += part.count
  }

  @inline(__always)
  mutating func append(_ text: StaticString) {
    append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func append(utf8 text: String) { text.withUTF8Bytes { append($0) } }

  /// Appends what `body` writes to room for `limit` bytes; it returns how many.
  @inline(__always)
  mutating func append(atMost limit: Int, _ body: (UnsafeMutablePointer<UInt8>) -> Int) {
    let written = body(next(limit))
    require(written <= limit, "wrote \(written) bytes to room for \(limit)")
    count += written
  }

  /// A number, with leading zeros up to `width` digits (20 at most).
  mutating func append(decimal number: Int64, width: Int = 1) {
    if number < 0 { append(UInt8(ascii: "-")) }
    let magnitude = number.magnitude
    var digits = 1
    var bound: UInt64 = 10
    // No `Int64` has more than nineteen digits, and ten to their power is a `UInt64` still.
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

  /// Two hexadecimal digits, in lower case, for each byte.
  mutating func append(hex part: some Collection<UInt8>) {
    if part.withContiguousStorageIfAvailable({ append(hexOf: $0) }) == nil {
      Array(part).withUnsafeBufferPointer { append(hexOf: $0) }
    }
  }

  private mutating func append(hexOf part: UnsafeBufferPointer<UInt8>) {
    append(atMost: 2 * part.count) { place in
      for (index, byte) in part.enumerated() {
        place[2 * index] = Hex.digit(byte >> 4)
        place[2 * index + 1] = Hex.digit(byte & 15)
      }
      return 2 * part.count
    }
  }
}
