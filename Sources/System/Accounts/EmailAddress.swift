/// An email address that the seed's `EmailStr` accepts (pydantic with email-validator 2, without a
/// DNS query).
///
/// The local part is a dot-atom of ASCII `atext` or of letters and digits beyond ASCII (RFC 5322
/// §3.2.3, RFC 6531). The domain has at least two labels, at most 253 bytes, and no top-level
/// domain of special use (RFC 6761). A display name (`Ann <ann@example.com>`) and white space
/// around the address are removed, as pydantic does. Labels beyond ASCII are kept in lower case and
/// NFC, without the mapping tables of UTS 46.
struct EmailAddress: Hashable, Sendable {
  /// The address as it is stored and shown, with the domain in lower case.
  let text: String
  /// The key of its `AccountName`, which is unique.
  let key: String

  struct Invalid: Error {
    let reason: String
  }

  /// Makes the unique address of an account that was registered without one. No mail reaches it
  /// (RFC 6761 §6.4).
  init(placeholderFor user: String) {
    text = user + "@chat.invalid"
    key = text
  }

  init(parsing raw: String) throws(Invalid) {
    guard raw.utf8.count <= AccountName.maximumBytes else { throw Invalid(reason: "must have at most 254 bytes") }
    guard raw.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
      throw Invalid(reason: "must not hold control characters")
    }
    let address = try Self.withoutDisplayName(raw.trimmed)
    guard let at = address.lastIndex(of: "@") else { throw Invalid(reason: "must hold an @") }
    let local = String(address[..<at]).normalized
    let domain = String(address[address.index(after: at)...]).normalized.lowercased()
    try Self.check(local: local)
    try Self.check(domain: domain)
    text = local + "@" + domain
    guard text.utf8.count <= 254 else { throw Invalid(reason: "must have at most 254 bytes") }
    guard let name = AccountName(text) else { throw Invalid(reason: "must have at most 254 bytes") }
    key = name.key
  }

  private static func withoutDisplayName(_ text: String) throws(Invalid) -> String {
    guard text.hasSuffix(">"), let open = text.lastIndex(of: "<") else { return text }
    let name = String(text[..<open]).trimmed
    let isQuoted = name.count > 2 && name.hasPrefix("\"") && name.hasSuffix("\"")
    let isPlain = name.unicodeScalars.allSatisfy {
      $0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == " "
        || "!#$%&'*+-/=?^_`{|}~".unicodeScalars.contains($0)
    }
    guard isQuoted || isPlain else { throw Invalid(reason: "has a display name that is not words") }
    return String(text[text.index(after: open)...].dropLast())
  }

  private static func check(local: String) throws(Invalid) {
    guard !local.isEmpty else { throw Invalid(reason: "must have something before the @") }
    for atom in local.split(separator: ".", omittingEmptySubsequences: false) {
      guard !atom.isEmpty else { throw Invalid(reason: "has a dot at an end, or two in a row, before the @") }
      guard atom.unicodeScalars.allSatisfy({ isAtomText($0) }), let first = atom.unicodeScalars.first, !first.isMark
      else {
        throw Invalid(reason: "has a character before the @ that is not allowed there")
      }
    }
  }

  private static func isAtomText(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII {
      let byte = UInt8(scalar.value)
      return byte.isDigit || byte.isLetter || "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
    }
    return scalar.properties.isAlphabetic || scalar.properties.numericType != nil || scalar.isMark || scalar.isSymbol
  }

  private static func check(domain: String) throws(Invalid) {
    guard domain.utf8.count <= 253 else { throw Invalid(reason: "has a domain of more than 253 bytes") }
    let labels = domain.split(separator: ".", omittingEmptySubsequences: false)
    guard labels.count >= 2 else { throw Invalid(reason: "must have a domain with a dot") }
    for label in labels { try check(label: label) }
    guard let last = domain.unicodeScalars.last, last.properties.isAlphabetic else {
      throw Invalid(reason: "has a top-level domain that ends with a digit")
    }
    // RFC 6761 and RFC 7686.
    let special: Set<Substring> = ["arpa", "invalid", "local", "localhost", "onion", "test"]
    guard !special.contains(labels[labels.count - 1]) else { throw Invalid(reason: "has a domain of special use") }
  }

  private static func check(label: Substring) throws(Invalid) {
    guard !label.isEmpty, label.utf8.count <= 63 else {
      throw Invalid(reason: "has a domain with an empty or too long label")
    }
    let isGood = label.unicodeScalars.allSatisfy { scalar in
      scalar.isASCII
        ? UInt8(scalar.value).isDigit || UInt8(scalar.value).isLetter || scalar == "-"
        : scalar.properties.isAlphabetic || scalar.properties.numericType != nil || scalar.isMark
    }
    guard isGood, label.first != "-", label.last != "-", label.unicodeScalars.first?.isMark != true else {
      throw Invalid(reason: "has a character in its domain that is not allowed there")
    }
    if label.dropFirst(2).hasPrefix("--"), !label.hasPrefix("xn--") {
      throw Invalid(reason: "has a domain label with two hyphens where only a code may have them")
    }
  }
}

extension String {
  fileprivate var trimmed: String {
    var scalars = unicodeScalars[...]
    while let first = scalars.first, first.properties.isWhitespace { scalars.removeFirst() }
    while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
    return String(scalars)
  }
}

extension Unicode.Scalar {
  fileprivate var isMark: Bool {
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: true
    default: false
    }
  }

  fileprivate var isSymbol: Bool {
    switch properties.generalCategory {
    case .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol, .otherPunctuation, .dashPunctuation: true
    default: false
    }
  }
}
