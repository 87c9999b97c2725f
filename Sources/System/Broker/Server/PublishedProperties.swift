/// The properties of a publication that the broker itself reads. The others are checked alone, so
/// that a publication costs little more with many properties and headers than without.
struct PublishedProperties {
  private(set) var isPersistent = false
  private(set) var priority: UInt8 = 0
  private(set) var expiration: AMQPText?
  private(set) var userID: AMQPText?
  /// Whether it asks for a direct reply.
  private(set) var wantsDirectReply = false
  /// Whether its headers have routing keys.
  private(set) var hasMoreKeys = false

  private static let headersOfKeys: [StaticString] = ["CC", "BCC"]

  /// Reads encoded properties.
  /// - Throws: `AMQPError` 502, if and only if `AMQPCommand.readProperties` does.
  init(_ bytes: [UInt8]) throws(AMQPError) {
    var reader = AMQPReader(bytes[...])
    let flags = try AMQPProperties.flags(&reader)
    func has(_ bit: UInt16) -> Bool { flags >> bit & 1 == 1 }
    if has(15) { try reader.skipShortString() }
    if has(14) { try reader.skipShortString() }
    if has(13) { hasMoreKeys = try reader.skipTable(lookingFor: Self.headersOfKeys) }
    if has(12) { isPersistent = try reader.octet() == 2 }
    if has(11) { priority = try reader.octet() }
    if has(10) { try reader.skipShortString() }
    if has(9) { wantsDirectReply = try reader.shortBytes().elementsEqual(DirectReplies.queue.utf8) }
    if has(8) { expiration = try reader.text() }
    if has(7) { try reader.skipShortString() }
    if has(6) { _ = try reader.longLong() }
    if has(5) { try reader.skipShortString() }
    if has(4) { userID = try reader.text() }
    if has(3) { try reader.skipShortString() }
    if has(2) { try reader.skipShortString() }
    try reader.end()
  }
}
