/// A password from a request, in the forms in which it may have been hashed.
struct Password: Sendable {
  static let minimumCharacters = 8
  static let maximumBytes = 1024
  /// The maximum length before normalization. A password of 1,024 bytes may have three times as
  /// many when it is decomposed.
  static let maximumRawBytes = 4096

  /// The form that is hashed: form C, with each space as U+0020 (RFC 8265 §4.2, OpaqueString).
  let text: String
  /// The password as typed, if that differs. Earlier releases hashed this.
  let raw: String?

  struct Invalid: Error {
    let reason: String
  }

  /// A new password. Control characters are refused (RFC 8265 §4.2.1, RFC 8264 §9.12). Other
  /// characters that RFC 8264 refuses are allowed, since emoji contain some of them.
  init(choosing raw: String) throws(Invalid) {
    guard raw.utf8.count <= Self.maximumRawBytes else { throw Self.tooLong }
    guard raw.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
      throw Invalid(reason: "must not contain control characters")
    }
    self.init(prepared: raw)
    guard text.utf8.count <= Self.maximumBytes else { throw Self.tooLong }
    guard text.unicodeScalars.count >= Self.minimumCharacters else {
      throw Invalid(reason: "must have at least \(Self.minimumCharacters) characters")
    }
  }

  /// A password of a login attempt. One that is too long is hashed like any other wrong password.
  init(trying raw: String) {
    self.init(prepared: raw.utf8.count <= Self.maximumRawBytes ? raw : "")
  }

  private init(prepared raw: String) {
    if raw.isASCII {
      text = raw
      self.raw = nil
      return
    }
    var spaced = String.UnicodeScalarView()
    for scalar in raw.unicodeScalars {
      spaced.append(scalar.properties.generalCategory == .spaceSeparator ? " " : scalar)
    }
    text = String(spaced).normalized
    self.raw = text.hasSameBytes(as: raw) ? nil : raw
  }

  private static let tooLong = Invalid(reason: "must have at most \(maximumBytes) bytes")
}
