/// The pending timers of a world: a binary heap by (time, sequence), so that equal times fire in the order of creation.
struct TimerHeap {
  struct Entry {
    let time: Int64
    let sequence: UInt64
    let timer: SimTimer
  }

  private var heap: [Entry] = []
  private var nextSequence: UInt64 = 0

  var isEmpty: Bool { heap.isEmpty }
  var count: Int { heap.count }
  var nextTime: Int64? { heap.first?.time }

  mutating func insert(_ timer: SimTimer, at time: Int64) {
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

  mutating func removeFirst() -> SimTimer {
    let first = heap[0].timer
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        var least = parent
        let child = 2 * parent + 1
        if child < heap.count, before(child, least) { least = child }
        if child + 1 < heap.count, before(child + 1, least) { least = child + 1 }
        if least == parent { break }
        heap.swapAt(parent, least)
        parent = least
      }
    }
    return first
  }

  mutating func removeAll() { heap.removeAll() }

  private func before(_ a: Int, _ b: Int) -> Bool {
    (heap[a].time, heap[a].sequence) < (heap[b].time, heap[b].sequence)
  }
}

/// A pending timer. Cancelling drops its action at once; its place in the heap goes when its time comes.
final class SimTimer {
  private var action: (() -> Void)?

  init(_ action: @escaping () -> Void) { self.action = action }

  func cancel() { action = nil }

  func fire() {
    let action = action
    self.action = nil
    action?()
  }
}
