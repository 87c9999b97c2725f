/// What becomes of deliveries: acknowledged, rejected, put back.
extension Broker {
  /// Ends a delivery's claims on its client, its consumer and its queue. With `forgetting` the message is done with.
  func settle(_ delivery: BrokerChannel.Delivery, forgetting: Bool) {
    if delivery.entry.isDurable { delivery.queue.unsettled.remove(delivery.entry.id) }
    if forgetting { forget(delivery.entry, wasDeleted: delivery.queue.isDeleted) }
  }

  /// A message is done with: neither the disk nor memory holds it any more. What a deleted queue had the disk has not.
  func forget(_ entry: QueueEntry, wasDeleted: Bool = false) {
    if !entry.isDurable {
      onlyInMemory -= entry.message?.size ?? 0
    } else if !wasDeleted {
      store(.delete(id: entry.id))
    }
  }

  private func take(_ tag: UInt64, _ multiple: Bool, _ channel: BrokerChannel) throws(AMQPError)
    -> [BrokerChannel.Delivery]
  {
    guard let deliveries = channel.settle(tag, multiple: multiple) else {
      throw AMQPError(406, "PRECONDITION_FAILED - unknown delivery tag \(tag)")
    }
    release(deliveries, channel)
    return deliveries
  }

  private func release(_ deliveries: [BrokerChannel.Delivery], _ channel: BrokerChannel) {
    for delivery in deliveries {
      if let consumer = delivery.consumer {
        consumer.unacknowledged -= 1
        consumer.queue.wake(consumer)
      }
      channel.connection.unsettledBytes -= delivery.size
    }
  }

  func acknowledge(_ tag: UInt64, _ multiple: Bool, _ channel: BrokerChannel) throws(AMQPError) {
    let deliveries = try take(tag, multiple, channel)
    for delivery in deliveries { settle(delivery, forgetting: true) }
    dispatch(after: deliveries, channel)
  }

  func reject(_ tag: UInt64, _ multiple: Bool, requeue: Bool, _ channel: BrokerChannel) throws(AMQPError) {
    let deliveries = try take(tag, multiple, channel)
    if requeue {
      restore(deliveries)
    } else {
      for delivery in deliveries { reject(delivery) }
    }
    dispatch(after: deliveries, channel)
  }

  /// A settled delivery makes room: in its queue's consumers, and under a limit that the channel's consumers share.
  private func dispatch(after deliveries: [BrokerChannel.Delivery], _ channel: BrokerChannel) {
    var last: BrokerQueue?
    for delivery in deliveries where delivery.queue !== last {
      last = delivery.queue
      if !delivery.queue.isDeleted { dispatch(delivery.queue) }
    }
    goOn(channel)
    goOn(channel.connection)
  }

  /// Puts back what was unsettled when a channel ended or asked for it.
  func putBack(_ deliveries: [BrokerChannel.Delivery], _ channel: BrokerChannel) {
    release(deliveries, channel)
    restore(deliveries)
    var seen: Set<Int> = []
    for delivery in deliveries where !delivery.queue.isDeleted && seen.insert(delivery.queue.id).inserted {
      dispatch(delivery.queue)
    }
    goOn(channel)
    goOn(channel.connection)
  }

  private func restore(_ deliveries: [BrokerChannel.Delivery]) {
    for var delivery in deliveries {
      let queue = delivery.queue
      settle(delivery, forgetting: queue.isDeleted)
      guard !queue.isDeleted else { continue }
      delivery.entry.isRedelivered = true
      memory += delivery.entry.message?.size ?? 0
      if options.planted(.requeuesAtTheEnd) {
        delivery.entry = QueueEntry(
          id: newMessageID(), message: delivery.entry.message, expires: delivery.entry.expires, isRedelivered: true,
          isDurable: delivery.entry.isDurable)
        queue.append(delivery.entry)
      } else {
        queue.restore(delivery.entry)
      }
    }
  }
}
