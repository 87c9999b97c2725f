@_spi(_Unicode) import Swift

extension String {
  /// Normalization form C (UAX #15).
  ///
  /// The time grows with the square of the length of a run of combining marks. Bound the text
  /// first.
  var normalized: String {
    isASCII ? self : String(String.UnicodeScalarView(_nfc))
  }

  /// Whether every byte is ASCII.
  var isASCII: Bool {
    let bytes = utf8.span
    for index in bytes.indices where bytes[index] >= 0x80 { return false }
    return true
  }
}
