import Testing

@testable import System

@Suite("Exchanges")
struct ExchangeTests {
  private static func exchange(_ kind: ExchangeKind, _ bindings: [(String, String)]) -> Exchange {
    let exchange = Exchange(name: "x", kind: kind, isDurable: true)
    for (queue, key) in bindings { _ = exchange.bind(Binding(queue: queue, routingKey: key)) }
    return exchange
  }

  private static func queues(_ exchange: Exchange, _ key: String, _ more: [String] = []) -> [String] {
    exchange.destinations(for: Routing(key: key, moreKeys: more)).map(\.name)
  }

  @Test(
    "each queue gets a message once, in the order of the bindings",
    arguments: [
      (.direct, ["c", "a"]), (.fanout, ["c", "a", "b"]), (.topic, ["c", "a", "b"]), (.headers, ["c", "a", "b"]),
    ] as [(ExchangeKind, [String])])
  func order(kind: ExchangeKind, expected: [String]) {
    let exchange = Self.exchange(kind, [("c", "k.l"), ("a", "k.l"), ("c", "#"), ("b", "k.*"), ("a", "other")])
    #expect(Self.queues(exchange, "k.l") == expected)
  }

  @Test("further routing keys lead to further queues, each once")
  func moreKeys() {
    let direct = Self.exchange(.direct, [("a", "k"), ("b", "l"), ("c", "m")])
    #expect(Self.queues(direct, "l", ["k", "none", "l"]) == ["a", "b"])
    let topic = Self.exchange(.topic, [("a", "k.*"), ("b", "l"), ("c", "#.z")])
    #expect(Self.queues(topic, "l", ["k.z"]) == ["a", "b", "c"])
  }

  @Test("an unbound queue gets no more messages", arguments: ExchangeKind.allCases)
  func unbinding(kind: ExchangeKind) {
    let exchange = Self.exchange(kind, [("a", "k"), ("b", "k"), ("a", "l"), ("c", "*")])
    let found = (0..<2).map { _ in exchange.unbind(Binding(queue: "a", routingKey: "k")) }
    #expect(found == [true, false])
    let keys = ["a", "c"].map { exchange.unbindAll(.queue($0)).map(\.routingKey) }
    #expect(keys == [["l"], ["*"]])
    #expect(!exchange.isBound(.queue("a")))
    #expect(Self.queues(exchange, "k") == ["b"])
    let last = exchange.unbindAll(.queue("b")).map(\.routingKey)
    #expect(last == ["k"])
    #expect(exchange.isUnused)
    #expect(Self.queues(exchange, "k").isEmpty)
  }

  @Test("bindings that differ in their arguments alone are two", arguments: ExchangeKind.allCases)
  func copies(kind: ExchangeKind) {
    let exchange = Exchange(name: "x", kind: kind, isDurable: true)
    let bindings = [[:], ["n": .int32(1)], ["n": .int32(2)]].map { (arguments: AMQPTable) in
      Binding(.queue("q"), routingKey: "k", arguments: arguments)
    }
    let bound = (bindings + bindings).map(exchange.bind)
    #expect(bound == [true, true, true, false, false, false])
    let headers: AMQPTable = ["n": .int64(1)]
    for (index, binding) in bindings.enumerated() {
      let isThere = exchange.destinations(for: Routing(key: "k", headers: headers)) == [.queue("q")]
      #expect(isThere == (kind != .headers || index < 2))
      let isUnbound = exchange.unbind(binding)
      #expect(isUnbound)
    }
    #expect(exchange.isUnused)
    #expect(exchange.destinations(for: Routing(key: "k", headers: headers)).isEmpty)
  }

  @Test(
    "headers are matched as RabbitMQ matches them",
    arguments: [
      (["a": .int32(1)], ["a": .int64(1), "b": .void], true), (["a": .int32(1)], ["a": .int64(2)], false),
      (["a": .int32(1)], ["a": .double(1.0.bitPattern)], true), (["a": .text("x")], ["a": .bytes([120])], true),
      (["a": .void], ["a": .text("anything")], true), (["a": .void], [:], false), ([:], [:], true),
      (["x-match": .text("any")], ["a": .int32(1)], false),
      (["x-match": .text("any"), "a": .int32(1), "b": .int32(2)], ["b": .int32(2)], true),
      (["x-match": .text("all"), "a": .int32(1), "b": .int32(2)], ["b": .int32(2)], false),
      (["x-match": .text("all"), "x-a": .int32(1), "b": .int32(2)], ["b": .int32(2)], true),
      (["x-match": .text("all-with-x"), "x-a": .int32(1), "b": .int32(2)], ["b": .int32(2)], false),
      (["x-match": .text("any-with-x"), "x-a": .int32(1)], ["x-a": .int32(1)], true),
      (["x-match": .text("any"), "x-a": .int32(1)], ["x-a": .int32(1)], false),
      (["a": .boolean(true)], ["a": .boolean(true)], true), (["a": .boolean(true)], ["a": .int8(1)], false),
      (["a": .array([.int32(1)])], ["a": .array([.int32(1)])], true),
    ] as [(AMQPTable, AMQPTable, Bool)])
  func headers(arguments: AMQPTable, headers: AMQPTable, matches: Bool) {
    var index = HeaderIndex()
    let binding = Binding(.queue("q"), routingKey: "", arguments: arguments)
    index.insert(binding)
    #expect(index.matches(headers) == (matches ? [binding] : []))
    index.remove(binding)
    #expect(index.matches(headers) == [])
  }

  @Test(
    "100,000 bindings are added, and removed from the front, in linear time",
    .timeLimit(.minutes(1)), arguments: ExchangeKind.allCases)
  func manyBindings(kind: ExchangeKind) {
    let count = 100_000
    let exchange = Self.exchange(kind, (0..<count).map { ("q\($0 % 1000)", "k\($0).*") })
    #expect(exchange.allDestinations.count == 1000)
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

extension Routing {
  /// The routing of a message with these headers.
  init(key: String, headers: AMQPTable?) {
    var properties = AMQPProperties()
    properties.headers = headers
    self.init(key: key, properties: properties.bytes)
  }
}
