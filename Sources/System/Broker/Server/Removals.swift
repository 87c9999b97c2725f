/// Ends queues, consumers and channels, with everything that depends on them. Used on the broker's
/// actor.
struct Removals {
  private let journal: BrokerJournal
  private let topology: BrokerTopology
  private let ledger: MessageLedger
  private let dispatcher: QueueDispatcher
  private let settlements: Settlements
  private let planted: PlantedBugs

  init(
    _ journal: BrokerJournal, _ topology: BrokerTopology, _ ledger: MessageLedger, _ dispatcher: QueueDispatcher,
    _ settlements: Settlements, _ planted: PlantedBugs
  ) {
    self.journal = journal
    self.topology = topology
    self.ledger = ledger
    self.dispatcher = dispatcher
    self.settlements = settlements
    self.planted = planted
  }

  /// Deletes a queue with its messages and bindings, and cancels its consumers.
  func delete(_ queue: BrokerQueue, owner: BrokerConnection?) {
    guard !queue.isDeleted else { return }
    queue.isDeleted = true
    queue.timer?.cancel()
    topology.removeName(of: queue)
    owner?.ownedQueues.remove(queue.name)
    _ = ledger.purge(queue)
    // Deliveries that are not settled leave the disk with it: another queue of its name must not find them.
    for id in queue.unsettled.sorted() { journal.append(.delete(id: id)) }
    queue.unsettled = []
    topology.removeBindings(of: queue)
    for consumer in queue.consumers where !consumer.isCancelled {
      queue.remove(consumer)
      consumer.channel.consumers[consumer.tag] = nil
      let client = consumer.channel.connection
      if client.hearsCancellations, !client.isGone {
        consumer.channel.send(.basicCancel(tag: consumer.tag, noWait: true))
        client.flush()
      }
    }
    queue.ready = ConsumerList()
    dispatcher.endLoad(of: queue)
    if queue.isStored { journal.append(.removeQueue(queue.name)) }
  }

  /// Cancels a consumer. An auto-delete queue ends with its last consumer.
  func cancel(_ consumer: BrokerConsumer) {
    consumer.channel.consumers[consumer.tag] = nil
    let queue = consumer.queue
    queue.remove(consumer)
    // A connection that consumes an exclusive queue is its owner.
    if queue.isAutoDelete, queue.consumerCount == 0 {
      delete(queue, owner: queue.owner == nil ? nil : consumer.channel.connection)
    }
  }

  /// Ends a channel: cancels its consumers and requeues its deliveries.
  func close(_ channel: BrokerChannel) {
    channel.isClosing = true
    for tag in channel.consumers.keys.sorted() { cancel(channel.consumers[tag]!) }
    if planted(.losesUnacknowledged) {
      settlements.forgetAll(channel)
    } else {
      settlements.requeueAll(channel)
    }
  }

  /// Ends everything that belongs to a connection.
  func close(_ client: BrokerConnection) {
    for number in client.channels.keys.sorted() { close(client.channels[number]!) }
    for name in client.ownedQueues.elements {
      if let queue = topology.queue(name) { delete(queue, owner: client) }
    }
  }
}
