extension String {
  /// The text with all differences of case removed: full case folding (Unicode's CaseFolding, C and F), in form C.
  ///
  /// `ΝΙΚΟΣ` and `νικος` fold to the same text, and so do `STRASSE` and `straße`, which lower case alone keeps apart. Folds
  /// text in form C.
  var caseFolded: String {
    if isASCII { return lowercased() }
    var folded = ""
    for scalar in unicodeScalars { folded += scalar.caseFolding }
    return folded.normalized
  }
}

extension Unicode.Scalar {
  /// The full case folding, without the exceptions for Turkic languages.
  ///
  /// Unicode derives it from the case mappings: a scalar folds to the lower case of its upper case, except for those below
  /// (CaseFolding.txt). `CaseFoldingTests` compares all scalars with Python's `str.casefold`.
  fileprivate var caseFolding: String {
    switch value {
    // Dotless i has the upper case I, but is another letter.
    case 0x131: "\u{131}"
    // Sharp S has no upper case but itself.
    case 0x1E9E: "ss"
    // Cherokee was written in upper case long before it had a lower case, so it folds to that.
    case 0x13A0...0x13FD, 0xAB70...0xABBF: properties.uppercaseMapping
    default:
      properties.uppercaseMapping.unicodeScalars.reduce(into: "") { $0 += $1.properties.lowercaseMapping }
    }
  }
}
