/// A message that AMQP 0-9-1 cannot carry, whatever the state of the connection.
public enum AMQPFramingError: Error, Hashable, Sendable {
  /// A name or a property is longer than a short string: 255 bytes (§4.2.5.3).
  case longName(field: String, bytes: Int)
  /// The properties do not fit one frame, which has to hold all of them (§2.3.5.2).
  case largeHeader(bytes: Int, limit: Int)
  /// The headers nest tables or arrays deeper than readers accept.
  case deepHeaders
  /// The body is larger than a broker accepts.
  case largeBody(bytes: Int, limit: Int)
}

extension AMQPMessage {
  /// Checks that frames can hold the message. `AMQPClient` refuses a message that fails this check.
  /// - Throws: `AMQPFramingError`.
  public func checkFraming() throws(AMQPFramingError) {
    try AMQPFramingError.check(exchange, "exchange")
    try AMQPFramingError.check(routingKey, "routing key")
    try properties.checkFraming()
    guard body.count <= AMQPParser.maximumBody else {
      throw .largeBody(bytes: body.count, limit: AMQPParser.maximumBody)
    }
    // Most messages have no headers. Their properties always fit.
    guard properties.headers != nil else { return }
    try AMQPFramingError.check(header: properties.bytes, frameMax: AMQPParser.maximumFrame)
  }
}

extension AMQPFramingError {
  /// Bytes of a content header's frame beside the properties: 8 of the frame, then class, weight
  /// and body size.
  static let headerOverhead = 8 + 2 + 2 + 8

  static func check(_ text: String, _ field: @autoclosure () -> String) throws(AMQPFramingError) {
    try check(bytes: text.utf8.count, field())
  }

  static func check(bytes: Int, _ field: @autoclosure () -> String) throws(AMQPFramingError) {
    guard bytes <= AMQPWriter.maximumShortString else { throw .longName(field: field(), bytes: bytes) }
  }

  /// Checks that a frame of a connection holds encoded properties.
  static func check(header: [UInt8], frameMax: Int) throws(AMQPFramingError) {
    let limit = frameMax - headerOverhead
    guard header.count <= limit else { throw .largeHeader(bytes: header.count, limit: limit) }
  }
}

extension AMQPProperties {
  fileprivate func checkFraming() throws(AMQPFramingError) {
    let texts = [
      ("content_type", contentType), ("content_encoding", contentEncoding), ("correlation_id", correlationID),
      ("reply_to", replyTo), ("expiration", expiration), ("message_id", messageID), ("type", type),
      ("user_id", userID), ("app_id", appID), ("cluster_id", clusterID),
    ]
    for case (let name, let text?) in texts { try AMQPFramingError.check(bytes: text.count, name) }
    try headers?.checkFraming(depth: 1)
  }
}

extension AMQPTable {
  /// `depth` counts this table and the tables and arrays around it. The recursion ends at the bound
  /// of readers.
  fileprivate func checkFraming(depth: Int) throws(AMQPFramingError) {
    guard depth <= AMQPReader.maximumDepth else { throw .deepHeaders }
    for entry in entries {
      try AMQPFramingError.check(bytes: entry.name.count, "name of a header")
      try entry.value.checkFraming(depth: depth + 1)
    }
  }
}

extension AMQPValue {
  fileprivate func checkFraming(depth: Int) throws(AMQPFramingError) {
    switch self {
    case .table(let table): try table.checkFraming(depth: depth)
    case .array(let values):
      guard depth <= AMQPReader.maximumDepth else { throw .deepHeaders }
      for value in values { try value.checkFraming(depth: depth + 1) }
    default: break
    }
  }
}
