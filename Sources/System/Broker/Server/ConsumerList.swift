/// Consumers that wait for the same thing, first in, first out. Used on the broker's actor.
struct ConsumerList {
  private var places: [BrokerConsumer?] = []
  private var head = 0
  /// How long the list may become before those that were cancelled are taken out.
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

  /// The limit doubles with the list, so that this takes constant time for each consumer.
  private mutating func compact() {
    places.removeAll { $0?.isCancelled ?? true }
    head = 0
    limit = max(16, 2 * places.count)
  }
}
