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
  /// Messages in order, from `head` on.
  private var entries: [QueueEntry?] = []
  private var head = 0
  private var returned = ReturnedEntries()
  /// Some of them may be cancelled.
  private(set) var consumers: [BrokerConsumer] = []
  /// Consumers that are not cancelled.
  private(set) var consumerCount = 0
  /// Whether an exclusive consumer has the queue.
  private(set) var isTakenExclusively = false
  /// Consumers that may have room, each once, in the order in which they get messages. A consumer
  /// without room leaves the list until something makes room for it.
  var ready = ConsumerList()
  /// The exchanges that it is bound to, beside the default exchange.
  var exchanges = OrderedSet<String>()
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
  /// Callers that wait for bodies that are being read.
  var loadWaiters: [UnsafeContinuation<Void, Never>] = []

  init(id: ID, isDurable: Bool, isAutoDelete: Bool, owner: Int?, rules: QueueRules) {
    self.id = id
    self.isDurable = isDurable
    self.isAutoDelete = isAutoDelete
    self.owner = owner
    self.rules = rules
  }

  var name: String { id.name }

  /// Whether the database keeps it. An exclusive queue ends with its connection, so it never survives a restart.
  var isStored: Bool { isDurable && owner == nil }

  // MARK: Messages

  /// Messages that are ready.
  var count: Int { entries.count - head + returned.count }

  private var returnsFirst: Bool {
    guard let back = returned.first else { return false }
    return head == entries.count || back.id < entries[head]!.id
  }

  /// The oldest message.
  var first: QueueEntry? {
    if returned.count > 0, returnsFirst { return returned.first }
    return head < entries.count ? entries[head] : nil
  }

  func append(_ entry: QueueEntry) { entries.append(entry) }

  func removeFirst() -> QueueEntry? {
    if returned.count > 0, returnsFirst { return returned.removeFirst() }
    guard head < entries.count else { return nil }
    let entry = entries[head]
    entries[head] = nil
    head += 1
    if head == entries.count {
      entries.removeAll(keepingCapacity: head <= 4096)
      head = 0
    } else if head > 4096, head * 2 > entries.count {
      entries.removeFirst(head)
      head = 0
    }
    return entry
  }

  /// Returns a message to its place.
  func restore(_ entry: QueueEntry) { returned.insert(entry) }

  func removeAll() -> [QueueEntry] {
    var all: [QueueEntry] = []
    while let entry = removeFirst() { all.append(entry) }
    return all
  }

  private func index(of id: Int64) -> Int? {
    var low = head
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle]!.id < id { low = middle + 1 } else { high = middle }
    }
    return low < entries.count && entries[low]!.id == id ? low : nil
  }

  /// Drops the body of a message that is on the disk. Returns the bytes that it frees.
  func pageOut(_ id: Int64) -> Int {
    guard let index = index(of: id), let message = entries[index]!.message else { return 0 }
    entries[index]!.message = nil
    return message.size
  }

  /// Those of the next `limit` messages that are only on the disk.
  func pagedOut(_ limit: Int) -> [Int64] {
    entries[head...].prefix(limit).compactMap { entry in entry!.message == nil ? entry!.id : nil }
  }

  /// Puts a message back into memory. Returns false when it is not missing there.
  func pageIn(_ id: Int64, _ message: BrokerMessage) -> Bool {
    guard let index = index(of: id), entries[index]!.message == nil else { return false }
    entries[index]!.message = message
    return true
  }

  // MARK: Consumers

  func add(_ consumer: BrokerConsumer) {
    consumers.append(consumer)
    consumerCount += 1
    if consumer.isExclusive { isTakenExclusively = true }
    wake(consumer)
  }

  /// Notes that a consumer may have room.
  func wake(_ consumer: BrokerConsumer) {
    guard !consumer.isReady, !consumer.isCancelled else { return }
    consumer.isReady = true
    ready.append(consumer)
  }

  /// Cancels a consumer. The array shrinks once half of it is cancelled, so that removing all takes linear time.
  func remove(_ consumer: BrokerConsumer) {
    guard !consumer.isCancelled else { return }
    consumer.isCancelled = true
    consumerCount -= 1
    if consumer.isExclusive { isTakenExclusively = false }
    guard consumers.count <= 16 || consumerCount * 2 < consumers.count else { return }
    consumers.removeAll(where: \.isCancelled)
  }
}

/// Messages that were requeued, oldest first: a binary heap, since they return in any order.
private struct ReturnedEntries {
  private var heap: [QueueEntry] = []

  var count: Int { heap.count }
  var first: QueueEntry? { heap.first }

  mutating func insert(_ entry: QueueEntry) {
    heap.append(entry)
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].id < heap[parent].id else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() -> QueueEntry {
    heap.swapAt(0, heap.count - 1)
    let entry = heap.removeLast()
    var parent = 0
    while true {
      let left = 2 * parent + 1
      guard left < heap.count else { return entry }
      let right = left + 1
      let child = right < heap.count && heap[right].id < heap[left].id ? right : left
      guard heap[child].id < heap[parent].id else { return entry }
      heap.swapAt(child, parent)
      parent = child
    }
  }
}
