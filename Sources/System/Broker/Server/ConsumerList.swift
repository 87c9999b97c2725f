/// Consumers that wait for the same thing, first in, first out. Used on the broker's actor.
struct ConsumerList {
  private var places: [BrokerConsumer?] = []
  private var head = 0
  /// The length at which cancelled consumers are removed.
  private var limit = 16

  mutating func append(_ consumer: BrokerConsumer) {
    if places.count >= limit { compact() }
    places.append(consumer)
  }

  mutating func removeFirst() -> BrokerConsumer? {
    guard head < places.count else { return nil }
    let consumer = places[head]
    places[head] = nil
    head += 1
    if head == places.count {
      places.removeAll(keepingCapacity: true)
      head = 0
    }
    return consumer
  }

  /// Takes amortized constant time for each consumer, since the limit doubles with the list.
  private mutating func compact() {
    places.removeAll { $0?.isCancelled ?? true }
    head = 0
    limit = max(16, 2 * places.count)
  }
}

/// Consumers that wait for the same thing: the highest priority first, then first in, first out.
/// Consumers without a priority have 0. They take constant time, the others logarithmic time.
struct ReadyConsumers {
  private struct Place {
    let consumer: BrokerConsumer
    let order: Int
  }

  private var plain = ConsumerList()
  /// A binary heap of the consumers with another priority than 0.
  private var heap: [Place] = []
  private var lastOrder = 0
  /// The size of the heap at which cancelled consumers are removed.
  private var limit = 16

  mutating func append(_ consumer: BrokerConsumer) {
    guard consumer.priority != 0 else { return plain.append(consumer) }
    if heap.count >= limit { compact() }
    lastOrder += 1
    heap.append(Place(consumer: consumer, order: lastOrder))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard precedes(child, parent) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func removeFirst() -> BrokerConsumer? {
    guard let top = heap.first else { return plain.removeFirst() }
    if top.consumer.priority < 0, let consumer = plain.removeFirst() { return consumer }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      let left = 2 * parent + 1
      guard left < heap.count else { return top.consumer }
      let right = left + 1
      let child = right < heap.count && precedes(right, left) ? right : left
      guard precedes(child, parent) else { return top.consumer }
      heap.swapAt(child, parent)
      parent = child
    }
  }

  private func precedes(_ a: Int, _ b: Int) -> Bool { Self.precedes(heap[a], heap[b]) }

  private static func precedes(_ a: Place, _ b: Place) -> Bool {
    (-Int64(a.consumer.priority), a.order) < (-Int64(b.consumer.priority), b.order)
  }

  /// A sorted array is a heap.
  private mutating func compact() {
    heap.removeAll(where: \.consumer.isCancelled)
    heap.sort(by: Self.precedes)
    limit = max(16, 2 * heap.count)
  }
}
