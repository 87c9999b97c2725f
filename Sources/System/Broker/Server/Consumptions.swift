import Environment

/// Serves `basic.get` and `basic.consume`. Used on the broker's actor.
struct Consumptions {
  let environment: Environment
  let journal: BrokerJournal
  let dispatcher: QueueDispatcher
  let topology: TopologyCommands
  let replies: DirectReplies
  let idle: IdleQueues

  func get(
    _ name: String, noAck: Bool, _ command: AMQPCommand, _ channel: BrokerChannel
  ) throws(AMQPError) -> AMQPMethod? {
    let queue = try topology.queue(name, channel)
    guard noAck || channel.connection.mayHoldMore else {
      throw AMQPError(506, "RESOURCE_ERROR - more than \(BrokerConnection.maximumUnsettled) bytes are not acknowledged")
    }
    if queue.rules.type == .quorum, queue.rules.hasSingleConsumer {
      throw AMQPError(
        405,
        "RESOURCE_LOCKED - cannot obtain access to locked queue '\(queue.name)' in vhost '/'. basic.get operations are not supported by quorum queues with single active consumer"
      )
    }
    idle.noteUse(of: queue)
    switch dispatcher.get(queue, noAck: noAck, channel) {
    case .sent: return nil
    case .empty: return .basicGetEmpty
    case .loading:
      guard !journal.isClosed else { throw AMQPError(541, "INTERNAL_ERROR - the broker is stopping") }
      channel.connection.pendingGet = (command, queue)
      return nil
    }
  }

  /// The option `no-local` has no effect, as in RabbitMQ.
  func consume(_ wanted: AMQPMethod.Consumption, _ channel: BrokerChannel) throws(AMQPError) {
    let name = try topology.name(wanted.queue, channel)
    let tag = wanted.tag.isEmpty ? "amq.ctag-" + Hex.encode(environment.entropy.bytes(12)) : wanted.tag
    // As in RabbitMQ, the tag of a consumer of replies may be used once more.
    guard channel.consumers[tag] == nil else {
      throw AMQPError(530, "NOT_ALLOWED - attempt to reuse consumer tag '\(tag)'")
    }
    if name == DirectReplies.queue {
      try replies.add(tag, noAck: wanted.noAck, channel)
      if !wanted.noWait { channel.send(.basicConsumeOk(tag: tag)) }
      return
    }
    let queue = try topology.queue(name, channel)
    let priority = try Self.priority(wanted.arguments, queue)
    guard queue.consumerCount == 0 || !wanted.exclusive && !queue.isTakenExclusively,
      !wanted.exclusive || !queue.rules.hasSingleConsumer
    else { throw AMQPError(403, "ACCESS_REFUSED - queue '\(queue.name)' in vhost '/' in exclusive use") }
    if queue.rules.type == .quorum, channel.sharedPrefetch.isLimited {
      throw AMQPError(540, "NOT_IMPLEMENTED - queue '\(queue.name)' in vhost '/' does not support global qos")
    }
    let consumer = BrokerConsumer(
      tag: tag, channel: channel, queue: queue, noAck: wanted.noAck, isExclusive: wanted.exclusive,
      prefetch: channel.prefetch, priority: priority)
    channel.consumers[tag] = consumer
    queue.add(consumer)
    // The answer precedes the first delivery.
    if !wanted.noWait { channel.send(.basicConsumeOk(tag: tag)) }
    dispatcher.dispatch(queue)
  }

  /// The priority of a consumer.
  /// - Throws: `AMQPError` 406 when an argument has another type.
  private static func priority(_ arguments: AMQPTable, _ queue: BrokerQueue) throws(AMQPError) -> Int32 {
    func invalid(_ name: String, _ fault: String) -> AMQPError {
      AMQPError(406, "PRECONDITION_FAILED - invalid arg '\(name)' for queue '\(queue.name)' in vhost '/': \(fault)")
    }
    if let value = arguments["x-cancel-on-ha-failover"], queue.rules.type == .classic {
      guard case .boolean = value else {
        throw invalid("x-cancel-on-ha-failover", "{unacceptable_type,\(value.typeName)}")
      }
    }
    if arguments["x-stream-offset"] != nil {
      throw AMQPError(
        406,
        "PRECONDITION_FAILED - invalid arg 'x-stream-offset' for queue '\(queue.name)' in vhost '/' of queue type rabbit_\(queue.rules.type.rawValue)_queue"
      )
    }
    guard let value = arguments["x-priority"] else { return 0 }
    guard let priority = value.int else {
      throw invalid("x-priority", "\"expected integer, got \(value.typeName)\"")
    }
    return Int32(clamping: priority)
  }
}
