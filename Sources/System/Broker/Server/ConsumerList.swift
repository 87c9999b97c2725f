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
