@_spi(_Unicode) import Swift

extension String {
  /// Normalization form C (UAX #15).
  ///
  /// The time grows with the square of the length of a run of combining marks. Bound the text first.
  var normalized: String {
    isASCII ? self : String(String.UnicodeScalarView(_nfc))
  }

  /// Whether every byte is ASCII.
  var isASCII: Bool { withUTF8Bytes { $0.allSatisfy { $0 < 0x80 } } }
}
