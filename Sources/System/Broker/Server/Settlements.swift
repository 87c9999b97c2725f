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
    if channel.transaction != nil { return channel.transaction!.add(.acknowledge, deliveries) }
    acknowledge(deliveries, channel)
  }

  private func acknowledge(_ deliveries: [BrokerDelivery], _ channel: BrokerChannel) {
    settle(deliveries, channel) { part in
      for delivery in part { dispatcher.settle(delivery, forgetting: true) }
    }
  }

  /// Serves `basic.nack` and `basic.reject`.
  /// - Throws: `AMQPError` 406 for an unknown tag.
  func reject(_ tag: UInt64, multiple: Bool, requeue: Bool, _ channel: BrokerChannel) throws(AMQPError) {
    let deliveries = try take(tag, multiple, channel)
    if channel.transaction != nil { return channel.transaction!.add(.reject(requeue: requeue), deliveries) }
    reject(deliveries, requeue: requeue, channel)
  }

  private func reject(_ deliveries: [BrokerDelivery], requeue: Bool, _ channel: BrokerChannel) {
    settle(deliveries, channel) { part in
      if requeue { return restore(part) }
      for delivery in part { dispatcher.bury(delivery, because: .rejected) }
    }
  }

  /// Settles what a transaction has collected.
  func settle(_ transaction: ChannelTransaction, _ channel: BrokerChannel) {
    for (kind, settled) in transaction.settlements {
      let deliveries = settled.sorted { $0.tag < $1.tag }
      switch kind {
      case .acknowledge: acknowledge(deliveries, channel)
      case .reject(let requeue): reject(deliveries, requeue: requeue, channel)
      }
    }
  }

  /// Lets a channel hold again what its transaction has settled.
  func rollBack(_ transaction: ChannelTransaction, _ channel: BrokerChannel) {
    for (_, deliveries) in transaction.settlements { channel.unsettled.restore(deliveries) }
  }

  /// Serves `basic.recover`: requeues everything that a channel holds.
  func recover(_ channel: BrokerChannel) { reject(channel.unsettled.settleAll(), requeue: true, channel) }

  /// Requeues everything that a channel holds when it ends. Each queue gets its messages back
  /// before it delivers any.
  func requeueAll(_ channel: BrokerChannel) {
    let deliveries = channel.unsettled.settleAll()
    channel.sharedPrefetch.settle(deliveries.count { $0.consumer != nil })
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

  /// Settles deliveries in parts. After each part its queue uses the room that it makes for
  /// consumers, and at the end others use the room under the limits that consumers share.
  private func settle(
    _ deliveries: [BrokerDelivery], _ channel: BrokerChannel, _ settle: ([BrokerDelivery]) -> Void
  ) {
    channel.sharedPrefetch.settle(deliveries.count { $0.consumer != nil })
    SettlementOrder.forEachPart(of: deliveries) { part in
      let queue = part[0].queue
      release(part, channel)
      settle(part)
      if !queue.isDeleted { dispatcher.dispatch(queue) }
    }
    dispatcher.goOn(channel)
    dispatcher.goOn(channel.connection)
  }

  private func restore(_ deliveries: [BrokerDelivery]) {
    for var delivery in deliveries {
      let queue = delivery.queue
      guard !queue.isDeleted else {
        dispatcher.settle(delivery, forgetting: true)
        continue
      }
      delivery.entry.noteReturn()
      if let limit = queue.rules.deliveryLimit, delivery.entry.returns > limit {
        dispatcher.bury(delivery, because: .deliveryLimit)
        continue
      }
      dispatcher.settle(delivery, forgetting: false)
      if planted(.requeuesAtTheEnd) {
        ledger.appendAgain(delivery.entry, to: queue)
      } else {
        ledger.restore(delivery.entry, to: queue)
      }
    }
  }
}
