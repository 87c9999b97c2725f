import Environment

/// Serves what clients ask for on their channels. Used on the broker's actor.
struct BrokerCommands {
  /// Channels of one connection.
  static let maximumChannels: UInt16 = 2047
  /// Reply codes that close the channel. The others close the connection (AMQP 0-9-1, the constants' classes).
  private static let softErrors: Set<UInt16> = [311, 312, 313, 403, 404, 405, 406]

  private let environment: Environment
  private let journal: BrokerJournal
  private let topology: BrokerTopology
  private let ledger: MessageLedger
  private let dispatcher: QueueDispatcher
  private let settlements: Settlements
  private let removals: Removals
  private let planted: PlantedBugs

  init(
    _ environment: Environment, _ journal: BrokerJournal, _ topology: BrokerTopology, _ ledger: MessageLedger,
    _ dispatcher: QueueDispatcher, _ settlements: Settlements, _ removals: Removals, _ planted: PlantedBugs
  ) {
    self.environment = environment
    self.journal = journal
    self.topology = topology
    self.ledger = ledger
    self.dispatcher = dispatcher
    self.settlements = settlements
    self.removals = removals
    self.planted = planted
  }

  /// Serves a command. Its answer is written to the client's output.
  /// - Throws: `AMQPError` when the connection has to be closed.
  func take(_ command: AMQPCommand, _ client: BrokerConnection) throws(AMQPError) {
    let number = command.channel
    guard number != 0 else { throw AMQPError(503, "COMMAND_INVALID - a method on channel 0") }
    if case .channelOpen = command.method {
      guard client.channels[number] == nil else { throw AMQPError(504, "CHANNEL_ERROR - channel \(number) is open") }
      guard number <= Self.maximumChannels else { throw AMQPError(530, "NOT_ALLOWED - too many channels") }
      client.channels[number] = BrokerChannel(number, client)
      client.send(.channelOpenOk, on: number)
      return
    }
    guard let channel = client.channels[number] else {
      throw AMQPError(504, "CHANNEL_ERROR - channel \(number) is not open")
    }
    if channel.isClosing {
      if case .channelCloseOk = command.method { client.channels[number] = nil }
      // Both sides have closed it at the same time.
      if case .channelClose = command.method { client.send(.channelCloseOk, on: number) }
      return
    }
    do throws(AMQPError) {
      if let answer = try serve(command, channel) { client.send(answer, on: number) }
    } catch {
      guard Self.softErrors.contains(error.code) else { throw error }
      let id = command.method.id
      removals.close(channel)
      client.send(
        .channelClose(
          code: error.code, text: error.reason, classID: UInt16(id >> 16), methodID: UInt16(id & 0xFFFF)), on: number)
    }
  }

  /// Serves a method. Returns the answer, unless it was written already.
  private func serve(_ command: AMQPCommand, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    switch command.method {
    case .basicPublish: try publish(command, channel)
    case .basicAck(let tag, let multiple): try settlements.acknowledge(tag, multiple: multiple, channel)
    case .basicNack(let tag, let multiple, let requeue):
      try settlements.reject(tag, multiple: multiple, requeue: requeue, channel)
    case .basicReject(let tag, let requeue): try settlements.reject(tag, multiple: false, requeue: requeue, channel)
    case .basicGet(let name, let noAck): return try get(name, noAck: noAck, command, channel)
    case .basicConsume(let consumption): try consume(consumption, channel)
    case .basicCancel(let tag, let noWait):
      if let consumer = channel.consumers[tag] { removals.cancel(consumer) }
      return noWait ? nil : .basicCancelOk(tag: tag)
    case .basicQos(let size, let count, let isGlobal):
      guard size == 0 else { throw AMQPError(540, "NOT_IMPLEMENTED - prefetch_size!=0") }
      if isGlobal { channel.sharedPrefetch = Int(count) } else { channel.prefetch = Int(count) }
      // A higher limit makes room.
      if isGlobal { dispatcher.goOn(channel) }
      return .basicQosOk
    case .basicRecover(let requeue), .basicRecoverAsync(let requeue):
      guard requeue else { throw AMQPError(540, "NOT_IMPLEMENTED - recover without requeue") }
      settlements.requeueAll(channel)
      if case .basicRecover = command.method { return .basicRecoverOk }
    case .confirmSelect(let noWait):
      channel.confirms.isEnabled = true
      return noWait ? nil : .confirmSelectOk
    case .channelFlow(let active):
      channel.isFlowing = active
      dispatcher.goOn(channel)
      return .channelFlowOk(active: active)
    case .channelClose:
      removals.close(channel)
      channel.connection.channels[channel.number] = nil
      return .channelCloseOk
    case .channelCloseOk, .channelFlowOk, .basicCancelOk: break
    default: return try change(command.method, channel)
    }
    return nil
  }

  // MARK: Exchanges and queues

  /// Serves a method that changes exchanges or queues. The answer says that the change is on the disk,
  /// so it waits for the commit.
  private func change(_ method: AMQPMethod, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    switch method {
    case .exchangeDeclare(let declaration):
      try topology.declare(declaration)
      return held(.exchangeDeclareOk, unless: declaration.noWait, channel)
    case .exchangeDelete(let name, let ifUnused, let noWait):
      try topology.deleteExchange(name, ifUnused: ifUnused)
      return held(.exchangeDeleteOk, unless: noWait, channel)
    case .queueDeclare(let declaration):
      let queue = try declare(declaration, channel)
      channel.lastQueue = queue.name
      return held(
        .queueDeclareOk(
          queue: queue.name, messages: UInt32(clamping: queue.count),
          consumers: UInt32(clamping: queue.consumerCount)),
        unless: declaration.noWait, channel)
    case .queueBind(let name, let exchange, let key, let noWait, let arguments):
      guard arguments.entries.isEmpty else { throw AMQPError(540, "NOT_IMPLEMENTED - arguments of a binding") }
      try topology.bind(try queue(name, channel), exchange, name.isEmpty && key.isEmpty ? channel.lastQueue : key)
      return held(.queueBindOk, unless: noWait, channel)
    case .queueUnbind(let name, let exchange, let key, _):
      try topology.unbind(try queue(name, channel), exchange, key)
      return held(.queueUnbindOk, unless: false, channel)
    case .queuePurge(let name, let noWait):
      let count = ledger.purge(try queue(name, channel))
      return held(.queuePurgeOk(messages: UInt32(clamping: count)), unless: noWait, channel)
    case .queueDelete(let name, let ifUnused, let ifEmpty, let noWait):
      let name = name.isEmpty ? channel.lastQueue : name
      // Deleting a queue that does not exist is no error, as in RabbitMQ since 3.2.
      guard topology.queue(name) != nil else { return noWait ? nil : .queueDeleteOk(messages: 0) }
      let queue = try queue(name, channel)
      if ifUnused, queue.consumerCount > 0 {
        throw AMQPError(406, "PRECONDITION_FAILED - queue '\(queue.name)' in use")
      }
      if ifEmpty, queue.count > 0 { throw AMQPError(406, "PRECONDITION_FAILED - queue '\(queue.name)' not empty") }
      let count = queue.count
      removals.delete(queue, owner: queue.owner == nil ? nil : channel.connection)
      return held(.queueDeleteOk(messages: UInt32(clamping: count)), unless: noWait, channel)
    default: throw AMQPError(503, "COMMAND_INVALID - a method that no client sends")
    }
  }

  private func held(_ method: AMQPMethod, unless noWait: Bool, _ channel: BrokerChannel) -> AMQPMethod? {
    if noWait { return nil }
    channel.connection.output.hold()
    return method
  }

  /// The queue with a name; an empty name stands for the queue that was declared last.
  private func queue(_ name: String, _ channel: BrokerChannel) throws(AMQPError) -> BrokerQueue {
    try topology.queue(name.isEmpty ? channel.lastQueue : name, for: channel.connection.id)
  }

  private func declare(
    _ declaration: AMQPMethod.QueueDeclaration, _ channel: BrokerChannel
  ) throws(AMQPError) -> BrokerQueue {
    if declaration.passive { return try queue(declaration.queue, channel) }
    if planted(.convertsTimesUnchecked) { Self.convertTime(of: declaration.arguments) }
    let queue = try topology.declare(declaration, for: channel.connection.id) { newName("amq.gen-") }
    if declaration.exclusive { channel.connection.ownedQueues.insert(queue.name) }
    return queue
  }

  private func newName(_ prefix: String) -> String { prefix + Hex.encode(environment.entropy.bytes(12)) }

  // MARK: Messages

  private func publish(_ command: AMQPCommand, _ channel: BrokerChannel) throws(AMQPError) {
    guard case .basicPublish(let name, let key, let mandatory, let immediate) = command.method else { return }
    guard !immediate else { throw AMQPError(540, "NOT_IMPLEMENTED - immediate=true") }
    let exchange = try topology.existingExchange(name)
    guard !exchange.isInternal else {
      throw AMQPError(403, "ACCESS_REFUSED - cannot publish to internal exchange '\(name)' in vhost '/'")
    }
    let client = channel.connection
    let properties = try command.readProperties()
    if let user = properties.userID, user != client.user {
      throw AMQPError(
        406, "PRECONDITION_FAILED - user_id property set to '\(user)' but authenticated user was '\(client.user)'")
    }
    let lifetime = try Milliseconds.lifetime(properties.expiration)
    let message = BrokerMessage(
      exchange: name, routingKey: key, properties: command.properties, body: command.body,
      isPersistent: properties.isPersistent)
    let targets = exchange.queues(for: key)
    if targets.isEmpty, mandatory {
      channel.send(.basicReturn(code: 312, text: "NO_ROUTE", exchange: name, routingKey: key), message)
    }
    client.hasPublished = true
    var waitsForDisk = false
    for target in targets {
      guard let queue = topology.queue(target) else { continue }
      if dispatcher.enqueue(message, in: queue, lifetime: lifetime) {
        waitsForDisk = true
      } else {
        client.fillsMemory = true
      }
    }
    guard channel.confirms.isEnabled else { return }
    let tag = channel.confirms.expect()
    if waitsForDisk, !planted(.confirmsEarly) {
      journal.confirm(tag, on: channel)
    } else {
      channel.confirms.confirm(tag)
      channel.sendConfirms()
    }
  }

  private func get(
    _ name: String, noAck: Bool, _ command: AMQPCommand, _ channel: BrokerChannel
  ) throws(AMQPError) -> AMQPMethod? {
    let queue = try queue(name, channel)
    guard noAck || channel.connection.mayHoldMore else {
      throw AMQPError(506, "RESOURCE_ERROR - more than \(BrokerConnection.maximumUnsettled) bytes are not acknowledged")
    }
    switch dispatcher.get(queue, noAck: noAck, channel) {
    case .sent: return nil
    case .empty: return .basicGetEmpty
    case .loading:
      guard !journal.isClosed else { throw AMQPError(541, "INTERNAL_ERROR - the broker is stopping") }
      channel.connection.pendingGet = (command, queue)
      return nil
    }
  }

  private func consume(_ wanted: AMQPMethod.Consumption, _ channel: BrokerChannel) throws(AMQPError) {
    let queue = try queue(wanted.queue, channel)
    guard !wanted.noLocal else { throw AMQPError(540, "NOT_IMPLEMENTED - no_local") }
    let tag = wanted.tag.isEmpty ? newName("amq.ctag-") : wanted.tag
    guard channel.consumers[tag] == nil else {
      throw AMQPError(530, "NOT_ALLOWED - attempt to reuse consumer tag '\(tag)'")
    }
    guard queue.consumerCount == 0 || !wanted.exclusive && !queue.isTakenExclusively else {
      throw AMQPError(403, "ACCESS_REFUSED - queue '\(queue.name)' in vhost '/' in exclusive use")
    }
    let consumer = BrokerConsumer(
      tag: tag, channel: channel, queue: queue, noAck: wanted.noAck, isExclusive: wanted.exclusive,
      prefetch: channel.prefetch)
    channel.consumers[tag] = consumer
    queue.add(consumer)
    // The answer precedes the first delivery.
    if !wanted.noWait { channel.send(.basicConsumeOk(tag: tag)) }
    dispatcher.dispatch(queue)
  }
}
