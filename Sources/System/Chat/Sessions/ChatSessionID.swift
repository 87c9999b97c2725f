import Environment

/// The id of a session of the User Service: 1 to 64 visible ASCII characters.
struct ChatSessionID: Hashable, Comparable, Sendable {
  /// A shorter id could be guessed.
  private static let safeLength = 32

  let value: String

  /// Nil for a text that no session has as its id.
  init?(_ text: String) {
    let bytes = text.utf8.span
    guard (1...64).contains(bytes.count), bytes.allSatisfy(in: 0..<bytes.count, { $0 > 0x20 && $0 < 0x7F }) else {
      return nil
    }
    value = text
  }

  /// A new id of 32 random bytes, in hex.
  init(random entropy: any Entropy) { value = Hex.encode(entropy.bytes(32)) }

  /// Whether the id is short enough to guess. Then the owner's access token is needed beside it.
  var isGuessable: Bool { value.utf8.count < Self.safeLength }

  static func < (a: ChatSessionID, b: ChatSessionID) -> Bool { a.value < b.value }
}
