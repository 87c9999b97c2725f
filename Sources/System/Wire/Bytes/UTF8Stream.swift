/// Checks UTF-8 as it streams (RFC 3629), so that a wrong byte is refused when it comes and not at the end of a message.
struct UTF8Stream {
  /// Continuation bytes that the scalar under way still needs.
  private var missing = 0
  /// What the next continuation byte may be: narrower than usual right after some lead bytes.
  private var low: UInt8 = 0x80
  private var high: UInt8 = 0xBF

  /// Whether the text may end here.
  var isComplete: Bool { missing == 0 }

  /// Takes bytes; false as soon as they cannot be UTF-8.
  mutating func take(_ bytes: some Sequence<UInt8>) -> Bool {
    for byte in bytes {
      if missing > 0 {
        guard byte >= low, byte <= high else { return false }
        missing -= 1
        (low, high) = (0x80, 0xBF)
        continue
      }
      switch byte {
      case 0..<0x80: continue
      case 0xC2...0xDF: missing = 1
      case 0xE0: (missing, low) = (2, 0xA0)
      case 0xED: (missing, high) = (2, 0x9F)
      case 0xE1...0xEF: missing = 2
      case 0xF0: (missing, low) = (3, 0x90)
      case 0xF1...0xF3: missing = 3
      case 0xF4: (missing, high) = (3, 0x8F)
      default: return false
      }
    }
    return true
  }
}
