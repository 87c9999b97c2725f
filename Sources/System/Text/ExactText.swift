extension String {
  /// Whether two strings have the same bytes.
  ///
  /// `==` compares what strings look like: it normalizes both, which takes quadratic time on a letter with many combining
  /// marks, and it calls some strings equal that differ. Compare text of a client's with this.
  @inline(__always)
  func hasSameBytes(as other: String) -> Bool {
    guard utf8.count == other.utf8.count else { return false }
    return withUTF8Bytes { own in
      other.withUTF8Bytes { own.elementsEqual($0) }
    }
  }
}

/// A string that is compared and hashed by its bytes, as a key for text of a client's. See `String.hasSameBytes(as:)`.
struct ExactText: Hashable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (a: ExactText, b: ExactText) -> Bool { a.text.hasSameBytes(as: b.text) }

  func hash(into hasher: inout Hasher) {
    text.withUTF8Bytes { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
