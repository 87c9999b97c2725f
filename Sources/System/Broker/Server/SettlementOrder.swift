/// The order in which deliveries that are settled together come back to their queues, as in
/// RabbitMQ: by the queue's name, then by consumer tag, then by age.
enum SettlementOrder {
  private struct Key: Hashable {
    let queue: BrokerQueue.ID
    /// nil for `basic.get`.
    let tag: ExactText?
  }

  /// Divides deliveries, oldest first, into parts, each of one queue and one consumer. The queue
  /// delivers after each part. Deliveries of `basic.get` come before those of consumers, and each
  /// is a part.
  static func forEachPart(of deliveries: [BrokerDelivery], _ body: ([BrokerDelivery]) -> Void) {
    guard let first = deliveries.first else { return }
    // Usually one consumer has had all of them.
    if deliveries.count == 1 || first.consumer != nil && deliveries.allSatisfy({ $0.consumer === first.consumer }) {
      return body(deliveries)
    }
    var places: [Key: Int] = [:]
    var parts: [(key: Key, deliveries: [BrokerDelivery])] = []
    for delivery in deliveries {
      let key = Key(queue: delivery.queue.id, tag: (delivery.consumer?.tag).map(ExactText.init))
      if let place = places[key] {
        parts[place].deliveries.append(delivery)
      } else {
        places[key] = parts.count
        parts.append((key, [delivery]))
      }
    }
    parts.sort { precedes($0.key, $1.key) }
    for part in parts {
      if part.key.tag == nil { part.deliveries.forEach { body([$0]) } } else { body(part.deliveries) }
    }
  }

  private static func precedes(_ a: Key, _ b: Key) -> Bool {
    guard a.queue.name.hasSameBytes(as: b.queue.name) else {
      return a.queue.name.utf8.lexicographicallyPrecedes(b.queue.name.utf8)
    }
    if a.queue.number != b.queue.number { return a.queue.number < b.queue.number }
    guard let one = a.tag, let other = b.tag else { return a.tag == nil && b.tag != nil }
    return one.text.utf8.lexicographicallyPrecedes(other.text.utf8)
  }
}
