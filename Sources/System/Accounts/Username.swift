/// A username: 1 to 150 Unicode scalars in NFC.
struct Username: Hashable, Sendable {
  /// The name as it is stored and shown.
  let text: String
  /// The key of its `AccountName`, which is unique.
  let key: String

  struct Invalid: Error {
    let reason: String
  }

  init(parsing raw: String) throws(Invalid) {
    guard raw.utf8.count <= AccountName.maximumBytes else { throw Invalid(reason: "must have at most 150 characters") }
    text = raw.normalized
    let scalars = Array(text.unicodeScalars)
    guard (1...150).contains(scalars.count) else { throw Invalid(reason: "must have 1 to 150 characters") }
    guard !scalars.contains("@") else { throw Invalid(reason: "must not hold an @") }
    guard !scalars.first!.properties.isWhitespace, !scalars.last!.properties.isWhitespace else {
      throw Invalid(reason: "must not begin or end with white space")
    }
    for (index, scalar) in scalars.enumerated() {
      switch scalar.properties.generalCategory {
      case .format where scalar == JoinControls.joiner || scalar == JoinControls.nonJoiner:
        guard JoinControls.isAllowed(at: index, in: scalars) else {
          throw Invalid(reason: "must not hold U+200C or U+200D where it joins or parts no letters")
        }
      case .control, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse, .surrogate, .format:
        throw Invalid(reason: "must not hold control characters")
      default: break
      }
    }
    guard let name = AccountName(text) else { throw Invalid(reason: "must have at most 150 characters") }
    key = name.key
  }
}
