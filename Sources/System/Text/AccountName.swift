/// The name of an account in a request: an email if it has an `@`, else a username.
///
/// Names that differ only in case or in the composition of letters are equal.
struct AccountName: Sendable {
  /// The maximum length of a name in a request, before it is normalized. A username of 150
  /// characters has at most 600 bytes, and at most twice as many scalars when it is decomposed.
  static let maximumBytes = 2048

  /// The form in which names are compared.
  let key: String
  /// The form in which earlier releases compared names: lower case. Nil if it equals `key`.
  let formerKey: String?
  let isEmail: Bool

  /// Reads a name; nil if it is too long.
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

  /// Folds the local part, and lowers the domain: `straße.example` and `strasse.example` are two
  /// domains (RFC 5892).
  private static func key(ofEmail text: String) -> String {
    let bytes = text.utf8
    let at = bytes.lastIndex(of: UInt8(ascii: "@"))!
    return String(text[..<at]).caseFolded + String(text[at...]).lowercased().normalized
  }
}
