/// A message, as the broker holds it: what routed it, its properties as they came, its body.
final class BrokerMessage: Sendable {
  let exchange: String
  let routingKey: String
  /// Flags and list, as on the wire.
  let properties: [UInt8]
  let body: [UInt8]
  let isPersistent: Bool

  init(exchange: String, routingKey: String, properties: [UInt8], body: [UInt8], isPersistent: Bool) {
    self.exchange = exchange
    self.routingKey = routingKey
    self.properties = properties
    self.body = body
    self.isPersistent = isPersistent
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
  let name: String
  let isDurable: Bool
  let isAutoDelete: Bool
  /// The connection that alone may use it.
  let owner: Int?
  let arguments: AMQPTable
  let rules: QueueRules
  private var entries: [QueueEntry?] = []
  private var head = 0
  var consumers: [BrokerConsumer] = []
  var nextConsumer = 0
  /// Delivered and not yet settled.
  var unacknowledged = 0
  var isLoading = false
  var hasTimer = false
  var isDeleted = false
  /// Who asked with `basic.get` for a message whose body is being read.
  var getters: [(connection: Int, channel: UInt16, noAck: Bool)] = []

  init(
    name: String, isDurable: Bool, isAutoDelete: Bool, owner: Int?, arguments: AMQPTable, rules: QueueRules
  ) {
    self.name = name
    self.isDurable = isDurable
    self.isAutoDelete = isAutoDelete
    self.owner = owner
    self.arguments = arguments
    self.rules = rules
  }

  /// Messages that are ready.
  var count: Int { entries.count - head }
  var first: QueueEntry? { count > 0 ? entries[head] : nil }

  func append(_ entry: QueueEntry) { entries.append(entry) }

  func removeFirst() -> QueueEntry? {
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
  func restore(_ entry: QueueEntry) {
    var low = head
    var high = entries.count
    while low < high {
      let middle = (low + high) / 2
      if entries[middle]!.id < entry.id { low = middle + 1 } else { high = middle }
    }
    if low == head, head > 0 {
      head -= 1
      entries[head] = entry
    } else {
      entries.insert(entry, at: low)
    }
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
    let all = entries[head...].compactMap { $0 }
    entries = []
    head = 0
    return all
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

  init(tag: String, channel: BrokerChannel, queue: BrokerQueue, noAck: Bool, isExclusive: Bool, prefetch: Int) {
    self.tag = tag
    self.channel = channel
    self.queue = queue
    self.noAck = noAck
    self.isExclusive = isExclusive
    self.prefetch = prefetch
  }

  /// Whether another message can go to it now.
  var hasRoom: Bool {
    guard !isCancelled, !channel.isClosing, channel.isFlowing, channel.connection.hasRoom else { return false }
    if noAck { return true }
    return (prefetch == 0 || unacknowledged < prefetch)
      && (channel.sharedPrefetch == 0 || channel.unacknowledged.count < channel.sharedPrefetch)
      && channel.unacknowledged.count < BrokerChannel.maximumUnacknowledged
  }
}
