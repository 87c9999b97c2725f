extension String {
  /// Returns whether two strings have the same bytes.
  ///
  /// `==` compares canonical equivalence. That takes quadratic time on a letter with many combining
  /// marks, and strings with different bytes may be equal. Compare text from clients with this
  /// method.
  func hasSameBytes(as other: String) -> Bool {
    // Most texts that are compared differ in length, which a string knows.
    guard utf8.count == other.utf8.count else { return false }
    let (own, others) = (utf8.span, other.utf8.span)
    for index in own.indices where own[index] != others[index] { return false }
    return true
  }
}

/// A string that is compared and hashed by its bytes, for keys from clients. See
/// `String.hasSameBytes(as:)`.
struct ExactText: Hashable, Sendable {
  let text: String

  init(_ text: String) { self.text = text }

  static func == (a: ExactText, b: ExactText) -> Bool { a.text.hasSameBytes(as: b.text) }

  func hash(into hasher: inout Hasher) {
    text.utf8.span.withUnsafeBytes { hasher.combine(bytes: $0) }
  }
}
