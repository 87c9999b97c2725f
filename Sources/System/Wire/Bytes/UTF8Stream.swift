/// Validates a stream of UTF-8 (RFC 3629). An invalid byte is found when it arrives, not at the end
/// of the message.
struct UTF8Stream {
  /// The number of continuation bytes that the current scalar still needs.
  private var missing = 0
  /// The range of the next continuation byte, which is narrower after some lead bytes.
  private var low: UInt8 = 0x80
  private var high: UInt8 = 0xBF

  /// Whether the text may end here.
  var isComplete: Bool { missing == 0 }

  /// Takes bytes. Returns false once the stream is not valid UTF-8.
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
