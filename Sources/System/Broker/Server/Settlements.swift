/// Settles deliveries: acknowledges, rejects, requeues. Used on the broker's actor.
struct Settlements {
  private let ledger: MessageLedger
  private let dispatcher: QueueDispatcher
  private let planted: PlantedBugs

  init(_ ledger: MessageLedger, _ dispatcher: QueueDispatcher, _ planted: PlantedBugs) {
    self.ledger = ledger
    self.dispatcher = dispatcher
    self.planted = planted
  }

  /// Serves `basic.ack`.
  /// - Throws: `AMQPError` 406 for an unknown tag.
  func acknowledge(_ tag: UInt64, multiple: Bool, _ channel: BrokerChannel) throws(AMQPError) {
    let deliveries = try take(tag, multiple, channel)
    for delivery in deliveries { dispatcher.settle(delivery, forgetting: true) }
    dispatch(after: deliveries, channel)
  }

  /// Serves `basic.nack` and `basic.reject`.
  /// - Throws: `AMQPError` 406 for an unknown tag.
  func reject(_ tag: UInt64, multiple: Bool, requeue: Bool, _ channel: BrokerChannel) throws(AMQPError) {
    let deliveries = try take(tag, multiple, channel)
    if requeue {
      restore(deliveries)
    } else {
      for delivery in deliveries { dispatcher.bury(delivery) }
    }
    dispatch(after: deliveries, channel)
  }

  /// Requeues everything that a channel holds: it ends, or asks for it with `basic.recover`.
  func requeueAll(_ channel: BrokerChannel) {
    let deliveries = channel.unsettled.settleAll()
    release(deliveries, channel)
    restore(deliveries)
    var seen: Set<BrokerQueue.ID> = []
    for delivery in deliveries where !delivery.queue.isDeleted && seen.insert(delivery.queue.id).inserted {
      dispatcher.dispatch(delivery.queue)
    }
    dispatcher.goOn(channel)
    dispatcher.goOn(channel.connection)
  }

  /// Drops everything that a channel holds: a planted bug.
  func forgetAll(_ channel: BrokerChannel) {
    for delivery in channel.unsettled.settleAll() { dispatcher.settle(delivery, forgetting: true) }
  }

  private func take(_ tag: UInt64, _ multiple: Bool, _ channel: BrokerChannel) throws(AMQPError) -> [BrokerDelivery] {
    guard let deliveries = channel.unsettled.settle(tag, multiple: multiple) else {
      throw AMQPError(406, "PRECONDITION_FAILED - unknown delivery tag \(tag)")
    }
    release(deliveries, channel)
    return deliveries
  }

  private func release(_ deliveries: [BrokerDelivery], _ channel: BrokerChannel) {
    for delivery in deliveries {
      if let consumer = delivery.consumer {
        consumer.unsettled -= 1
        consumer.queue.wake(consumer)
      }
      channel.connection.unsettledBytes -= delivery.size
    }
  }

  /// Uses the room that settled deliveries make: for their consumers, and under the limits that consumers share.
  private func dispatch(after deliveries: [BrokerDelivery], _ channel: BrokerChannel) {
    var last: BrokerQueue?
    for delivery in deliveries where delivery.queue !== last {
      last = delivery.queue
      if !delivery.queue.isDeleted { dispatcher.dispatch(delivery.queue) }
    }
    dispatcher.goOn(channel)
    dispatcher.goOn(channel.connection)
  }

  private func restore(_ deliveries: [BrokerDelivery]) {
    for var delivery in deliveries {
      let queue = delivery.queue
      dispatcher.settle(delivery, forgetting: queue.isDeleted)
      guard !queue.isDeleted else { continue }
      delivery.entry.isRedelivered = true
      if planted(.requeuesAtTheEnd) {
        ledger.appendAgain(delivery.entry, to: queue)
      } else {
        ledger.restore(delivery.entry, to: queue)
      }
    }
  }
}
