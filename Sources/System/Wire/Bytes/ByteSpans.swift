extension Span<UInt8> {
  /// Whether all bytes of a range satisfy `test`.
  @inline(__always)
  func allSatisfy(in range: Range<Int>, _ test: (UInt8) -> Bool) -> Bool {
    for index in range where !test(self[index]) { return false }
    return true
  }

  /// The index of the first byte of a range that satisfies `test`.
  @inline(__always)
  func firstIndex(in range: Range<Int>, where test: (UInt8) -> Bool) -> Int? {
    for index in range where test(self[index]) { return index }
    return nil
  }

  /// Whether a range begins with a constant.
  func starts(_ range: Range<Int>, with text: StaticString) -> Bool {
    guard range.count >= text.utf8CodeUnitCount else { return false }
    let expected = text.utf8Start
    for offset in 0..<text.utf8CodeUnitCount where self[range.lowerBound + offset] != expected[offset] { return false }
    return true
  }

  /// The text of a range. Invalid UTF-8 is replaced.
  func text(_ range: Range<Int>) -> String {
    extracting(range).withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
  }
}
