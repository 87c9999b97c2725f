/// A message that was delivered and not settled yet.
struct BrokerDelivery {
  let queue: BrokerQueue
  var entry: QueueEntry
  /// The consumer; nil for `basic.get`.
  let consumer: BrokerConsumer?
  /// The delivery tag.
  var tag: UInt64 = 0

  /// Approximate bytes in memory.
  var size: Int { entry.message?.size ?? 0 }
}

/// The deliveries of one channel that are not settled, by delivery tag. Tags count from 1.
struct UnsettledDeliveries {
  private var deliveries: [UInt64: BrokerDelivery] = [:]
  /// The lowest tag that may be unsettled.
  private var oldest: UInt64 = 1
  private var lastTag: UInt64 = 0

  var count: Int { deliveries.count }

  /// The tag that the next delivery will have.
  var upcomingTag: UInt64 { lastTag + 1 }

  /// The tag of the next delivery, whether or not it has to be settled.
  mutating func nextTag() -> UInt64 {
    lastTag += 1
    return lastTag
  }

  /// Adds a delivery that has to be settled.
  mutating func add(_ delivery: BrokerDelivery, _ tag: UInt64) {
    var delivery = delivery
    delivery.tag = tag
    deliveries[tag] = delivery
  }

  /// Undoes `settle`.
  mutating func restore(_ settled: [BrokerDelivery]) {
    for delivery in settled {
      deliveries[delivery.tag] = delivery
      oldest = min(oldest, delivery.tag)
    }
  }

  /// Settles the delivery of a tag, or with `multiple` all up to it; the tag 0 then stands for the
  /// latest. Returns the deliveries, oldest first, or nil when the tag is unknown.
  mutating func settle(_ tag: UInt64, multiple: Bool) -> [BrokerDelivery]? {
    guard multiple else { return deliveries.removeValue(forKey: tag).map { [$0] } }
    let last = tag == 0 ? lastTag : tag
    guard last <= lastTag, tag == 0 || deliveries[tag] != nil else { return nil }
    var settled: [BrokerDelivery] = []
    while oldest <= last {
      if let delivery = deliveries.removeValue(forKey: oldest) { settled.append(delivery) }
      oldest += 1
    }
    return settled
  }

  /// Settles all deliveries. Returns them, oldest first.
  mutating func settleAll() -> [BrokerDelivery] { settle(0, multiple: true) ?? [] }
}
