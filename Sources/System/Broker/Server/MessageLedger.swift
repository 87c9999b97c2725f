/// Adds messages to queues and removes them for good, and counts where their bytes are. Used on the
/// broker's actor.
final class MessageLedger {
  private let journal: BrokerJournal
  private let options: BrokerOptions
  private var nextID: Int64
  /// Bytes of messages that are ready and in memory.
  private(set) var readyBytes = 0
  /// Bytes of messages that never reach the disk, ready or unsettled.
  private(set) var memoryOnlyBytes = 0
  /// Messages that were added to queues.
  private(set) var added = 0

  /// Numbers messages from `nextID` on.
  init(_ journal: BrokerJournal, _ options: BrokerOptions, nextID: Int64) {
    self.journal = journal
    self.options = options
    self.nextID = nextID
  }

  // MARK: Bounds

  /// Whether publishers of messages that are only in memory have to wait.
  var isMemoryFull: Bool { memoryOnlyBytes > options.memoryBound }
  /// Whether they may go on: an eighth is free, so that they do not stop again with each message.
  var isMemoryFreeAgain: Bool { memoryOnlyBytes <= options.memoryBound / 8 * 7 }
  /// Whether publishers have to wait for the disk.
  var isDiskBehind: Bool { journal.pendingBytes > options.pagingBound }
  /// Whether dead letters have to wait for memory or the disk.
  var isOverloaded: Bool {
    memoryOnlyBytes > 2 * options.memoryBound || journal.pendingBytes > 2 * options.pagingBound
  }

  /// How much too late a queue wakes, in milliseconds: a planted bug.
  var lateness: Int64 { options.planted(.expiresLate) ? 5000 : 0 }
  /// Whether a full queue keeps its messages: a planted bug.
  var exceedsLengths: Bool { options.planted(.exceedsLengths) }

  // MARK: Messages

  func newID() -> Int64 {
    defer { nextID += 1 }
    return nextID
  }

  /// Adds a message to a queue. Returns whether it will be on the disk. `isInstant` is for a
  /// message whose lifetime is 0.
  func add(_ message: BrokerMessage, to queue: BrokerQueue, expires: Int64, isInstant: Bool) -> Bool {
    let isDurable = message.isPersistent && queue.isStored
    let id = newID()
    var entry = QueueEntry(
      id: id, message: message,
      expires: options.planted(.expiresEarly) && expires > 500 ? expires - 500 : expires, isDurable: isDurable,
      bodyBytes: UInt32(clamping: message.body.count),
      priority: options.planted(.ignoresPriorities) ? 0 : queue.contents.priority(of: message.priority))
    entry.isInstant = isInstant && queue.count == 0
    queue.append(entry)
    added += 1
    readyBytes += message.size
    if isDurable {
      journal.append(.insert(id: id, queue: queue.name, expires: expires, message))
    } else {
      memoryOnlyBytes += message.size
    }
    return isDurable
  }

  /// Takes the first message out of its queue, to deliver it or to remove it for good.
  func takeFirst(of queue: BrokerQueue) { readyBytes -= queue.removeFirst()?.message?.size ?? 0 }

  /// Returns a message that was not settled to its queue.
  func restore(_ entry: QueueEntry, to queue: BrokerQueue) {
    readyBytes += entry.message?.size ?? 0
    queue.restore(entry)
  }

  /// Returns a message to the end of its queue: a planted bug.
  func appendAgain(_ entry: QueueEntry, to queue: BrokerQueue) {
    readyBytes += entry.message?.size ?? 0
    queue.append(
      QueueEntry(
        id: newID(), message: entry.message, expires: entry.expires, isRedelivered: true, isDurable: entry.isDurable,
        bodyBytes: entry.bodyBytes, priority: entry.priority))
  }

  /// Removes a message for good. The messages of a deleted queue have left the disk with it.
  func forget(_ entry: QueueEntry, wasDeleted: Bool = false) {
    if !entry.isDurable {
      memoryOnlyBytes -= entry.message?.size ?? 0
    } else if !wasDeleted {
      journal.append(.delete(id: entry.id))
    }
  }

  /// Counts a refused message that waits to be dead-lettered, and then no more.
  func hold(_ message: BrokerMessage) { memoryOnlyBytes += message.size }
  func release(_ message: BrokerMessage) { memoryOnlyBytes -= message.size }

  /// Removes all ready messages of a queue for good. Returns how many there were.
  func purge(_ queue: BrokerQueue) -> Int {
    let removed = queue.removeAll()
    for entry in removed {
      readyBytes -= entry.message?.size ?? 0
      forget(entry)
    }
    return removed.count
  }

  // MARK: Paging

  /// Drops the bodies of messages that a commit has brought to the disk, while memory is short.
  func pageOut(_ changes: [BrokerChange], from topology: BrokerTopology) {
    for change in changes where readyBytes > options.pagingBound {
      guard case .insert(let id, let name, _, let message) = change, let queue = topology.queue(name) else { continue }
      readyBytes -= queue.contents.pageOut(id, priority: message.priority)
    }
  }

  /// Puts a body that was read from the disk back into its queue. Returns false when it is not
  /// missing there.
  @discardableResult
  func pageIn(_ id: Int64, _ message: BrokerMessage, to queue: BrokerQueue) -> Bool {
    guard queue.contents.pageIn(id, message) else { return false }
    readyBytes += message.size
    return true
  }
}
