extension String {
  /// The full case folding of a text in form C (Unicode's CaseFolding, C and F), in form C.
  ///
  /// `ΝΙΚΟΣ` and `νικος` fold to the same text, and so do `STRASSE` and `straße`, which lower case
  /// alone does not make equal.
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
  /// A scalar folds to the lower case of its upper case, except for those below (CaseFolding.txt).
  /// `CaseFoldingTests` compares all scalars with Python's `str.casefold`.
  fileprivate var caseFolding: String {
    switch value {
    // Dotless i has the upper case I, but is another letter.
    case 0x131: "\u{131}"
    // Capital sharp S is its own upper case.
    case 0x1E9E: "ss"
    // Cherokee was written in upper case long before it had a lower case, so it folds to that.
    case 0x13A0...0x13FD, 0xAB70...0xABBF: properties.uppercaseMapping
    default:
      properties.uppercaseMapping.unicodeScalars.reduce(into: "") { $0 += $1.properties.lowercaseMapping }
    }
  }
}
