/// Ends queues, consumers and channels, with everything that depends on them. Used on the broker's
/// actor.
struct Removals {
  private let journal: BrokerJournal
  private let topology: BrokerTopology
  private let ledger: MessageLedger
  private let dispatcher: QueueDispatcher
  private let settlements: Settlements
  private let replies: DirectReplies
  private let idle: IdleQueues
  private let planted: PlantedBugs

  init(
    _ journal: BrokerJournal, _ topology: BrokerTopology, _ ledger: MessageLedger, _ dispatcher: QueueDispatcher,
    _ settlements: Settlements, _ replies: DirectReplies, _ idle: IdleQueues, _ planted: PlantedBugs
  ) {
    self.journal = journal
    self.topology = topology
    self.ledger = ledger
    self.dispatcher = dispatcher
    self.settlements = settlements
    self.replies = replies
    self.idle = idle
    self.planted = planted
  }

  /// Deletes a queue with its messages and bindings, and cancels its consumers.
  func delete(_ queue: BrokerQueue, owner: BrokerConnection?) {
    guard !queue.isDeleted else { return }
    queue.isDeleted = true
    queue.timer?.cancel()
    queue.idleTimer?.cancel()
    topology.removeName(of: queue)
    owner?.ownedQueues.remove(ExactText(queue.name))
    _ = ledger.purge(queue)
    // Deliveries that are not settled leave the disk with it: another queue of its name must not
    // find them.
    for id in queue.unsettled.sorted() { journal.append(.delete(id: id)) }
    queue.unsettled = []
    topology.removeBindings(of: queue)
    // A channel hears of its consumers in the order of their tags, as from RabbitMQ.
    let consumers = queue.consumers.filter { !$0.isCancelled }
    for consumer in consumers.sorted(by: { $0.tag.utf8.lexicographicallyPrecedes($1.tag.utf8) }) {
      queue.remove(consumer)
      consumer.channel.consumers[consumer.tag] = nil
      let client = consumer.channel.connection
      if client.hearsCancellations, !client.isGone {
        consumer.channel.send(.basicCancel(tag: consumer.tag, noWait: true))
        client.flush()
      }
    }
    queue.ready = ReadyConsumers()
    dispatcher.endLoad(of: queue)
    if queue.isStored { journal.append(.removeQueue(queue.name)) }
  }

  /// Serves `basic.cancel`.
  func cancel(_ tag: String, _ channel: BrokerChannel) {
    if channel.replyConsumer?.tag.hasSameBytes(as: tag) == true { return replies.remove(channel) }
    guard let consumer = channel.consumers[tag] else { return }
    cancel(consumer)
    // Another consumer may be the active one now.
    if consumer.queue.rules.hasSingleConsumer { dispatcher.dispatch(consumer.queue) }
  }

  /// Cancels a consumer. An auto-delete queue ends with its last consumer.
  private func cancel(_ consumer: BrokerConsumer) {
    consumer.channel.consumers[consumer.tag] = nil
    let queue = consumer.queue
    queue.remove(consumer)
    // A connection that consumes an exclusive queue is its owner.
    if queue.isAutoDelete, queue.consumerCount == 0 {
      delete(queue, owner: queue.owner == nil ? nil : consumer.channel.connection)
    } else if queue.consumerCount == 0 {
      idle.noteUse(of: queue)
    }
  }

  /// Ends a channel: cancels its consumers and requeues its deliveries.
  func close(_ channel: BrokerChannel) {
    channel.isClosing = true
    replies.remove(channel)
    endTransaction(channel)
    let consumers = channel.consumers.sorted
    for consumer in consumers { cancel(consumer) }
    if planted(.losesUnacknowledged) {
      settlements.forgetAll(channel)
    } else {
      settlements.requeueAll(channel)
    }
    // What the channel held is in its place before the next consumer gets messages.
    for consumer in consumers where consumer.queue.rules.hasSingleConsumer && !consumer.queue.isDeleted {
      dispatcher.dispatch(consumer.queue)
    }
  }

  private func endTransaction(_ channel: BrokerChannel) {
    guard let transaction = channel.transaction else { return }
    channel.transaction = nil
    channel.connection.transactionBytes -= transaction.bytes
    settlements.rollBack(transaction, channel)
  }

  /// Ends everything that belongs to a connection.
  func close(_ client: BrokerConnection) {
    for number in client.channels.keys.sorted() { close(client.channels[number]!) }
    for name in client.ownedQueues.elements {
      if let queue = topology.queue(name.text), queue.owner == client.id { delete(queue, owner: client) }
    }
  }
}
