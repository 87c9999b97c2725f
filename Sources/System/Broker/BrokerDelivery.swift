/// Messages on their way: in, out, back, and to the dead-letter exchange.
extension Broker {
  /// Bodies that are read from the disk in one go.
  private static let pageSize = 256

  private var now: Int64 { environment.clock.wallTime.microseconds / 1000 }

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
    let lifetime = try Self.lifetime(properties.expiration)
    let message = BrokerMessage(
      exchange: name, routingKey: key, properties: command.properties, body: command.body,
      isPersistent: properties.isPersistent)
    let targets = exchange.queues(for: key)
    if targets.isEmpty, mandatory {
      AMQPFrames.write(
        .basicReturn(code: 312, text: "NO_ROUTE", exchange: name, routingKey: key), properties: message.properties,
        body: message.body, channel.number, frameMax: channel.connection.frameMax, to: &channel.connection.output)
    }
    var waitsForDisk = false
    for target in targets {
      guard let queue = queues[target] else { continue }
      if enqueue(message, in: queue, lifetime: lifetime) { waitsForDisk = true }
    }
    guard channel.isConfirming else { return }
    channel.lastPublish += 1
    channel.expectConfirm(channel.lastPublish)
    if waitsForDisk, !options.planted.contains(.confirmsEarly) {
      confirm(channel.lastPublish, on: channel)
    } else {
      channel.confirm(channel.lastPublish)
      for method in channel.takeConfirms() { channel.connection.send(method, on: channel.number) }
    }
  }

  private static func lifetime(_ expiration: String?) throws(AMQPError) -> Int64? {
    guard let expiration else { return nil }
    guard let lifetime = Int64(expiration), lifetime >= 0 else {
      throw AMQPError(406, "PRECONDITION_FAILED - invalid expiration '\(expiration.prefix(64))'")
    }
    return lifetime
  }

  /// Adds a message at the end of a queue; whether the disk is to have it.
  @discardableResult
  private func enqueue(_ message: BrokerMessage, in queue: BrokerQueue, lifetime: Int64?) -> Bool {
    let isDurable = message.isPersistent && isStored(queue)
    let lifetimes = [lifetime, queue.rules.timeToLive].compactMap { $0 }
    let expires = lifetimes.min().map { now + $0 } ?? 0
    let id = newMessageID()
    queue.append(QueueEntry(id: id, message: message, expires: expires, isDurable: isDurable))
    memory += message.size
    if isDurable { store(.insert(id: id, queue: queue.name, expires: expires, message)) }
    dispatch(queue)
    while let maximum = queue.rules.maximumLength, Int64(queue.count) > maximum, let entry = queue.first {
      guard drop(entry, of: queue, because: "maxlen") else { break }
    }
    return isDurable
  }

  // MARK: Out

  /// Gives ready messages to consumers, in order, to each consumer in turn.
  func dispatch(_ queue: BrokerQueue) {
    while let entry = queue.first, !queue.isLoading {
      if entry.expires != 0, entry.expires <= now {
        guard drop(entry, of: queue, because: "expired") else { return }
        continue
      }
      guard let consumer = nextConsumer(of: queue) else { break }
      guard let message = entry.message else { return load(queue) }
      _ = queue.removeFirst()
      memory -= message.size
      deliver(entry, message, to: consumer)
    }
    armTimer(queue)
  }

  private func nextConsumer(of queue: BrokerQueue) -> BrokerConsumer? {
    let count = queue.consumers.count
    for offset in 0..<count {
      let index = (queue.nextConsumer + offset) % count
      let consumer = queue.consumers[index]
      if consumer.hasRoom {
        queue.nextConsumer = (index + 1) % count
        return consumer
      }
      if !consumer.channel.connection.hasRoom { consumer.channel.connection.isStarved = true }
    }
    return nil
  }

  private func deliver(_ entry: QueueEntry, _ message: BrokerMessage, to consumer: BrokerConsumer) {
    let channel = consumer.channel
    let tag = channel.nextTag()
    AMQPFrames.write(
      .basicDeliver(
        consumer: consumer.tag, tag: tag, redelivered: entry.isRedelivered, exchange: message.exchange,
        routingKey: message.routingKey), properties: message.properties, body: message.body, channel.number,
      frameMax: channel.connection.frameMax, to: &channel.connection.output)
    if consumer.noAck {
      if entry.isDurable { store(.delete(id: entry.id)) }
    } else {
      consumer.unacknowledged += 1
      consumer.queue.unacknowledged += 1
      channel.unacknowledged[tag] = BrokerChannel.Delivery(queue: consumer.queue, entry: entry, consumer: consumer)
    }
    flush(channel.connection)
  }

  func get(_ name: String, _ noAck: Bool, _ channel: BrokerChannel) throws(AMQPError) -> AMQPMethod? {
    let queue = try queue(name, channel)
    while let entry = queue.first, entry.expires != 0, entry.expires <= now, drop(entry, of: queue, because: "expired")
    {}
    guard let entry = queue.first else { return .basicGetEmpty }
    guard let message = entry.message else {
      // The body is on the disk: it is answered when it is here.
      queue.getters.append((channel.connection.id, channel.number, noAck))
      load(queue)
      return nil
    }
    _ = queue.removeFirst()
    memory -= message.size
    answerGet(entry, message, queue, noAck, channel)
    return nil
  }

  private func answerGet(
    _ entry: QueueEntry, _ message: BrokerMessage, _ queue: BrokerQueue, _ noAck: Bool, _ channel: BrokerChannel
  ) {
    let tag = channel.nextTag()
    AMQPFrames.write(
      .basicGetOk(
        tag: tag, redelivered: entry.isRedelivered, exchange: message.exchange, routingKey: message.routingKey,
        messages: UInt32(queue.count)), properties: message.properties, body: message.body, channel.number,
      frameMax: channel.connection.frameMax, to: &channel.connection.output)
    if noAck {
      if entry.isDurable { store(.delete(id: entry.id)) }
    } else {
      queue.unacknowledged += 1
      channel.unacknowledged[tag] = BrokerChannel.Delivery(queue: queue, entry: entry, consumer: nil)
    }
  }

  /// Reads the next bodies of a queue from the disk, then goes on.
  private func load(_ queue: BrokerQueue) {
    guard !queue.isLoading, let first = queue.first else { return }
    queue.isLoading = true
    let name = queue.name
    let ids = queue.pagedOut(Self.pageSize)
    environment.executor.spawn("broker-load") { await self.load(name, first.id, ids) }
  }

  private func load(_ name: String, _ id: Int64, _ ids: [Int64]) async {
    var found: [(id: Int64, message: BrokerMessage)]?
    while found == nil {
      do {
        found = try await database.transaction { try $0.brokerMessages(ids) }
      } catch let error as DatabaseError where error.isUnavailable {
        environment.log.warning("broker-load", ["error": .string(error.reason)])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return }
      } catch {
        return
      }
    }
    guard let queue = queues[name] else { return }
    queue.isLoading = false
    for (id, message) in found! where queue.pageIn(id, message) { memory += message.size }
    if queue.first?.id == id, queue.first?.message == nil {
      // The disk does not have it: it was taken back, or lost with a file that somebody changed.
      environment.log.error("broker-message-missing", ["queue": .string(name), "id": .int(id)])
      _ = queue.removeFirst()
    }
    let getters = queue.getters
    queue.getters = []
    for (connection, number, noAck) in getters {
      guard let client = connections[connection], let channel = client.channels[number], !channel.isClosing else {
        continue
      }
      if let answer = try? get(name, noAck, channel) { client.send(answer, on: number) }
      flush(client)
    }
    dispatch(queue)
  }

  func dispatchQueues(of client: BrokerConnection) {
    for number in client.channels.keys.sorted() {
      guard let channel = client.channels[number] else { continue }
      for tag in channel.consumers.keys.sorted() { channel.consumers[tag].map { dispatch($0.queue) } }
    }
  }

  // MARK: Back

  private func settled(_ tag: UInt64, _ multiple: Bool, _ channel: BrokerChannel) throws(AMQPError)
    -> [BrokerChannel.Delivery]
  {
    guard let deliveries = channel.settle(tag, multiple: multiple) else {
      throw AMQPError(406, "PRECONDITION_FAILED - unknown delivery tag \(tag)")
    }
    for delivery in deliveries {
      delivery.queue.unacknowledged -= 1
      delivery.consumer?.unacknowledged -= 1
    }
    return deliveries
  }

  func acknowledge(_ tag: UInt64, _ multiple: Bool, _ channel: BrokerChannel) throws(AMQPError) {
    let deliveries = try settled(tag, multiple, channel)
    for delivery in deliveries where delivery.entry.isDurable && !delivery.queue.isDeleted {
      store(.delete(id: delivery.entry.id))
    }
    dispatch(after: deliveries, channel)
  }

  func reject(_ tag: UInt64, _ multiple: Bool, requeue: Bool, _ channel: BrokerChannel) throws(AMQPError) {
    let deliveries = try settled(tag, multiple, channel)
    if requeue {
      restore(deliveries)
    } else {
      for delivery in deliveries where !delivery.queue.isDeleted {
        if let message = delivery.entry.message { deadLetter(message, of: delivery.queue, because: "rejected") }
        if delivery.entry.isDurable { store(.delete(id: delivery.entry.id)) }
      }
    }
    dispatch(after: deliveries, channel)
  }

  /// A settled delivery makes room: in its queue's consumers, and under a limit that the channel's consumers share.
  private func dispatch(after deliveries: [BrokerChannel.Delivery], _ channel: BrokerChannel) {
    if channel.sharedPrefetch > 0 { return dispatchQueues(of: channel.connection) }
    var last: BrokerQueue?
    for delivery in deliveries where delivery.queue !== last {
      last = delivery.queue
      if !delivery.queue.isDeleted { dispatch(delivery.queue) }
    }
  }

  /// Puts back what was unsettled when a channel ended or asked for it.
  func putBack(_ deliveries: [BrokerChannel.Delivery]) {
    for delivery in deliveries {
      delivery.queue.unacknowledged -= 1
      delivery.consumer?.unacknowledged -= 1
    }
    restore(deliveries)
    var touched: [BrokerQueue] = []
    for delivery in deliveries where !touched.contains(where: { $0 === delivery.queue }) {
      touched.append(delivery.queue)
    }
    for queue in touched where !queue.isDeleted { dispatch(queue) }
  }

  private func restore(_ deliveries: [BrokerChannel.Delivery]) {
    for var delivery in deliveries where !delivery.queue.isDeleted {
      delivery.entry.isRedelivered = true
      memory += delivery.entry.message?.size ?? 0
      if options.planted.contains(.requeuesAtTheEnd) {
        delivery.queue.append(
          QueueEntry(
            id: newMessageID(), message: delivery.entry.message, expires: delivery.entry.expires, isRedelivered: true,
            isDurable: false))
      } else {
        delivery.queue.restore(delivery.entry)
      }
    }
  }

  // MARK: To the dead letters

  /// Takes the first entry out of its queue for good. False when its body has to come from the disk before.
  private func drop(_ entry: QueueEntry, of queue: BrokerQueue, because reason: String) -> Bool {
    if queue.rules.deadLetterExchange != nil {
      guard let message = entry.message else {
        load(queue)
        return false
      }
      deadLetter(message, of: queue, because: reason)
    }
    _ = queue.removeFirst()
    memory -= entry.message?.size ?? 0
    if entry.isDurable { store(.delete(id: entry.id)) }
    return true
  }

  /// Routes a message to its queue's dead-letter exchange; it is stored in the same commit in which it leaves its queue.
  private func deadLetter(_ message: BrokerMessage, of queue: BrokerQueue, because reason: String) {
    guard let name = queue.rules.deadLetterExchange, let exchange = exchanges[name] else { return }
    var reader = AMQPReader(message.properties[...])
    guard var properties = try? AMQPProperties(&reader) else { return }
    let (headers, isCycle) = DeadLetter.headers(
      properties.headers ?? AMQPTable(), queue: queue.name, reason: reason, exchange: message.exchange,
      routingKey: message.routingKey, at: UInt64(now / 1000))
    // A message that comes round by itself would do so for ever.
    if isCycle, reason != "rejected" { return }
    properties.headers = headers
    properties.expiration = nil
    let key = queue.rules.deadLetterRoutingKey ?? message.routingKey
    let letter = BrokerMessage(
      exchange: name, routingKey: key, properties: properties.bytes, body: message.body,
      isPersistent: message.isPersistent)
    for target in exchange.queues(for: key) {
      guard let target = queues[target] else { continue }
      enqueue(letter, in: target, lifetime: nil)
    }
  }

  /// Wakes a queue when its first message expires.
  private func armTimer(_ queue: BrokerQueue) {
    guard !queue.hasTimer, let first = queue.first, first.expires != 0 else { return }
    queue.hasTimer = true
    let wait = max(0, first.expires - now) + 1
    let name = queue.name
    environment.executor.spawn("broker-expiry") { await self.expire(name, after: .milliseconds(wait)) }
  }

  private func expire(_ name: String, after wait: Duration) async {
    do { try await environment.clock.sleep(for: wait) } catch { return }
    guard let queue = queues[name] else { return }
    queue.hasTimer = false
    dispatch(queue)
  }
}

/// What a message's headers say of its deaths, as RabbitMQ writes it.
enum DeadLetter {
  static func headers(
    _ headers: AMQPTable, queue: String, reason: String, exchange: String, routingKey: String, at time: UInt64
  ) -> (AMQPTable, isCycle: Bool) {
    var headers = headers
    var deaths: [AMQPTable] = []
    if case .array(let known)? = headers["x-death"] {
      deaths = known.compactMap { if case .table(let table) = $0 { table } else { nil } }
    }
    let index = deaths.firstIndex { $0["queue"]?.text == queue && $0["reason"]?.text == reason }
    var death: AMQPTable
    if let index {
      death = deaths.remove(at: index)
      death["count"] = .int64((death["count"]?.int ?? 0) + 1)
    } else {
      death = [
        "count": .int64(1), "reason": .text(reason), "queue": .text(queue), "time": .timestamp(time),
        "exchange": .text(exchange), "routing-keys": .array([.text(routingKey)]),
      ]
    }
    headers["x-death"] = .array(([death] + deaths).map { .table($0) })
    if headers["x-first-death-reason"] == nil {
      headers["x-first-death-reason"] = .text(reason)
      headers["x-first-death-queue"] = .text(queue)
      headers["x-first-death-exchange"] = .text(exchange)
    }
    return (headers, index != nil)
  }
}
