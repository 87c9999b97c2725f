/// A message in the broker.
final class BrokerMessage: Sendable {
  let exchange: String
  let routingKey: String
  /// Flags and list, as on the wire.
  let properties: [UInt8]
  let body: [UInt8]
  let isPersistent: Bool
  /// Deaths since the message was published or rejected, as far as this process knows.
  let automaticDeaths: Int

  init(
    exchange: String, routingKey: String, properties: [UInt8], body: [UInt8], isPersistent: Bool,
    automaticDeaths: Int = 0
  ) {
    self.exchange = exchange
    self.routingKey = routingKey
    self.properties = properties
    self.body = body
    self.isPersistent = isPersistent
    self.automaticDeaths = automaticDeaths
  }

  /// Approximate bytes in memory.
  var size: Int { body.count + properties.count + exchange.utf8.count + routingKey.utf8.count + 160 }
}

/// A message in one queue.
struct QueueEntry: Sendable {
  /// Later messages have higher ids. A message that is requeued keeps its id.
  let id: Int64
  /// nil while the message is only on the disk.
  var message: BrokerMessage?
  /// Wall-clock time in milliseconds; 0 for never.
  var expires: Int64
  var isRedelivered = false
  /// Whether the message is on the disk, or will be after the next commit.
  var isDurable: Bool
}
