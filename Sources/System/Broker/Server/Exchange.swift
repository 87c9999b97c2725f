/// A type of exchange. The broker does not serve the type `headers`.
enum ExchangeKind: String, Sendable, CaseIterable {
  case direct, fanout, topic
}

/// A binding of an exchange to a queue.
struct Binding: Hashable, Sendable {
  let queue: String
  let routingKey: String
}

/// An exchange and its bindings. Adding and removing a binding takes constant time.
struct Exchange: Sendable {
  let name: String
  let kind: ExchangeKind
  let isDurable: Bool
  let isAutoDelete: Bool
  let isInternal: Bool
  /// The bound queues in the order of their first bindings. They get messages in this order.
  private var queues = OrderedSet<String>()
  private var keysByQueue: [String: OrderedSet<String>] = [:]
  private var queuesByKey: [String: OrderedSet<String>] = [:]
  /// The routing keys with wildcards, of a topic exchange.
  private var patterns = TopicTree()

  init(name: String, kind: ExchangeKind, isDurable: Bool, isAutoDelete: Bool = false, isInternal: Bool = false) {
    self.name = name
    self.kind = kind
    self.isDurable = isDurable
    self.isAutoDelete = isAutoDelete
    self.isInternal = isInternal
  }

  /// Whether no queue is bound to it.
  var isUnused: Bool { queues.isEmpty }
  /// The bound queues.
  var boundQueues: [String] { queues.elements }

  func isBound(_ queue: String) -> Bool { queues.contains(queue) }

  /// The queues that get a message with a routing key, each once.
  func queues(for routingKey: String) -> [String] {
    switch kind {
    case .direct: return queuesByKey[routingKey]?.elements ?? []
    case .fanout: return queues.elements
    case .topic:
      let words = Topic.words(routingKey)
      var found: Set<String> = []
      if !Topic.isPattern(routingKey), let exact = queuesByKey[routingKey] { found.formUnion(exact.elements) }
      for pattern in patterns.patterns(matching: words) {
        found.formUnion(queuesByKey[pattern]!.elements)
      }
      return found.sorted { queues.place(of: $0)! < queues.place(of: $1)! }
    }
  }

  /// Adds a binding. Returns false when it exists.
  mutating func bind(_ binding: Binding) -> Bool {
    guard queuesByKey[binding.routingKey, default: OrderedSet()].insert(binding.queue) else { return false }
    queues.insert(binding.queue)
    keysByQueue[binding.queue, default: OrderedSet()].insert(binding.routingKey)
    if kind == .topic, Topic.isPattern(binding.routingKey) { patterns.insert(binding.routingKey) }
    return true
  }

  /// Removes a binding. Returns false when it does not exist.
  mutating func unbind(_ binding: Binding) -> Bool {
    guard queuesByKey[binding.routingKey]?.remove(binding.queue) == true else { return false }
    if queuesByKey[binding.routingKey]!.isEmpty {
      queuesByKey[binding.routingKey] = nil
      if kind == .topic, Topic.isPattern(binding.routingKey) { patterns.remove(binding.routingKey) }
    }
    keysByQueue[binding.queue]!.remove(binding.routingKey)
    if keysByQueue[binding.queue]!.isEmpty {
      keysByQueue[binding.queue] = nil
      queues.remove(binding.queue)
    }
    return true
  }

  /// Removes all bindings to a queue. Returns their routing keys.
  mutating func unbindAll(_ queue: String) -> [String] {
    let keys = keysByQueue[queue]?.elements ?? []
    for key in keys { _ = unbind(Binding(queue: queue, routingKey: key)) }
    return keys
  }
}

/// Patterns of topic exchanges: words between dots, where `*` matches one word and `#` any number of words
/// (AMQP 0-9-1 §3.1.3.3).
enum Topic {
  static func words(_ key: String) -> [Substring] { key.split(separator: ".", omittingEmptySubsequences: false) }

  /// Whether the key of a binding has wildcards.
  static func isPattern(_ key: String) -> Bool { words(key).contains { $0 == "*" || $0 == "#" } }
}
