extension String {
  /// Calls `body` with the text's bytes, where they are.
  func withUTF8Bytes<R>(_ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    if let result = utf8.withContiguousStorageIfAvailable(body) { return result }
    var native = self
    return native.withUTF8(body)
  }
}

extension [UInt8] {
  /// Appends a constant.
  mutating func append(_ text: StaticString) { text.withUTF8Buffer { append(contentsOf: $0) } }

  /// As bytes that lie in one piece, which a view of them is not known to do.
  mutating func append(utf8 text: String) { text.withUTF8Bytes { append(contentsOf: $0) } }

  /// Appends a number, with leading zeros up to `width` digits (20 at most).
  mutating func append(decimal number: Int64, width: Int = 1) {
    append(atMost: 21) { $0.append(decimal: number, width: width) }
  }

  /// Appends what `body` writes, which is at most `limit` bytes: many small pieces together.
  mutating func append(atMost limit: Int, _ body: (inout ByteWriter) -> Void) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: limit) { bytes in
      var writer = ByteWriter(bytes)
      body(&writer)
      append(contentsOf: writer.written)
    }
  }
}

/// Writes bytes one after the other to where there is room for all of them.
struct ByteWriter {
  private let bytes: UnsafeMutableBufferPointer<UInt8>
  private var count = 0

  init(_ bytes: UnsafeMutableBufferPointer<UInt8>) { self.bytes = bytes }

  var written: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(rebasing: bytes[..<count]) }

  mutating func append(_ part: UnsafeBufferPointer<UInt8>) {
    require(part.count <= bytes.count - count, "no room for \(part.count) bytes")
    guard let source = part.baseAddress else { return }
    (bytes.baseAddress! + count).update(from: source, count: part.count)
    count += part.count
  }

  mutating func append(_ text: StaticString) { text.withUTF8Buffer { append($0) } }

  mutating func append(utf8 text: String) { text.withUTF8Bytes { append($0) } }

  /// A number, with leading zeros up to `width` digits (20 at most).
  mutating func append(decimal number: Int64, width: Int = 1) {
    if number < 0 { append("-") }
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var rest = number.magnitude
      var first = 20
      repeat {
        first -= 1
        digits[first] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      } while rest > 0 || 20 - first < width
      append(UnsafeBufferPointer(rebasing: digits[first...]))
    }
  }
}
