/// Messages of one priority in order of their ids. Those that come are appended in constant time;
/// those that return go to their places in logarithmic time.
struct EntryRun: Sendable {
  /// Messages in order, from `head` on.
  private var entries: [QueueEntry?] = []
  private var head = 0
  private var returned = ReturnedEntries()

  var count: Int { entries.count - head + returned.count }
  var isEmpty: Bool { head == entries.count && returned.count == 0 }

  private var returnsFirst: Bool {
    guard let back = returned.first else { return false }
    return head == entries.count || back.id < entries[head]!.id
  }

  /// The oldest message.
  var first: QueueEntry? {
    if returned.count > 0, returnsFirst { return returned.first }
    return head < entries.count ? entries[head] : nil
  }

  mutating func append(_ entry: QueueEntry) { entries.append(entry) }

  mutating func removeFirst() -> QueueEntry? {
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
  mutating func restore(_ entry: QueueEntry) { returned.insert(entry) }

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
  mutating func pageOut(_ id: Int64) -> Int {
    guard let index = index(of: id), let message = entries[index]!.message else { return 0 }
    entries[index]!.message = nil
    return message.size
  }

  /// Those of the next `limit` messages that are only on the disk.
  func pagedOut(_ limit: Int) -> [Int64] {
    entries[head...].prefix(limit).compactMap { entry in entry!.message == nil ? entry!.id : nil }
  }

  /// Puts a message back into memory. Returns false when it is not missing there.
  mutating func pageIn(_ id: Int64, _ message: BrokerMessage) -> Bool {
    guard let index = index(of: id), entries[index]!.message == nil else { return false }
    entries[index]!.message = message
    return true
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
