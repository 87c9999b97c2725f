/// A message, as the broker holds it: what routed it, its properties as they came, its body.
final class BrokerMessage: Sendable {
  let exchange: String
  let routingKey: String
  /// Flags and list, as on the wire.
  let properties: [UInt8]
  let body: [UInt8]
  let isPersistent: Bool
  /// How often it has died since it was published or rejected, as far as this process knows.
  let automaticDeaths: Int

  init(
    exchange: String, routingKey: String, properties: [UInt8], body: [UInt8], isPersistent: Bool,
    automaticDeaths: Int = 0
  ) {
    self.exchange = exchange
    self.routingKey = routingKey
    self.properties = properties
    self.body = body
    self.isPersistent = isPersistent
    self.automaticDeaths = automaticDeaths
  }

  /// Bytes that it holds in memory, about.
  var size: Int { body.count + properties.count + exchange.utf8.count + routingKey.utf8.count + 160 }
}

/// A message's place in one queue.
struct QueueEntry: Sendable {
  /// Its place: what came later has a higher one, and it keeps it when it is put back.
  let id: Int64
  /// nil while only the disk has it.
  var message: BrokerMessage?
  /// Wall-clock milliseconds; 0 for no end.
  var expires: Int64
  var isRedelivered = false
  /// Whether the disk has it, or is about to.
  var isDurable: Bool
}

/// A queue: entries in order, and those who consume them. Used on the broker's actor.
final class BrokerQueue {
  /// Which it is of all that this process has had: a later queue of the same name is another one.
  let id: Int
  let name: String
  let isDurable: Bool
  let isAutoDelete: Bool
  /// The connection that alone may use it.
  let owner: Int?
  let rules: QueueRules
  /// In their order, from `head` on.
  private var entries: [QueueEntry?] = []
  private var head = 0
  /// Entries that were put back.
  private var returned = ReturnedEntries()
  /// Those that were cancelled are among them for a while.
  private(set) var consumers: [BrokerConsumer] = []
  /// Those that were not.
  private(set) var consumerCount = 0
  /// Whether one consumer has the queue for itself.
  private(set) var isTakenExclusively = false
  /// Consumers that may have room, each once, in the order in which they get messages. One that turns
  /// out to have none leaves the list until something makes room for it.
  var ready = ConsumerList()
  /// Exchanges that it is bound to, beside the default one.
  var exchanges = OrderedSet<String>()
  /// Ids of entries that the disk has, and that were delivered and are not settled.
  var unsettled: Set<Int64> = []
  var isLoading = false
  /// Whether it is in the broker's list of what is to be done.
  var isDue = false
  var isDeleted = false
  /// Wakes it when its first message expires, at `wakes`.
  var timer: Task<Void, Never>?
  var wakes: Int64 = .max
  /// Who waits for bodies that are being read.
  var loadWaiters: [UnsafeContinuation<Void, Never>] = []

  init(id: Int, name: String, isDurable: Bool, isAutoDelete: Bool, owner: Int?, rules: QueueRules) {
    self.id = id
    self.name = name
    self.isDurable = isDurable
    self.isAutoDelete = isAutoDelete
    self.owner = owner
    self.rules = rules
  }

  /// Messages that are ready.
  var count: Int { entries.count - head + returned.count }

  private var returnsFirst: Bool {
    guard let back = returned.first else { return false }
    return head == entries.count || back.id < entries[head]!.id
  }

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

  /// Puts an entry back in its place.
  func restore(_ entry: QueueEntry) { returned.insert(entry) }

  private func index(of id: Int64) -> Int? {
    var low = head
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle]!.id < id { low = middle + 1 } else { high = middle }
    }
    return low < entries.count && entries[low]!.id == id ? low : nil
  }

  /// Forgets the body of an entry that the disk has. Returns the bytes that are free now.
  func pageOut(_ id: Int64) -> Int {
    guard let index = index(of: id), let message = entries[index]!.message else { return 0 }
    entries[index]!.message = nil
    return message.size
  }

  /// Which of the next entries have no body.
  func pagedOut(_ limit: Int) -> [Int64] {
    entries[head...].prefix(limit).compactMap { entry in entry!.message == nil ? entry!.id : nil }
  }

  func pageIn(_ id: Int64, _ message: BrokerMessage) -> Bool {
    guard let index = index(of: id), entries[index]!.message == nil else { return false }
    entries[index]!.message = message
    return true
  }

  func removeAll() -> [QueueEntry] {
    var all: [QueueEntry] = []
    while let entry = removeFirst() { all.append(entry) }
    return all
  }

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

  /// Takes out a consumer. The places of many are freed together, so that their removal is linear.
  func remove(_ consumer: BrokerConsumer) {
    guard !consumer.isCancelled else { return }
    consumer.isCancelled = true
    consumerCount -= 1
    if consumer.isExclusive { isTakenExclusively = false }
    guard consumers.count <= 16 || consumerCount * 2 < consumers.count else { return }
    consumers.removeAll(where: \.isCancelled)
  }
}

/// Entries that were put back, the oldest first: a binary heap, since they come back in any order.
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

/// Who consumes a queue. Used on the broker's actor.
final class BrokerConsumer {
  let tag: String
  unowned let channel: BrokerChannel
  let queue: BrokerQueue
  let noAck: Bool
  let isExclusive: Bool
  /// Deliveries that it may hold unsettled; 0 for any number.
  let prefetch: Int
  var unacknowledged = 0
  var isCancelled = false
  /// Whether it is in its queue's list of those that may have room.
  var isReady = false
  /// Whether it is in its channel's or its connection's list of those that wait for room there.
  var waitsForChannel = false
  var waitsForConnection = false

  init(tag: String, channel: BrokerChannel, queue: BrokerQueue, noAck: Bool, isExclusive: Bool, prefetch: Int) {
    self.tag = tag
    self.channel = channel
    self.queue = queue
    self.noAck = noAck
    self.isExclusive = isExclusive
    self.prefetch = prefetch
  }

  /// Where another message for it finds no room.
  enum Limit {
    case consumer, channel, connection
  }

  /// The limit that keeps another message from it now; nil when it has room.
  var limit: Limit? {
    if isCancelled || channel.isClosing { return .consumer }
    if !noAck, prefetch > 0, unacknowledged >= prefetch { return .consumer }
    if !channel.isFlowing || !noAck && !channel.mayHoldMore { return .channel }
    let client = channel.connection
    return client.hasRoom && (noAck || client.mayHoldMore) ? nil : .connection
  }
}
