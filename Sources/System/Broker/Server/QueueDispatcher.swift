import Environment

/// Moves messages through queues: to consumers in order and in turn, to dead-letter exchanges, and
/// out when they expire or a queue is too long. Used on the broker's actor.
///
/// A change in one queue can cause changes in others: clients choose which dead letters go where,
/// in chains of any length and in circles. So the dispatcher keeps a list of due work in place of a
/// recursion, a message has left its queue before it is passed on, and long work is done in shares.
final class QueueDispatcher {
  /// Something to do for a queue.
  private enum Work {
    /// Deliver its messages, and drop those that its limits do not let it keep.
    case serve(BrokerQueue)
    /// Pass on a delivery that died, and remove it for good.
    case bury(BrokerQueue, QueueEntry, DeathReason)
    /// Pass on a publication that a full queue has refused.
    case passOn(BrokerQueue, BrokerMessage)
  }

  /// The part of a turn's share that a dead letter takes. Any other death takes 1.
  private static let deadLetterCost = 8
  /// Time for others before the next share.
  private static let rest: Duration = .milliseconds(5)

  private let environment: Environment
  private let journal: BrokerJournal
  private let topology: BrokerTopology
  private let ledger: MessageLedger
  private let tasks: BrokerTasks
  private let replies: DirectReplies
  /// Work for this turn, and work for the turn after a rest.
  private var due: [Work] = []
  private var postponed: [Work] = []
  private var isDispatching = false

  init(
    _ environment: Environment, _ journal: BrokerJournal, _ topology: BrokerTopology, _ ledger: MessageLedger,
    _ tasks: BrokerTasks, _ replies: DirectReplies
  ) {
    self.environment = environment
    self.journal = journal
    self.topology = topology
    self.ledger = ledger
    self.tasks = tasks
    self.replies = replies
  }

  /// Wall-clock time in milliseconds.
  private var now: Int64 { environment.clock.wallTime.microseconds / 1000 }

  // MARK: Requests

  /// What a queue does with a message.
  enum Admission {
    /// It will be on the disk.
    case stored
    /// It is in memory alone.
    case kept
    /// The queue is full, and its overflow is not `drop-head`.
    case refused
  }

  /// Adds a message to a queue.
  @discardableResult
  func enqueue(_ message: BrokerMessage, in queue: BrokerQueue, lifetime: Milliseconds?) -> Admission {
    guard queue.contents.admits(bodyBytes: message.body.count) else {
      if queue.rules.limits.overflow == .rejectPublishDeadLetter, queue.rules.deadLetterExchange != nil {
        ledger.hold(message)
        run(.passOn(queue, message))
      }
      return .refused
    }
    var lifetime = lifetime
    if let limit = queue.rules.timeToLive { lifetime = min(limit, lifetime ?? limit) }
    let expires = lifetime.map { now + Int64($0.count) } ?? 0
    let isDurable = ledger.add(message, to: queue, expires: expires, isInstant: lifetime?.count == 0)
    dispatch(queue)
    return isDurable ? .stored : .kept
  }

  /// Delivers a queue's messages and enforces its limits. When called from within, it is done later
  /// in the turn.
  func dispatch(_ queue: BrokerQueue) {
    guard !queue.isDue else { return }
    queue.isDue = true
    run(.serve(queue))
  }

  /// Removes a delivery that died from its queue. It stays on the disk until its dead letters are
  /// there.
  func bury(_ delivery: BrokerDelivery, because reason: DeathReason) {
    run(.bury(delivery.queue, delivery.entry, reason))
  }

  /// Ends the claim of a delivery on its queue. With `forgetting`, the message is removed for good.
  func settle(_ delivery: BrokerDelivery, forgetting: Bool) {
    if delivery.entry.isDurable { delivery.queue.unsettled.remove(delivery.entry.id) }
    if forgetting { ledger.forget(delivery.entry, wasDeleted: delivery.queue.isDeleted) }
  }

  /// Wakes a queue whose first message has expired.
  func expire(_ id: BrokerQueue.ID) {
    guard let queue = topology.queue(id) else { return }
    queue.timer = nil
    queue.wakes = .max
    dispatch(queue)
  }

  /// Delivers to consumers of a client that has room again.
  func goOn(_ client: BrokerConnection) {
    client.wakeReader()
    while client.hasRoom, client.mayHoldMore, let consumer = client.starved.removeFirst() {
      consumer.waitsForConnection = false
      wake(consumer)
    }
  }

  /// Delivers to consumers of a channel that has room again.
  func goOn(_ channel: BrokerChannel) {
    while channel.hasRoom, channel.mayHoldMore, !channel.isClosing, let consumer = channel.starved.removeFirst() {
      consumer.waitsForChannel = false
      wake(consumer)
    }
  }

  private func wake(_ consumer: BrokerConsumer) {
    guard !consumer.isCancelled else { return }
    consumer.queue.wake(consumer)
    dispatch(consumer.queue)
  }

  // MARK: Due work

  private func run(_ work: Work) {
    guard !isDispatching else { return due.append(work) }
    isDispatching = true
    var share = environment.limits[.dispatchShare]
    // Usually nothing follows, and no list is needed.
    if !perform(work, &share) { postpone([work]) }
    while !due.isEmpty {
      let batch = due
      due = []
      for (index, work) in batch.enumerated() where !perform(work, &share) {
        postpone(batch[index...] + due)
        due = []
        break
      }
    }
    isDispatching = false
  }

  private func postpone(_ rest: ArraySlice<Work>) {
    let isResting = !postponed.isEmpty
    postponed += rest
    if !isResting { tasks.start(.dispatch(after: Self.rest)) }
  }

  /// Continues with work that was postponed.
  func goOn() {
    let batch = postponed
    postponed = []
    due = Array(batch.dropFirst())
    run(batch[0])
  }

  /// Returns false when the share is used up.
  private func perform(_ work: Work, _ share: inout Int) -> Bool {
    switch work {
    case .serve(let queue):
      guard !queue.isDeleted else { return true }
      // From here on it may become due again.
      queue.isDue = false
      if serve(queue, &share) { return true }
      queue.isDue = true
      return false
    case .passOn(let queue, let message):
      guard queue.isDeleted || spend(&share, on: queue) else { return false }
      ledger.release(message)
      if !queue.isDeleted { deadLetter(message, of: queue, because: .tooMany) }
      return true
    case .bury(let queue, let entry, let reason):
      guard spend(&share, on: queue) else { return false }
      let delivery = BrokerDelivery(queue: queue, entry: entry, consumer: nil)
      if !queue.isDeleted, let message = entry.message { deadLetter(message, of: queue, because: reason) }
      settle(delivery, forgetting: true)
      return true
    }
  }

  private func serve(_ queue: BrokerQueue, _ share: inout Int) -> Bool {
    serving: while !queue.isLoading {
      switch queue.contents.verdict(at: now) {
      case .nothing: break serving
      case .drop(let reason):
        guard spend(&share, on: queue) else { return false }
        dropFirst(of: queue, because: reason)
      case .deliver(let otherwise):
        if let consumer = nextConsumer(of: queue) {
          guard let entry = queue.first, let message = entry.message else {
            load(queue)
            break serving
          }
          ledger.takeFirst(of: queue)
          deliver(entry, message, to: consumer)
        } else if let otherwise, otherwise != .tooMany || !ledger.exceedsLengths {
          guard spend(&share, on: queue) else { return false }
          dropFirst(of: queue, because: otherwise)
        } else {
          break serving
        }
      }
    }
    armTimer(queue)
    return true
  }

  // MARK: Deliveries

  /// The consumer whose turn it is. A consumer without room waits at the limit that it has reached,
  /// so that it is not asked again at each message.
  private func nextConsumer(of queue: BrokerQueue) -> BrokerConsumer? {
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

  private func deliver(_ entry: QueueEntry, _ message: BrokerMessage, to consumer: BrokerConsumer) {
    let channel = consumer.channel
    let tag = channel.unsettled.nextTag()
    channel.send(
      .basicDeliver(
        consumer: consumer.tag, tag: tag, redelivered: entry.isRedelivered, exchange: message.exchange,
        routingKey: message.routingKey), message, returns: returns(of: entry, to: consumer.queue))
    if consumer.noAck {
      ledger.forget(entry)
    } else {
      consumer.unsettled += 1
      channel.sharedPrefetch.deliver()
      hold(BrokerDelivery(queue: consumer.queue, entry: entry, consumer: consumer), tag, channel)
    }
    channel.connection.flush()
  }

  /// The returns of a message that its consumer is told about.
  private func returns(of entry: QueueEntry, to queue: BrokerQueue) -> UInt16 {
    queue.rules.type == .quorum ? entry.returns : 0
  }

  /// Adds a delivery that its client has to settle.
  private func hold(_ delivery: BrokerDelivery, _ tag: UInt64, _ channel: BrokerChannel) {
    if delivery.entry.isDurable { delivery.queue.unsettled.insert(delivery.entry.id) }
    channel.connection.unsettledBytes += delivery.size
    channel.unsettled.add(delivery, tag)
  }

  /// What `get` has done.
  enum Got {
    case sent
    case empty
    /// The body is being read from the disk. Ask again when it is in memory.
    case loading
  }

  /// Sends the first message of a queue as the answer to `basic.get`.
  func get(_ queue: BrokerQueue, noAck: Bool, _ channel: BrokerChannel) -> Got {
    // Drops expired messages.
    dispatch(queue)
    guard let entry = queue.first else { return .empty }
    guard let message = entry.message else {
      load(queue)
      return .loading
    }
    // A turn cannot drop more than its share.
    if case .drop = queue.contents.verdict(at: now) { return .empty }
    ledger.takeFirst(of: queue)
    // The next messages may have expired behind it. They are not counted.
    dispatch(queue)
    let tag = channel.unsettled.nextTag()
    channel.send(
      .basicGetOk(
        tag: tag, redelivered: entry.isRedelivered, exchange: message.exchange, routingKey: message.routingKey,
        messages: UInt32(clamping: queue.count)), message, returns: returns(of: entry, to: queue))
    if noAck {
      ledger.forget(entry)
    } else {
      hold(BrokerDelivery(queue: queue, entry: entry, consumer: nil), tag, channel)
    }
    return .sent
  }

  // MARK: Deaths

  private func deadLetterExchange(of queue: BrokerQueue) -> Exchange? {
    queue.rules.deadLetterExchange.flatMap { topology.exchange($0) }
  }

  /// Pays for a death. Returns false while dead letters have to wait: a fanout exchange can make
  /// many out of one.
  private func spend(_ share: inout Int, on queue: BrokerQueue) -> Bool {
    guard share > 0 else { return false }
    guard deadLetterExchange(of: queue) != nil else {
      share -= 1
      return true
    }
    guard !ledger.isOverloaded else { return false }
    share -= Self.deadLetterCost
    return true
  }

  /// Removes the first message of a queue for good. If it is passed on, its body is read first.
  private func dropFirst(of queue: BrokerQueue, because reason: DeathReason) {
    guard let entry = queue.first else { return }
    if entry.message == nil, deadLetterExchange(of: queue) != nil { return load(queue) }
    ledger.takeFirst(of: queue)
    if let message = entry.message { deadLetter(message, of: queue, because: reason) }
    ledger.forget(entry)
  }

  /// Routes a message to its queue's dead-letter exchange. The commit that removes the message from
  /// its queue stores the dead letters.
  private func deadLetter(_ message: BrokerMessage, of queue: BrokerQueue, because reason: DeathReason) {
    guard let exchange = deadLetterExchange(of: queue) else { return }
    let (letter, deaths, routing) = message.deadLetter(
      from: queue, because: reason, to: exchange.name, at: UInt64(max(0, now / 1000)))
    if exchange.name.isEmpty { replies.deliver(letter, routing) }
    for target in topology.route(routing, from: exchange) {
      // The header has the latest deaths alone. More deaths than queues are a cycle, too.
      let isCycle = deaths.isCycle(to: target.name) || letter.automaticDeaths > topology.queuesEver
      if reason == .rejected || !isCycle { enqueue(letter, in: target, lifetime: nil) }
    }
  }

  private func armTimer(_ queue: BrokerQueue) {
    guard let expiry = queue.contents.expiry, expiry < queue.wakes else { return }
    queue.timer?.cancel()
    queue.wakes = expiry
    let wait = max(0, expiry - now) + 1 + ledger.lateness
    queue.timer = tasks.start(.expire(queue.id, after: .milliseconds(wait)))
  }

  // MARK: Bodies on the disk

  private func load(_ queue: BrokerQueue) {
    guard !queue.isLoading else { return }
    queue.isLoading = true
    tasks.start(.load(queue.id, queue.contents.pagedOut(environment.limits[.journalPage])))
  }

  /// Reads bodies of a queue from the disk, then continues to serve it.
  func load(_ id: BrokerQueue.ID, _ ids: [Int64]) async {
    let found = await journal.read(ids)
    guard let queue = topology.queue(id) else { return }
    guard !found.isEmpty else { return endLoad(of: queue) }
    for (id, message) in found {
      if let message, ledger.pageIn(id, message, to: queue) { continue }
      if queue.first?.id == id, queue.first?.message == nil {
        // Somebody has changed the file. The queue goes on without the message.
        environment.log.error("broker-message-missing", ["queue": .string(queue.name), "id": .int(id)])
        _ = queue.removeFirst()
      }
    }
    endLoad(of: queue)
    dispatch(queue)
  }

  /// Ends the wait for a queue's bodies: they are in memory, or the queue is deleted.
  func endLoad(of queue: BrokerQueue) {
    queue.isLoading = false
    let waiters = queue.loadWaiters
    queue.loadWaiters = []
    for waiter in waiters { waiter.resume() }
  }

  /// Waits until the bodies of a queue that are being read are in memory.
  func loaded(_ queue: BrokerQueue) async {
    guard queue.isLoading, !queue.isDeleted else { return }
    await withUnsafeContinuation { queue.loadWaiters.append($0) }
  }
}
