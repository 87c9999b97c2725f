/// A message in the broker.
final class BrokerMessage: Sendable {
  let exchange: String
  let routingKey: String
  /// Further routing keys, from the headers `CC` and `BCC`.
  let moreKeys: [String]
  /// Flags and list, as on the wire.
  let properties: [UInt8]
  let body: [UInt8]
  let isPersistent: Bool
  /// The priority that the publisher gives to it; 0 without one.
  let priority: UInt8
  /// `size`, which is asked for several times.
  private let approximateSize: UInt32
  /// Deaths since the message was published or rejected, as far as this process knows.
  let automaticDeaths: Int

  init(
    exchange: String, routingKey: String, moreKeys: [String] = [], properties: [UInt8], body: [UInt8],
    isPersistent: Bool, priority: UInt8 = 0, automaticDeaths: Int = 0
  ) {
    self.exchange = exchange
    self.routingKey = routingKey
    self.moreKeys = moreKeys
    self.properties = properties
    self.body = body
    self.isPersistent = isPersistent
    self.priority = priority
    self.automaticDeaths = automaticDeaths
    let keys = moreKeys.isEmpty ? 0 : moreKeys.reduce(0) { $0 + $1.utf8.count + 16 }
    approximateSize = UInt32(
      clamping: body.count + properties.count + exchange.utf8.count + routingKey.utf8.count + keys + 176)
  }

  /// Approximate bytes in memory.
  var size: Int { Int(approximateSize) }

  /// The routing keys in the headers `CC` and `BCC`.
  /// - Throws: `AMQPError` 406 when one of the headers is no array.
  static func moreKeys(_ headers: AMQPTable) throws(AMQPError) -> [String] {
    var keys: [String] = []
    for name in ["CC", "BCC"] {
      switch headers[name] {
      case nil: continue
      case .array(let values)?:
        for value in values {
          guard value.isString else { continue }
          guard let key = value.text, key.utf8.count <= AMQPWriter.maximumShortString else {
            throw AMQPError(406, "PRECONDITION_FAILED - invalid message: a routing key in the header '\(name)'")
          }
          keys.append(key)
        }
      case let value?:
        throw AMQPError(
          406,
          "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"\(name)\",\(value.typeName)}")
      }
    }
    return keys
  }
}
