import Environment

/// A queue: its messages in order, and its consumers. Used on the broker's actor.
final class BrokerQueue {
  /// Tells a queue from a later one of the same name.
  struct ID: Hashable, Sendable {
    let name: String
    /// Counts the queues since the process began.
    let number: Int
  }

  let id: ID
  let isDurable: Bool
  let isAutoDelete: Bool
  /// The connection that may use it, when it is exclusive.
  let owner: Int?
  let rules: QueueRules
  /// The messages that are ready, and the queue's limits.
  var contents: QueueContents
  /// Some of them may be cancelled.
  private(set) var consumers: [BrokerConsumer] = []
  /// Consumers that are not cancelled.
  private(set) var consumerCount = 0
  /// Whether an exclusive consumer has the queue.
  private(set) var isTakenExclusively = false
  /// Consumers that may have room, each once, in the order in which they get messages. A consumer
  /// without room leaves the list until something makes room for it.
  var ready = ReadyConsumers()
  /// The only consumer that gets messages, in a queue with a single active consumer.
  private(set) var activeConsumer: BrokerConsumer?
  /// The consumers that wait to become the active one, by priority and age.
  private var successors = ReadyConsumers()
  /// The exchanges that it is bound to, beside the default exchange.
  var exchanges = OrderedSet<ExactText>()
  /// Ids of durable messages that were delivered and are not settled.
  var unsettled: Set<Int64> = []
  /// Whether bodies are being read from the disk.
  var isLoading = false
  /// Whether it is in the dispatcher's list of due work.
  var isDue = false
  var isDeleted = false
  /// Wakes the queue when its first message expires, at `wakes`.
  var timer: Task<Void, Never>?
  var wakes: Int64 = .max
  /// When it was last used, and the task that deletes it when it is idle for too long
  /// (`x-expires`).
  var lastUse: Instant?
  var idleTimer: Task<Void, Never>?
  /// Callers that wait for bodies that are being read.
  var loadWaiters: [UnsafeContinuation<Void, Never>] = []

  init(id: ID, isDurable: Bool, isAutoDelete: Bool, owner: Int?, rules: QueueRules) {
    self.id = id
    self.isDurable = isDurable
    self.isAutoDelete = isAutoDelete
    self.owner = owner
    self.rules = rules
    contents = QueueContents(rules.limits)
  }

  var name: String { id.name }

  /// Whether the database keeps it. An exclusive queue ends with its connection, so it never
  /// survives a restart.
  var isStored: Bool { isDurable && owner == nil }

  // MARK: Messages

  /// Messages that are ready.
  var count: Int { contents.count }
  /// The next message.
  var first: QueueEntry? { contents.first }

  func append(_ entry: QueueEntry) { contents.append(entry) }
  func removeFirst() -> QueueEntry? { contents.removeFirst() }
  /// Returns a message to its place.
  func restore(_ entry: QueueEntry) { contents.restore(entry) }

  func removeAll() -> [QueueEntry] {
    var all: [QueueEntry] = []
    while let entry = removeFirst() { all.append(entry) }
    return all
  }

  // MARK: Consumers

  func add(_ consumer: BrokerConsumer) {
    consumers.append(consumer)
    consumerCount += 1
    if consumer.isExclusive { isTakenExclusively = true }
    if rules.hasSingleConsumer {
      if activeConsumer != nil { return successors.append(consumer) }
      activeConsumer = consumer
    }
    wake(consumer)
  }

  /// Notes that a consumer may have room.
  func wake(_ consumer: BrokerConsumer) {
    guard !consumer.isReady, !consumer.isCancelled else { return }
    if rules.hasSingleConsumer, consumer !== activeConsumer { return }
    consumer.isReady = true
    ready.append(consumer)
  }

  /// Cancels a consumer. The array shrinks once half of it is cancelled, so that removing all takes
  /// linear time.
  func remove(_ consumer: BrokerConsumer) {
    guard !consumer.isCancelled else { return }
    consumer.isCancelled = true
    consumerCount -= 1
    if consumer.isExclusive { isTakenExclusively = false }
    if consumer === activeConsumer { activateNext() }
    guard consumers.count <= 16 || consumerCount * 2 < consumers.count else { return }
    consumers.removeAll(where: \.isCancelled)
  }

  /// Makes the next consumer the active one.
  private func activateNext() {
    activeConsumer = nil
    while let next = successors.removeFirst() {
      guard !next.isCancelled else { continue }
      activeConsumer = next
      return wake(next)
    }
  }
}
