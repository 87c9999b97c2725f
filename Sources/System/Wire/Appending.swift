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
    if number < 0 { append(UInt8(ascii: "-")) }
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
      var rest = number.magnitude
      var first = 20
      repeat {
        first -= 1
        digits[first] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      } while rest > 0 || 20 - first < width
      append(contentsOf: UnsafeBufferPointer(rebasing: digits[first...]))
    }
  }
}
