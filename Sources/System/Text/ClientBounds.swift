/// The bounds of whatever a client names (`docs/protocols.md`). Beyond them it is refused at the
/// door; a stored row beyond them is set aside.
public enum ClientBounds {
  /// Bytes of an identifier. A short string of AMQP holds no more.
  static let identifier = 255
  /// Users that a supervisor may want, in one request and in all.
  static let users = 1_000_000
  /// The largest number that this program counts up to, so that the next one is a number as well.
  /// JSON carries it without loss (RFC 8259 §6).
  public static let counter: Int64 = 1 << 53
}

extension String {
  /// The text when it has at most `limit` bytes, else its beginning and `…`. It is cut between
  /// Unicode scalars. For logs and reasons, never for what is passed on.
  func shortened(toBytes limit: Int) -> String {
    guard utf8.count > limit else { return self }
    var end = utf8.index(utf8.startIndex, offsetBy: limit)
    while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return String(self[..<end]) + "…"
  }
}
