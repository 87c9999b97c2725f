/// The limits of a queue and its priorities.
struct QueueLimits: Hashable, Sendable {
  /// Ready messages, and bytes of their bodies. A queue without a limit has `Int.max`.
  let maximumLength: Int
  let maximumBytes: Int
  let overflow: QueueOverflow
  /// 0 for a queue without priorities.
  let highestPriority: UInt8

  init(
    maximumLength: Int? = nil, maximumBytes: Int? = nil, overflow: QueueOverflow = .dropHead,
    highestPriority: UInt8 = 0
  ) {
    self.maximumLength = maximumLength ?? .max
    self.maximumBytes = maximumBytes ?? .max
    self.overflow = overflow
    self.highestPriority = highestPriority
  }

  /// Whether a publication may be refused.
  var refuses: Bool { overflow != .dropHead }
}

/// The reason for a dead letter, in RabbitMQ's words.
enum DeathReason: String, Sendable {
  case rejected, expired
  case tooMany = "maxlen"
  case deliveryLimit = "delivery_limit"
}

/// What a queue does next with its first message.
enum QueueVerdict: Hashable, Sendable {
  /// There is no message.
  case nothing
  /// A consumer gets the message. If no consumer has room, it dies for a reason, or waits.
  case deliver(otherwise: DeathReason?)
  /// The message dies, whether or not a consumer has room.
  case drop(DeathReason)
}

/// The ready messages of a queue: a state machine, entries in and verdicts out. It does nothing
/// else, so it is tested alone against a model.
///
/// Messages are in order of priority, then of age. As in RabbitMQ, a message expires when it is the
/// first, the oldest of the highest priority is dropped from a full queue, and a message that
/// returns keeps its place. Every operation takes logarithmic time at most, and constant time in a
/// queue without priorities to which no message returns.
struct QueueContents: Sendable {
  let limits: QueueLimits
  /// Messages of priority 0, and those of the priorities from 1 on.
  private var plain = EntryRun()
  private var raised: [EntryRun]
  /// The priorities above 0 that have messages.
  private var occupied = PrioritySet()
  private(set) var count = 0
  /// Bytes of bodies.
  private(set) var bytes = 0
  /// Whether messages have returned since the last one came. Then a full queue drops messages
  /// before it delivers any.
  private var hasReturns = false

  init(_ limits: QueueLimits = QueueLimits()) {
    self.limits = limits
    raised = Array(repeating: EntryRun(), count: Int(limits.highestPriority))
  }

  // MARK: Verdicts

  /// The next message.
  var first: QueueEntry? { occupied.isEmpty ? plain.first : raised[occupied.highest - 1].first }

  /// Whether a publication with a body of a size is taken. If not, its publisher is told so.
  func admits(bodyBytes: Int) -> Bool {
    !limits.refuses || (count < limits.maximumLength && bytes + bodyBytes <= limits.maximumBytes)
  }

  private var isOver: Bool {
    (count > limits.maximumLength || bytes > limits.maximumBytes) && limits.overflow == .dropHead
  }

  /// What to do next. The caller removes the first message when it is delivered or dies, and asks
  /// again.
  func verdict(at now: @autoclosure () -> Int64) -> QueueVerdict {
    guard let first else { return .nothing }
    if hasReturns, isOver { return .drop(.tooMany) }
    // The clock is read for messages that expire alone.
    if first.expires != 0, first.isExpired(at: now()) {
      return first.isInstant ? .deliver(otherwise: .expired) : .drop(.expired)
    }
    return .deliver(otherwise: isOver ? .tooMany : nil)
  }

  /// When the first message expires, in milliseconds; nil for never.
  var expiry: Int64? { first.flatMap { $0.expires == 0 ? nil : $0.expires } }

  // MARK: Entries

  /// The priority of a message in this queue. A message without one has the lowest.
  func priority(of wanted: UInt8) -> UInt8 { min(wanted, limits.highestPriority) }

  /// Adds a new message.
  mutating func append(_ entry: QueueEntry) {
    hasReturns = false
    add(entry)
    if entry.priority == 0 {
      plain.append(entry)
    } else {
      raised[Int(entry.priority) - 1].append(entry)
    }
  }

  /// Returns a message to its place.
  mutating func restore(_ entry: QueueEntry) {
    hasReturns = true
    add(entry)
    if entry.priority == 0 {
      plain.restore(entry)
    } else {
      raised[Int(entry.priority) - 1].restore(entry)
    }
  }

  /// Counts a message.
  private mutating func add(_ entry: QueueEntry) {
    count += 1
    bytes += Int(entry.bodyBytes)
    if entry.priority > 0 { occupied.insert(Int(entry.priority)) }
  }

  /// Removes the next message.
  mutating func removeFirst() -> QueueEntry? {
    let removed: QueueEntry?
    if occupied.isEmpty {
      removed = plain.removeFirst()
    } else {
      let highest = occupied.highest
      removed = raised[highest - 1].removeFirst()
      if raised[highest - 1].isEmpty { occupied.remove(highest) }
    }
    guard let removed else { return nil }
    count -= 1
    bytes -= Int(removed.bodyBytes)
    return removed
  }

  // MARK: Bodies on the disk

  /// Drops the body of a message that is on the disk. Returns the bytes that it frees.
  mutating func pageOut(_ id: Int64, priority: UInt8) -> Int {
    let priority = self.priority(of: priority)
    return priority == 0 ? plain.pageOut(id) : raised[Int(priority) - 1].pageOut(id)
  }

  /// Those of the next `limit` messages of the highest priority that are only on the disk.
  func pagedOut(_ limit: Int) -> [Int64] {
    occupied.isEmpty ? plain.pagedOut(limit) : raised[occupied.highest - 1].pagedOut(limit)
  }

  /// Puts a message back into memory. Returns false when it is not missing there.
  mutating func pageIn(_ id: Int64, _ message: BrokerMessage) -> Bool {
    let priority = self.priority(of: message.priority)
    return priority == 0 ? plain.pageIn(id, message) : raised[Int(priority) - 1].pageIn(id, message)
  }
}

/// A set of priorities from 1 to 255.
private struct PrioritySet: Sendable {
  private var words: InlineArray<4, UInt64> = [0, 0, 0, 0]
  private(set) var isEmpty = true

  /// The highest element of a set that is not empty.
  var highest: Int {
    for word in words.indices.reversed() where words[word] != 0 {
      return word * 64 + 63 - words[word].leadingZeroBitCount
    }
    return 0
  }

  mutating func insert(_ priority: Int) {
    words[priority >> 6] |= 1 << UInt64(priority & 63)
    isEmpty = false
  }

  mutating func remove(_ priority: Int) {
    words[priority >> 6] &= ~(1 << UInt64(priority & 63))
    isEmpty = words.indices.allSatisfy { words[$0] == 0 }
  }
}
