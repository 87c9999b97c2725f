/// Pending timers: a binary heap by (time, sequence), so that equal times come out in the order of insertion. Both worlds'
/// clocks keep theirs here.
public struct TimerHeap<Timer> {
  private struct Entry {
    let time: Int64
    let sequence: UInt64
    let timer: Timer
  }

  private var heap: [Entry] = []
  private var nextSequence: UInt64 = 0

  /// No timers.
  public init() {}

  /// The time of the first timer.
  public var nextTime: Int64? { heap.first?.time }

  /// Adds a timer.
  public mutating func insert(_ timer: Timer, at time: Int64) {
    heap.append(Entry(time: time, sequence: nextSequence, timer: timer))
    nextSequence += 1
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard before(child, parent) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes the first timer; there must be one.
  public mutating func removeFirst() -> Timer {
    let first = heap[0].timer
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    return first
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var least = parent
      let child = 2 * parent + 1
      if child < heap.count, before(child, least) { least = child }
      if child + 1 < heap.count, before(child + 1, least) { least = child + 1 }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private func before(_ a: Int, _ b: Int) -> Bool {
    (heap[a].time, heap[a].sequence) < (heap[b].time, heap[b].sequence)
  }
}
