/// A name that a client gives for an account: an email if it has an `@`, else a username.
///
/// Names that differ only in case, or in how their letters are composed, are the same.
struct AccountName: Sendable {
  /// Longer names are nobody's. A username of 150 characters has at most 600 bytes, and at most twice as many scalars when it
  /// is decomposed; the bound is on what the client sends, before it is normalized.
  static let maximumBytes = 2048

  /// The form in which names are compared.
  let key: String
  /// The form in which earlier releases compared names: lower case. Nil where it is the same.
  let formerKey: String?
  let isEmail: Bool

  /// Reads a name; nil when it is longer than any name may be.
  init?(_ raw: String) {
    guard raw.utf8.count <= Self.maximumBytes else { return nil }
    if raw.isASCII {
      isEmail = raw.utf8.contains(UInt8(ascii: "@"))
      key = raw.lowercased()
      formerKey = nil
      return
    }
    let text = raw.normalized
    isEmail = text.utf8.contains(UInt8(ascii: "@"))
    key = isEmail ? Self.key(ofEmail: text) : text.caseFolded
    let former = text.lowercased().normalized
    formerKey = former.hasSameBytes(as: key) ? nil : former
  }

  /// The domain keeps letters that fold into others: `straße.example` and `strasse.example` are two domains (RFC 5892).
  private static func key(ofEmail text: String) -> String {
    let bytes = text.utf8
    let at = bytes.lastIndex(of: UInt8(ascii: "@"))!
    return String(text[..<at]).caseFolded + String(text[at...]).lowercased().normalized
  }
}
