import Testing

@testable import System

@Suite("Exchanges")
struct ExchangeTests {
  private static func exchange(_ kind: ExchangeKind, _ bindings: [(String, String)]) -> Exchange {
    var exchange = Exchange(name: "x", kind: kind, isDurable: true)
    for (queue, key) in bindings { _ = exchange.bind(Binding(queue: queue, routingKey: key)) }
    return exchange
  }

  @Test(
    "each queue gets a message once, in the order of the bindings",
    arguments: [(.direct, ["c", "a"]), (.fanout, ["c", "a", "b"]), (.topic, ["c", "a", "b"])]
      as [(ExchangeKind, [String])])
  func order(kind: ExchangeKind, expected: [String]) {
    let exchange = Self.exchange(kind, [("c", "k.l"), ("a", "k.l"), ("c", "#"), ("b", "k.*"), ("a", "other")])
    #expect(exchange.queues(for: "k.l") == expected)
  }

  @Test("an unbound queue gets no more messages", arguments: ExchangeKind.allCases)
  func unbinding(kind: ExchangeKind) {
    var exchange = Self.exchange(kind, [("a", "k"), ("b", "k"), ("a", "l"), ("c", "*")])
    let found = (0..<2).map { _ in exchange.unbind(Binding(queue: "a", routingKey: "k")) }
    #expect(found == [true, false])
    let keys = ["a", "c"].map { exchange.unbindAll($0) }
    #expect(keys == [["l"], ["*"]])
    #expect(!exchange.isBound("a"))
    #expect(exchange.queues(for: "k") == ["b"])
    let last = exchange.unbindAll("b")
    #expect(last == ["k"])
    #expect(exchange.isUnused)
    #expect(exchange.queues(for: "k").isEmpty)
  }

  @Test(
    "100,000 bindings are added, and removed from the front, in linear time",
    .timeLimit(.minutes(1)), arguments: ExchangeKind.allCases)
  func manyBindings(kind: ExchangeKind) {
    let count = 100_000
    var exchange = Self.exchange(kind, (0..<count).map { ("q\($0 % 1000)", "k\($0).*") })
    #expect(exchange.boundQueues.count == 1000)
    for number in 0..<count { _ = exchange.unbind(Binding(queue: "q\(number % 1000)", routingKey: "k\(number).*")) }
    #expect(exchange.isUnused)
  }

  @Test("an ordered set keeps its order while elements are added and removed")
  func orderedSet() {
    var set = OrderedSet<Int>()
    var model: [Int] = []
    var state: UInt64 = 1
    for _ in 0..<5000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1
      let element = Int(state >> 33) % 60
      if state >> 40 & 1 == 0 {
        let isNew = set.insert(element)
        #expect(isNew == !model.contains(element))
        if !model.contains(element) { model.append(element) }
      } else {
        let wasThere = set.remove(element)
        #expect(wasThere == model.contains(element))
        model.removeAll { $0 == element }
      }
      #expect(set.elements == model)
      #expect(set.count == model.count)
    }
  }
}

@Suite("Queues")
struct BrokerQueueTests {
  private static func entry(_ id: Int64) -> QueueEntry { QueueEntry(id: id, message: nil, expires: 0, isDurable: true) }

  @Test(
    "100,000 requeued messages are in order, whatever order they return in",
    .timeLimit(.minutes(1)), arguments: [0, 1, 2])
  func returns(order: Int) {
    let queue = BrokerQueue(
      id: BrokerQueue.ID(name: "q", number: 1), isDurable: true, isAutoDelete: false, owner: nil, rules: QueueRules())
    let count: Int64 = 100_000
    for id in 1...2 * count { queue.append(Self.entry(id)) }
    var taken: [QueueEntry] = []
    for _ in 0..<count { taken.append(queue.removeFirst()!) }
    if order == 1 { taken.reverse() }
    // Every third first.
    if order == 2 { taken = (0..<3).flatMap { part in taken.filter { $0.id % 3 == part } } }
    for entry in taken { queue.restore(entry) }
    #expect(queue.count == Int(2 * count))
    #expect(queue.removeAll().map(\.id) == Array(1...2 * count))
  }
}
