/// Pending timers: a binary heap ordered by time, and by insertion for equal times. Inlinable, so
/// that each module specializes it for its own timers.
public struct TimerHeap<Timer> {
  @usableFromInline struct Entry {
    @usableFromInline let time: Int64
    @usableFromInline let sequence: UInt64
    @usableFromInline let timer: Timer

    @inlinable init(time: Int64, sequence: UInt64, timer: Timer) {
      self.time = time
      self.sequence = sequence
      self.timer = timer
    }

    @inlinable func isBefore(_ other: Entry) -> Bool {
      time != other.time ? time < other.time : sequence < other.sequence
    }
  }

  @usableFromInline var heap: [Entry] = []
  @usableFromInline var nextSequence: UInt64 = 0

  /// Creates an empty heap.
  @inlinable public init() {}

  /// The time of the first timer, or nil if the heap is empty.
  @inlinable public var nextTime: Int64? { heap.first?.time }

  /// Adds a timer that fires at `time`.
  @inlinable public mutating func insert(_ timer: Timer, at time: Int64) {
    heap.append(Entry(time: time, sequence: nextSequence, timer: timer))
    nextSequence += 1
    heap.withUnsafeMutableBufferPointer { heap in
      var child = heap.count - 1
      while child > 0 {
        let parent = (child - 1) / 2
        guard heap[child].isBefore(heap[parent]) else { break }
        heap.swapAt(child, parent)
        child = parent
      }
    }
  }

  /// Removes and returns all timers, in no particular order.
  @inlinable public mutating func removeAll() -> [Timer] {
    defer { heap = [] }
    return heap.map(\.timer)
  }

  /// Removes and returns the first timer. The heap must not be empty.
  @inlinable public mutating func removeFirst() -> Timer {
    let first = heap[0].timer
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    return first
  }

  @inlinable mutating func sink() {
    heap.withUnsafeMutableBufferPointer { heap in
      var parent = 0
      while true {
        var least = parent
        let child = 2 * parent + 1
        if child < heap.count, heap[child].isBefore(heap[least]) { least = child }
        if child + 1 < heap.count, heap[child + 1].isBefore(heap[least]) { least = child + 1 }
        if least == parent { return }
        heap.swapAt(parent, least)
        parent = least
      }
    }
  }
}
