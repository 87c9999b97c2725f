import Environment

/// Messages on their way in and out.
extension Broker {
  /// Bodies that are read from the disk in one go: this many, and so many bytes.
  private static let pageSize = 256
  private static let pageBytes = 8 << 20

  // MARK: In

  func publish(_ command: AMQPCommand, _ channel: BrokerChannel) throws(AMQPError) {
    guard case .basicPublish(let name, let key, let mandatory, let immediate) = command.method else { return }
    guard !immediate else { throw AMQPError(540, "NOT_IMPLEMENTED - immediate=true") }
    guard let exchange = exchanges[name] else { throw AMQPError(404, "NOT_FOUND - no exchange '\(name)' in vhost '/'") }
    guard !exchange.isInternal else {
      throw AMQPError(403, "ACCESS_REFUSED - cannot publish to internal exchange '\(name)' in vhost '/'")
    }
    let properties = try command.readProperties()
    if let user = properties.userID, user != channel.connection.user {
      throw AMQPError(
        406,
        "PRECONDITION_FAILED - user_id property set to '\(user)' but authenticated user was '\(channel.connection.user)'"
      )
    }
    let lifetime = try Milliseconds.lifetime(properties.expiration)
    let message = BrokerMessage(
      exchange: name, routingKey: key, properties: command.properties, body: command.body,
      isPersistent: properties.isPersistent)
    let targets = exchange.queues(for: key)
    if targets.isEmpty, mandatory {
      AMQPFrames.write(
        .basicReturn(code: 312, text: "NO_ROUTE", exchange: name, routingKey: key), message, channel)
    }
    let client = channel.connection
    client.hasPublished = true
    var waitsForDisk = false
    for target in targets {
      guard let queue = queues[target] else { continue }
      if enqueue(message, in: queue, lifetime: lifetime) { waitsForDisk = true } else { client.fillsMemory = true }
    }
    guard channel.isConfirming else { return }
    channel.lastPublish += 1
    channel.expectConfirm(channel.lastPublish)
    if waitsForDisk, !options.planted(.confirmsEarly) {
      confirm(channel.lastPublish, on: channel)
    } else {
      channel.confirm(channel.lastPublish)
      for method in channel.takeConfirms() { client.send(method, on: channel.number) }
    }
  }

  /// Adds a message at the end of a queue; whether the disk is to have it.
  @discardableResult
  func enqueue(_ message: BrokerMessage, in queue: BrokerQueue, lifetime: Milliseconds?) -> Bool {
    let isDurable = message.isPersistent && isStored(queue)
    var lifetime = lifetime
    if let limit = queue.rules.timeToLive { lifetime = min(limit, lifetime ?? limit) }
    let expires = lifetime.map { now + Int64($0.count) } ?? 0
    let id = newMessageID()
    queue.append(QueueEntry(id: id, message: message, expires: expires, isDurable: isDurable))
    memory += message.size
    if isDurable {
      store(.insert(id: id, queue: queue.name, expires: expires, message))
    } else {
      onlyInMemory += message.size
    }
    dispatch(queue)
    return isDurable
  }

  // MARK: Out

  /// The consumer whose turn it is. Each that is found to have no room waits at the limit that it has
  /// reached, so that it is not asked again at each message.
  func nextConsumer(of queue: BrokerQueue) -> BrokerConsumer? {
    while let consumer = queue.ready.removeFirst() {
      guard let limit = consumer.limit else {
        queue.ready.append(consumer)
        return consumer
      }
      consumer.isReady = false
      switch limit {
      case .consumer: break
      case .channel where !consumer.waitsForChannel:
        consumer.waitsForChannel = true
        consumer.channel.starved.append(consumer)
      case .connection where !consumer.waitsForConnection:
        consumer.waitsForConnection = true
        consumer.channel.connection.starved.append(consumer)
      case .channel, .connection: break
      }
    }
    return nil
  }

  /// Gives messages to a consumer that may have room again.
  func wake(_ consumer: BrokerConsumer) {
    guard !consumer.isCancelled else { return }
    consumer.queue.wake(consumer)
    dispatch(consumer.queue)
  }

  /// Gives messages to the consumers that wait for room on a channel, as far as there is some.
  func goOn(_ channel: BrokerChannel) {
    while channel.isFlowing, channel.mayHoldMore, !channel.isClosing, let consumer = channel.starved.removeFirst() {
      consumer.waitsForChannel = false
      wake(consumer)
    }
  }

  func deliver(_ entry: QueueEntry, _ message: BrokerMessage, to consumer: BrokerConsumer) {
    let channel = consumer.channel
    let tag = channel.nextTag()
    AMQPFrames.write(
      .basicDeliver(
        consumer: consumer.tag, tag: tag, redelivered: entry.isRedelivered, exchange: message.exchange,
        routingKey: message.routingKey), message, channel)
    if consumer.noAck {
      forget(entry)
    } else {
      consumer.unacknowledged += 1
      hold(BrokerChannel.Delivery(queue: consumer.queue, entry: entry, consumer: consumer), tag, channel)
    }
    flush(channel.connection)
  }

  /// A delivery that its client has to settle.
  private func hold(_ delivery: BrokerChannel.Delivery, _ tag: UInt64, _ channel: BrokerChannel) {
    if delivery.entry.isDurable { delivery.queue.unsettled.insert(delivery.entry.id) }
    channel.connection.unsettledBytes += delivery.size
    channel.unacknowledged[tag] = delivery
  }

  func get(_ name: String, _ noAck: Bool, _ command: AMQPCommand, _ channel: BrokerChannel) throws(AMQPError)
    -> AMQPMethod?
  {
    let queue = try queue(name, channel)
    guard noAck || channel.connection.mayHoldMore else {
      throw AMQPError(506, "RESOURCE_ERROR - more than \(BrokerConnection.maximumUnsettled) bytes are not acknowledged")
    }
    // Drops what has expired.
    dispatch(queue)
    guard let entry = queue.first else { return .basicGetEmpty }
    guard let message = entry.message else {
      // The body is on the disk: the command is taken up again when it is here.
      guard !isClosed else { throw AMQPError(541, "INTERNAL_ERROR - the broker is stopping") }
      channel.connection.pendingGet = (command, queue)
      load(queue)
      return nil
    }
    // There are more of these than a turn can drop.
    if isExpired(entry) { return .basicGetEmpty }
    _ = queue.removeFirst()
    memory -= message.size
    let tag = channel.nextTag()
    AMQPFrames.write(
      .basicGetOk(
        tag: tag, redelivered: entry.isRedelivered, exchange: message.exchange, routingKey: message.routingKey,
        messages: UInt32(clamping: queue.count)), message, channel)
    if noAck {
      forget(entry)
    } else {
      hold(BrokerChannel.Delivery(queue: queue, entry: entry, consumer: nil), tag, channel)
    }
    return nil
  }

  // MARK: Bodies from the disk

  /// Reads the next bodies of a queue from the disk, then goes on.
  func load(_ queue: BrokerQueue) {
    guard !queue.isLoading else { return }
    queue.isLoading = true
    let (name, id) = (queue.name, queue.id)
    let ids = queue.pagedOut(Self.pageSize)
    environment.executor.spawn("broker-load") { await self.load(name, id, ids) }
  }

  private func load(_ name: String, _ id: Int, _ ids: [Int64]) async {
    let found = await read(ids)
    // Another queue may have the name by now.
    guard let queue = queues[name], queue.id == id else { return }
    guard !found.isEmpty else { return endLoad(of: queue) }
    for (id, message) in found {
      if let message {
        if queue.pageIn(id, message) { memory += message.size }
      } else if queue.first?.id == id, queue.first?.message == nil {
        // The disk does not have it, or holds what no frame does: somebody has changed the file. The queue goes on without it.
        environment.log.error("broker-message-missing", ["queue": .string(name), "id": .int(id)])
        _ = queue.removeFirst()
      }
    }
    endLoad(of: queue)
    dispatch(queue)
  }

  /// Reads until the database answers. Nothing when the broker is down.
  private func read(_ ids: [Int64]) async -> [(id: Int64, message: BrokerMessage?)] {
    while !isClosed {
      do {
        return try await database.transaction { try $0.brokerMessages(ids, bytes: Self.pageBytes) }
      } catch let error as DatabaseError {
        if case .closed = error { break }
        environment.log.warning("broker-load", ["error": .string(error.reason)])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { break }
      } catch {
        break
      }
    }
    return []
  }

  /// Lets those go on who wait for a queue's bodies.
  func endLoad(of queue: BrokerQueue) {
    queue.isLoading = false
    let waiters = queue.loadWaiters
    queue.loadWaiters = []
    for waiter in waiters { waiter.resume() }
  }

  /// Waits until a queue's bodies have been read.
  func loaded(_ queue: BrokerQueue) async {
    guard queue.isLoading, !queue.isDeleted else { return }
    await withUnsafeContinuation { queue.loadWaiters.append($0) }
  }
}

extension AMQPFrames {
  /// A method with a message, in frames that the channel's client takes.
  static func write(_ method: AMQPMethod, _ message: BrokerMessage, _ channel: BrokerChannel) {
    let client = channel.connection
    write(
      method, properties: message.properties(frameMax: client.frameMax), body: message.body, channel.number,
      frameMax: client.frameMax, to: &client.output)
  }
}
