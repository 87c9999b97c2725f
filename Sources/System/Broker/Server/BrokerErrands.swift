import Environment

/// Something that the broker has to do for a queue.
enum BrokerErrand {
  /// To give out its messages, and to drop those that its limits do not let it keep.
  case serve(BrokerQueue)
  /// To pass on a message of it that a client has rejected.
  case bury(BrokerQueue, QueueEntry)
}

/// What follows from a change in a queue, and what follows from that: a list, which is worked off a share at a time.
///
/// Clients choose which queue's dead letters go where: in chains of any length, and in circles. So nothing here is done by
/// recursion, a message has left its queue before it is passed on, and what takes long lets others go first.
extension Broker {
  /// Work that is done in a turn: a death with a dead letter is 8, another 1.
  private static let share = 1024
  private static let deadLetterCost = 8
  /// Time for others before the next share.
  private static let rest: Duration = .milliseconds(5)

  /// Gives a queue's messages to its consumers, in order, to each in turn, and enforces its limits. While that is under way for
  /// another queue, this one is put on the list.
  func dispatch(_ queue: BrokerQueue) {
    guard !queue.isDue else { return }
    queue.isDue = true
    run(.serve(queue))
  }

  /// Has a delivery that was rejected leave its queue. The disk keeps it until its dead letters are stored.
  func reject(_ delivery: BrokerChannel.Delivery) { run(.bury(delivery.queue, delivery.entry)) }

  private func run(_ errand: BrokerErrand) {
    guard !isDispatching else { return errands.append(errand) }
    isDispatching = true
    var share = Self.share
    // Mostly nothing follows, and then no list is made.
    if !perform(errand, &share) { postpone([errand]) }
    while !errands.isEmpty {
      let batch = errands
      errands = []
      for (index, errand) in batch.enumerated() where !perform(errand, &share) {
        postpone(batch[index...] + errands)
        errands = []
        break
      }
    }
    isDispatching = false
  }

  private func postpone(_ rest: ArraySlice<BrokerErrand>) {
    let isResting = !postponed.isEmpty
    postponed += rest
    guard !isResting else { return }
    environment.executor.spawn("broker-errands") {
      do { try await self.environment.clock.sleep(for: Self.rest) } catch { return }
      self.goOn()
    }
  }

  private func goOn() {
    let batch = postponed
    postponed = []
    errands = Array(batch.dropFirst())
    run(batch[0])
  }

  /// False when the share is used up.
  private func perform(_ errand: BrokerErrand, _ share: inout Int) -> Bool {
    switch errand {
    case .serve(let queue):
      guard !queue.isDeleted else { return true }
      // From here on it may be put on the list again.
      queue.isDue = false
      if serve(queue, &share) { return true }
      queue.isDue = true
      return false
    case .bury(let queue, let entry):
      guard spend(&share, on: queue) else { return false }
      let delivery = BrokerChannel.Delivery(queue: queue, entry: entry, consumer: nil)
      if !queue.isDeleted, let message = entry.message { deadLetter(message, of: queue, because: .rejected) }
      settle(delivery, forgetting: true)
      return true
    }
  }

  /// Pays for a death. Dead letters wait while there are more of them than memory or the disk can take: a fanout exchange can
  /// make many out of one.
  private func spend(_ share: inout Int, on queue: BrokerQueue) -> Bool {
    guard share > 0 else { return false }
    guard deadLetterExchange(of: queue) != nil else {
      share -= 1
      return true
    }
    guard onlyInMemory <= 2 * options.memoryBound, pendingBytes <= 2 * options.pagingBound else { return false }
    share -= Self.deadLetterCost
    return true
  }

  private func serve(_ queue: BrokerQueue, _ share: inout Int) -> Bool {
    while let entry = queue.first, !queue.isLoading {
      if isExpired(entry) {
        guard spend(&share, on: queue) else { return false }
        drop(entry, of: queue, because: .expired)
      } else if let consumer = nextConsumer(of: queue) {
        guard let message = entry.message else {
          load(queue)
          break
        }
        _ = queue.removeFirst()
        memory -= message.size
        deliver(entry, message, to: consumer)
      } else if let maximum = queue.rules.maximumLength, queue.count > maximum {
        guard spend(&share, on: queue) else { return false }
        drop(entry, of: queue, because: .tooMany)
      } else {
        break
      }
    }
    armTimer(queue)
    return true
  }

  // MARK: Deaths

  func isExpired(_ entry: QueueEntry) -> Bool { entry.expires != 0 && entry.expires <= now }

  private func deadLetterExchange(of queue: BrokerQueue) -> Exchange? {
    queue.rules.deadLetterExchange.flatMap { exchanges[$0] }
  }

  /// Takes the first entry out of its queue for good, as soon as its body is here if that is passed on.
  private func drop(_ entry: QueueEntry, of queue: BrokerQueue, because reason: DeathReason) {
    if entry.message == nil, deadLetterExchange(of: queue) != nil { return load(queue) }
    _ = queue.removeFirst()
    memory -= entry.message?.size ?? 0
    if let message = entry.message { deadLetter(message, of: queue, because: reason) }
    forget(entry)
  }

  /// Routes a message to its queue's dead-letter exchange. Its letters are stored in the same commit in which it leaves its queue.
  private func deadLetter(_ message: BrokerMessage, of queue: BrokerQueue, because reason: DeathReason) {
    guard let exchange = deadLetterExchange(of: queue) else { return }
    let (letter, deaths) = message.deadLetter(
      from: queue, because: reason, to: exchange.name, at: UInt64(max(0, now / 1000)))
    for name in exchange.queues(for: letter.routingKey) {
      guard let target = queues[name] else { continue }
      // Who has died by itself more often than there are queues has come round, though the header tells only of the latest deaths.
      let isCycle = deaths.isCycle(to: name) || letter.automaticDeaths > queuesEver
      if reason == .rejected || !isCycle { enqueue(letter, in: target, lifetime: nil) }
    }
  }

  /// Wakes a queue when its first message expires.
  private func armTimer(_ queue: BrokerQueue) {
    guard let first = queue.first, first.expires != 0, first.expires < queue.wakes else { return }
    queue.timer?.cancel()
    queue.wakes = first.expires
    let wait = max(0, first.expires - now) + 1
    let (name, id) = (queue.name, queue.id)
    queue.timer = environment.executor.spawn("broker-expiry") {
      await self.expire(name, id, after: .milliseconds(wait))
    }
  }

  private func expire(_ name: String, _ id: Int, after wait: Duration) async {
    do { try await environment.clock.sleep(for: wait) } catch { return }
    // Another queue may have the name by now.
    guard let queue = queues[name], queue.id == id else { return }
    queue.timer = nil
    queue.wakes = .max
    dispatch(queue)
  }
}
