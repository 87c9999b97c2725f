import Environment

/// What clients ask for on a channel.
extension Broker {
  func take(_ command: AMQPCommand, on number: UInt16, _ client: BrokerConnection) throws {
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
      // Both sides have closed it at once.
      if case .channelClose = command.method { client.send(.channelCloseOk, on: number) }
      return
    }
    do throws(AMQPError) {
      if let answer = try handle(command, channel) { client.send(answer, on: number) }
    } catch {
      // Some faults end the channel, the others the connection (AMQP 0-9-1, the constants' classes).
      guard [311, 312, 313, 403, 404, 405, 406].contains(error.code) else { throw error }
      let id = command.method.id
      close(channel)
      channel.isClosing = true
      client.channels[number] = channel
      client.send(
        .channelClose(
          code: error.code, text: error.reason, classID: UInt16(id >> 16), methodID: UInt16(id & 0xFFFF)), on: number)
    }
  }

  /// Handles a method; what is returned is the answer.
  private func handle(_ command: AMQPCommand, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    switch command.method {
    case .basicPublish: try publish(command, channel)
    case .basicAck(let tag, let multiple): try acknowledge(tag, multiple, channel)
    case .basicNack(let tag, let multiple, let requeue): try reject(tag, multiple, requeue: requeue, channel)
    case .basicReject(let tag, let requeue): try reject(tag, false, requeue: requeue, channel)
    case .basicGet(let name, let noAck): return try get(name, noAck, command, channel)
    case .basicConsume(let consumption): return try consume(consumption, channel)
    case .basicCancel(let tag, let noWait):
      if let consumer = channel.consumers[tag] { remove(consumer) }
      return noWait ? nil : .basicCancelOk(tag: tag)
    case .basicQos(let size, let count, let isGlobal):
      guard size == 0 else { throw AMQPError(540, "NOT_IMPLEMENTED - prefetch_size!=0") }
      if isGlobal { channel.sharedPrefetch = Int(count) } else { channel.prefetch = Int(count) }
      // A higher limit makes room.
      if isGlobal { goOn(channel) }
      return .basicQosOk
    case .basicRecover(let requeue), .basicRecoverAsync(let requeue):
      guard requeue else { throw AMQPError(540, "NOT_IMPLEMENTED - recover without requeue") }
      putBack(channel.takeAll(), channel)
      if case .basicRecover = command.method { return .basicRecoverOk }
    case .confirmSelect(let noWait):
      channel.isConfirming = true
      return noWait ? nil : .confirmSelectOk
    case .channelFlow(let active):
      channel.isFlowing = active
      goOn(channel)
      return .channelFlowOk(active: active)
    case .channelClose:
      close(channel)
      channel.connection.channels[channel.number] = nil
      return .channelCloseOk
    case .channelCloseOk, .channelFlowOk, .basicCancelOk: break
    default: return try change(command.method, channel)
    }
    return nil
  }

  /// What changes exchanges and queues. An answer says that the change is on the disk, and is held until it is.
  private func change(_ method: AMQPMethod, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    switch method {
    case .exchangeDeclare(let declaration):
      try declare(declaration)
      return answer(.exchangeDeclareOk, unless: declaration.noWait, channel)
    case .exchangeDelete(let name, let ifUnused, let noWait):
      try deleteExchange(name, ifUnused: ifUnused)
      return answer(.exchangeDeleteOk, unless: noWait, channel)
    case .queueDeclare(let declaration):
      let queue = try declare(declaration, channel)
      channel.lastQueue = queue.name
      return answer(
        .queueDeclareOk(
          queue: queue.name, messages: UInt32(clamping: queue.count),
          consumers: UInt32(clamping: queue.consumerCount)),
        unless: declaration.noWait, channel)
    case .queueBind(let name, let exchange, let key, let noWait, let arguments):
      guard arguments.entries.isEmpty else { throw AMQPError(540, "NOT_IMPLEMENTED - arguments of a binding") }
      try bind(try queue(name, channel), exchange, name.isEmpty && key.isEmpty ? channel.lastQueue : key)
      return answer(.queueBindOk, unless: noWait, channel)
    case .queueUnbind(let name, let exchange, let key, _):
      try unbind(try queue(name, channel), exchange, key)
      return answer(.queueUnbindOk, unless: false, channel)
    case .queuePurge(let name, let noWait):
      let count = purge(try queue(name, channel))
      return answer(.queuePurgeOk(messages: UInt32(clamping: count)), unless: noWait, channel)
    case .queueDelete(let name, let ifUnused, let ifEmpty, let noWait):
      // Deleting what is not there is no fault, as RabbitMQ has it since 3.2.
      guard let queue = queues[name.isEmpty ? channel.lastQueue : name] else {
        return noWait ? nil : .queueDeleteOk(messages: 0)
      }
      try check(queue, channel)
      if ifUnused, queue.consumerCount > 0 {
        throw AMQPError(406, "PRECONDITION_FAILED - queue '\(queue.name)' in use")
      }
      if ifEmpty, queue.count > 0 { throw AMQPError(406, "PRECONDITION_FAILED - queue '\(queue.name)' not empty") }
      let count = queue.count
      delete(queue)
      return answer(.queueDeleteOk(messages: UInt32(clamping: count)), unless: noWait, channel)
    default: throw AMQPError(503, "COMMAND_INVALID - a broker is not sent this")
    }
  }

  private func answer(_ method: AMQPMethod, unless noWait: Bool, _ channel: BrokerChannel) -> AMQPMethod? {
    if noWait { return nil }
    channel.connection.hold()
    return method
  }

  // MARK: Exchanges

  private func declare(_ declaration: AMQPMethod.ExchangeDeclaration) throws(AMQPError) {
    let name = declaration.exchange
    if let known = exchanges[name] {
      if declaration.passive { return }
      guard !name.isEmpty else { throw AMQPError(403, "ACCESS_REFUSED - the default exchange cannot be declared") }
      guard known.kind.rawValue == declaration.kind, known.isDurable == declaration.durable,
        known.isAutoDelete == declaration.autoDelete, known.isInternal == declaration.isInternal
      else { throw AMQPError(406, "PRECONDITION_FAILED - inequivalent arg for exchange '\(name)' in vhost '/'") }
      return
    }
    if declaration.passive { throw AMQPError(404, "NOT_FOUND - no exchange '\(name)' in vhost '/'") }
    guard !name.hasPrefix("amq.") else {
      throw AMQPError(403, "ACCESS_REFUSED - exchange name '\(name)' contains reserved prefix 'amq.*'")
    }
    guard let kind = ExchangeKind(rawValue: declaration.kind) else {
      let isKnown = declaration.kind == "headers"
      throw isKnown
        ? AMQPError(540, "NOT_IMPLEMENTED - exchange type 'headers'")
        : AMQPError(503, "COMMAND_INVALID - unknown exchange type '\(declaration.kind)'")
    }
    guard declaration.arguments.entries.isEmpty else {
      throw AMQPError(540, "NOT_IMPLEMENTED - exchange argument '\(declaration.arguments.entries[0].name)'")
    }
    let exchange = Exchange(
      name: name, kind: kind, isDurable: declaration.durable, isAutoDelete: declaration.autoDelete,
      isInternal: declaration.isInternal)
    exchanges[name] = exchange
    if exchange.isDurable { store(.addExchange(exchange)) }
  }

  private func deleteExchange(_ name: String, ifUnused: Bool) throws(AMQPError) {
    guard let exchange = exchanges[name] else { return }
    guard !name.isEmpty, !name.hasPrefix("amq.") else {
      throw AMQPError(403, "ACCESS_REFUSED - exchange '\(name)' is the broker's own")
    }
    if ifUnused, !exchange.isUnused {
      throw AMQPError(406, "PRECONDITION_FAILED - exchange '\(name)' in use")
    }
    exchanges[name] = nil
    for queue in exchange.boundQueues { queues[queue]?.exchanges.remove(name) }
    if exchange.isDurable { store(.removeExchange(name)) }
  }

  // MARK: Queues

  /// The queue of a name; the last that was declared for an empty one.
  func queue(_ name: String, _ channel: BrokerChannel) throws(AMQPError) -> BrokerQueue {
    let name = name.isEmpty ? channel.lastQueue : name
    guard let queue = queues[name] else { throw AMQPError(404, "NOT_FOUND - no queue '\(name)' in vhost '/'") }
    try check(queue, channel)
    return queue
  }

  private func check(_ queue: BrokerQueue, _ channel: BrokerChannel) throws(AMQPError) {
    if let owner = queue.owner, owner != channel.connection.id {
      throw AMQPError(
        405, "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '\(queue.name)' in vhost '/'")
    }
  }

  private func declare(
    _ declaration: AMQPMethod.QueueDeclaration, _ channel: BrokerChannel
  ) throws(AMQPError) -> BrokerQueue {
    var name = declaration.queue
    if declaration.passive { return try queue(name, channel) }
    if options.planted(.convertsTimesUnchecked) { Self.convertTime(of: declaration.arguments) }
    if let known = queues[name], !name.isEmpty {
      try check(known, channel)
      guard known.isDurable == declaration.durable, (known.owner != nil) == declaration.exclusive,
        known.isAutoDelete == declaration.autoDelete, known.rules == (try QueueRules(declaration.arguments))
      else { throw AMQPError(406, "PRECONDITION_FAILED - inequivalent arg for queue '\(name)' in vhost '/'") }
      return known
    }
    if name.isEmpty {
      name = "amq.gen-" + Hex.encode(environment.entropy.bytes(12))
    } else if name.hasPrefix("amq.") {
      throw AMQPError(403, "ACCESS_REFUSED - queue name '\(name)' contains reserved prefix 'amq.*'")
    }
    let queue = addQueue(
      name, isDurable: declaration.durable, isAutoDelete: declaration.autoDelete,
      owner: declaration.exclusive ? channel.connection.id : nil, rules: try QueueRules(declaration.arguments))
    if declaration.exclusive { channel.connection.ownedQueues.insert(name) }
    if isStored(queue) {
      store(.addQueue(name: name, isAutoDelete: queue.isAutoDelete, arguments: queue.rules.arguments))
    }
    return queue
  }

  /// An exclusive queue ends with its connection, so it never outlives the process.
  func isStored(_ queue: BrokerQueue) -> Bool { queue.isDurable && queue.owner == nil }

  private func bind(_ queue: BrokerQueue, _ name: String, _ key: String) throws(AMQPError) {
    guard !name.isEmpty else {
      throw AMQPError(403, "ACCESS_REFUSED - operation not permitted on the default exchange")
    }
    guard exchanges[name] != nil else { throw AMQPError(404, "NOT_FOUND - no exchange '\(name)' in vhost '/'") }
    let binding = Binding(queue: queue.name, routingKey: key)
    guard exchanges[name]!.bind(binding) else { return }
    queue.exchanges.insert(name)
    if isBindingStored(queue, name) { store(.bind(exchange: name, binding)) }
  }

  private func unbind(_ queue: BrokerQueue, _ name: String, _ key: String) throws(AMQPError) {
    guard !name.isEmpty else {
      throw AMQPError(403, "ACCESS_REFUSED - operation not permitted on the default exchange")
    }
    guard exchanges[name] != nil else { throw AMQPError(404, "NOT_FOUND - no exchange '\(name)' in vhost '/'") }
    let binding = Binding(queue: queue.name, routingKey: key)
    guard exchanges[name]!.unbind(binding) else { return }
    if !exchanges[name]!.isBound(queue.name) { queue.exchanges.remove(name) }
    if isBindingStored(queue, name) { store(.unbind(exchange: name, binding)) }
    removeIfDone(name)
  }

  private func isBindingStored(_ queue: BrokerQueue, _ exchange: String) -> Bool {
    exchanges[exchange]!.isDurable && isStored(queue)
  }

  private func removeIfDone(_ name: String) {
    guard let exchange = exchanges[name], exchange.isAutoDelete, exchange.isUnused else { return }
    exchanges[name] = nil
    if exchange.isDurable { store(.removeExchange(name)) }
  }

  private func purge(_ queue: BrokerQueue) -> Int {
    let removed = queue.removeAll()
    for entry in removed {
      memory -= entry.message?.size ?? 0
      forget(entry)
    }
    return removed.count
  }

  func delete(_ queue: BrokerQueue) {
    guard !queue.isDeleted else { return }
    queue.isDeleted = true
    queue.timer?.cancel()
    queues[queue.name] = nil
    if let owner = queue.owner { connections[owner]?.ownedQueues.remove(queue.name) }
    _ = purge(queue)
    // What its consumers hold goes from the disk with it: another queue of its name is not to find it there.
    for id in queue.unsettled.sorted() { store(.delete(id: id)) }
    queue.unsettled = []
    removeBindings(of: queue)
    for consumer in queue.consumers where !consumer.isCancelled {
      queue.remove(consumer)
      consumer.channel.consumers[consumer.tag] = nil
      let client = consumer.channel.connection
      if client.hearsCancellations, !client.isGone {
        client.send(.basicCancel(tag: consumer.tag, noWait: true), on: consumer.channel.number)
        flush(client)
      }
    }
    queue.ready = ConsumerList()
    endLoad(of: queue)
    if isStored(queue) { store(.removeQueue(queue.name)) }
  }

  private func removeBindings(of queue: BrokerQueue) {
    _ = exchanges[""]!.unbind(Binding(queue: queue.name, routingKey: queue.name))
    for name in queue.exchanges.elements {
      for key in exchanges[name]!.unbindAll(queue.name) where isBindingStored(queue, name) {
        store(.unbind(exchange: name, Binding(queue: queue.name, routingKey: key)))
      }
      removeIfDone(name)
    }
  }

  // MARK: Consumers

  private func consume(_ wanted: AMQPMethod.Consumption, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    let queue = try queue(wanted.queue, channel)
    guard !wanted.noLocal else { throw AMQPError(540, "NOT_IMPLEMENTED - no_local") }
    let tag = wanted.tag.isEmpty ? "amq.ctag-" + Hex.encode(environment.entropy.bytes(12)) : wanted.tag
    guard channel.consumers[tag] == nil else {
      throw AMQPError(530, "NOT_ALLOWED - attempt to reuse consumer tag '\(tag)'")
    }
    // An exclusive consumer is the only one.
    guard queue.consumerCount == 0 || !wanted.exclusive && !queue.isTakenExclusively else {
      throw AMQPError(403, "ACCESS_REFUSED - queue '\(queue.name)' in vhost '/' in exclusive use")
    }
    let consumer = BrokerConsumer(
      tag: tag, channel: channel, queue: queue, noAck: wanted.noAck, isExclusive: wanted.exclusive,
      prefetch: channel.prefetch)
    channel.consumers[tag] = consumer
    queue.add(consumer)
    if !wanted.noWait { channel.connection.send(.basicConsumeOk(tag: tag), on: channel.number) }
    dispatch(queue)
    return nil
  }

  func remove(_ consumer: BrokerConsumer) {
    consumer.channel.consumers[consumer.tag] = nil
    let queue = consumer.queue
    queue.remove(consumer)
    if queue.isAutoDelete, queue.consumerCount == 0 { delete(queue) }
  }

  /// Ends a channel: its consumers go, and what they held goes back.
  func close(_ channel: BrokerChannel) {
    channel.isClosing = true
    for tag in channel.consumers.keys.sorted() { remove(channel.consumers[tag]!) }
    let held = channel.takeAll()
    if !options.planted(.losesUnacknowledged) {
      putBack(held, channel)
    } else {
      for delivery in held { settle(delivery, forgetting: true) }
    }
  }
}
