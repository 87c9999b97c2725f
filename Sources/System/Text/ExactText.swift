extension String {
  /// Returns whether two strings have the same bytes.
  ///
  /// `==` compares canonical equivalence. That takes quadratic time on a letter with many combining
  /// marks, and strings with different bytes may be equal. Compare text from clients with this
  /// method.
  func hasSameBytes(as other: String) -> Bool {
    guard utf8.count == other.utf8.count else { return false }
    return withUTF8Bytes { own in
      other.withUTF8Bytes { own.elementsEqual($0) }
    }
  }
}

/// A string that is compared and hashed by its bytes, for keys from clients. See
/// `String.hasSameBytes(as:)`.
struct ExactText: Hashable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (a: ExactText, b: ExactText) -> Bool { a.text.hasSameBytes(as: b.text) }

  func hash(into hasher: inout Hasher) {
    text.withUTF8Bytes { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
