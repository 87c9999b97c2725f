/// The bounds of names and numbers in requests (`docs/protocols.md`). A request beyond them is
/// refused, and a stored row beyond them is set aside.
public enum ClientBounds {
  /// The maximum length of an identifier in bytes, which is that of a short string of AMQP.
  static let identifier = 255
  /// The maximum number of users that a supervisor may want, in one request and in total.
  static let users = 1_000_000
  /// The largest value of a counter, so that the next one does not overflow. JSON carries it
  /// without loss (RFC 8259 §6).
  public static let counter: Int64 = 1 << 53
}

extension String {
  /// The text if it has at most `limit` bytes, else its beginning and `…`, cut between Unicode
  /// scalars. For logs and errors only.
  func shortened(toBytes limit: Int) -> String {
    guard utf8.count > limit else { return self }
    var end = utf8.index(utf8.startIndex, offsetBy: limit)
    while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
    return String(self[..<end]) + "…"
  }
}
