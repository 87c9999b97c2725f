/// A type of exchange.
enum ExchangeKind: String, Sendable, CaseIterable {
  case direct, fanout, topic, headers
}

/// The target of a binding. Names are compared by their bytes.
enum Destination: Hashable, Sendable {
  case queue(String)
  case exchange(String)

  var name: String {
    switch self {
    case .queue(let name), .exchange(let name): name
    }
  }

  /// Whether it is an exchange.
  var isExchange: Bool { if case .exchange = self { true } else { false } }

  static func == (a: Destination, b: Destination) -> Bool {
    a.isExchange == b.isExchange && a.name.hasSameBytes(as: b.name)
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(isExchange)
    hasher.combine(ExactText(name))
  }
}

/// A binding of an exchange. Bindings that differ in their arguments are different bindings.
struct Binding: Hashable, Sendable {
  let destination: Destination
  let routingKey: String
  /// Sorted by name, since their order has no meaning.
  let arguments: AMQPTable

  init(_ destination: Destination, routingKey: String, arguments: AMQPTable = AMQPTable()) {
    self.destination = destination
    self.routingKey = routingKey
    self.arguments = arguments.entries.count > 1 ? arguments.sorted : arguments
  }

  init(queue: String, routingKey: String) { self.init(.queue(queue), routingKey: routingKey) }

  static func == (a: Binding, b: Binding) -> Bool {
    a.destination == b.destination && a.routingKey.hasSameBytes(as: b.routingKey) && a.arguments == b.arguments
  }

  func hash(into hasher: inout Hasher) {
    hasher.combine(destination)
    hasher.combine(ExactText(routingKey))
    hasher.combine(arguments)
  }
}

/// The parts of a message that an exchange reads.
struct Routing {
  let key: String
  /// The routing keys in the headers `CC` and `BCC`.
  var moreKeys: [String] = []
  /// The encoded properties of the message.
  var properties: [UInt8] = []

  var allKeys: [String] { [key] + moreKeys }

  /// The headers of the message. Exchanges of other types need none, so they are parsed here.
  /// Properties are checked when they are published.
  var headers: AMQPTable {
    var reader = AMQPReader(properties[...])
    return (try? AMQPProperties(&reader))?.headers ?? AMQPTable()
  }
}

/// A client's declaration of an exchange.
struct ExchangeProperties: Hashable, Sendable {
  let name: String
  let kind: ExchangeKind
  let isDurable: Bool
  var isAutoDelete = false
  /// Whether clients may not publish to it.
  var isInternal = false
  /// The exchange that gets messages without a destination.
  var alternate: String?
}

/// An exchange and its bindings. Adding and removing a binding takes constant time. Used on the
/// broker's actor.
final class Exchange {
  let properties: ExchangeProperties
  /// The destinations in the order of their first bindings. They get messages in this order.
  private var destinations = OrderedSet<Destination>()
  private var bindings: [Destination: OrderedSet<Binding>] = [:]
  private var destinationsByKey: [ExactText: OrderedSet<Destination>] = [:]
  /// Further bindings that differ from another one in their arguments alone, counted without those.
  private var copies: [Binding: Int] = [:]
  /// The routing keys with wildcards, of a topic exchange.
  private var patterns = TopicTree()
  /// The arguments of the bindings, of a headers exchange.
  private var headers = HeaderIndex()
  private var boundExchanges = 0
  /// The exchanges that have bindings to this one.
  var sources = OrderedSet<ExactText>()

  init(_ properties: ExchangeProperties) { self.properties = properties }

  convenience init(name: String, kind: ExchangeKind, isDurable: Bool) {
    self.init(ExchangeProperties(name: name, kind: kind, isDurable: isDurable))
  }

  var name: String { properties.name }
  var kind: ExchangeKind { properties.kind }
  var isDurable: Bool { properties.isDurable }
  /// Whether nothing is bound to it.
  var isUnused: Bool { destinations.isEmpty }
  /// What is bound to it.
  var allDestinations: [Destination] { destinations.elements }
  /// Whether its messages go to queues alone, whatever they are.
  var leadsToQueuesAlone: Bool { boundExchanges == 0 && properties.alternate == nil }

  func isBound(_ destination: Destination) -> Bool { destinations.contains(destination) }

  func has(_ binding: Binding) -> Bool { bindings[binding.destination]?.contains(binding) ?? false }

  /// The destinations of a message, each once.
  func destinations(for routing: Routing) -> [Destination] {
    switch kind {
    case .direct where routing.moreKeys.isEmpty: return destinationsByKey[ExactText(routing.key)]?.elements ?? []
    case .fanout: return destinations.elements
    case .direct, .topic, .headers: break
    }
    var found: Set<Destination> = []
    if kind == .headers {
      for binding in headers.matches(routing.headers) { found.insert(binding.destination) }
    } else {
      for key in routing.allKeys {
        if kind == .direct || !Topic.isPattern(key), let exact = destinationsByKey[ExactText(key)] {
          found.formUnion(exact.elements)
        }
        guard kind == .topic else { continue }
        for pattern in patterns.patterns(matching: Topic.words(key)) {
          found.formUnion(destinationsByKey[ExactText(pattern)]!.elements)
        }
      }
    }
    return found.sorted { destinations.place(of: $0)! < destinations.place(of: $1)! }
  }

  /// Adds a binding. Returns false when it exists.
  func bind(_ binding: Binding) -> Bool {
    let destination = binding.destination
    guard bindings[destination, default: OrderedSet()].insert(binding) else { return false }
    if destinations.insert(destination), destination.isExchange { boundExchanges += 1 }
    if kind == .headers { headers.insert(binding) }
    guard destinationsByKey[ExactText(binding.routingKey), default: OrderedSet()].insert(destination) else {
      copies[Binding(destination, routingKey: binding.routingKey), default: 0] += 1
      return true
    }
    if kind == .topic, Topic.isPattern(binding.routingKey) { patterns.insert(binding.routingKey) }
    return true
  }

  /// Removes a binding. Returns false when it does not exist.
  func unbind(_ binding: Binding) -> Bool {
    let destination = binding.destination
    guard bindings[destination]?.remove(binding) == true else { return false }
    if kind == .headers { headers.remove(binding) }
    if bindings[destination]!.isEmpty {
      bindings[destination] = nil
      destinations.remove(destination)
      if destination.isExchange { boundExchanges -= 1 }
    }
    let bare = Binding(destination, routingKey: binding.routingKey)
    if let count = copies[bare] {
      copies[bare] = count == 1 ? nil : count - 1
      return true
    }
    let key = ExactText(binding.routingKey)
    destinationsByKey[key]!.remove(destination)
    if destinationsByKey[key]!.isEmpty {
      destinationsByKey[key] = nil
      if kind == .topic, Topic.isPattern(binding.routingKey) { patterns.remove(binding.routingKey) }
    }
    return true
  }

  /// Removes all bindings to a destination. Returns them.
  func unbindAll(_ destination: Destination) -> [Binding] {
    let removed = bindings[destination]?.elements ?? []
    for binding in removed { _ = unbind(binding) }
    return removed
  }
}

/// Patterns of topic exchanges: words between dots, where `*` matches one word and `#` any number
/// of words (AMQP 0-9-1 §3.1.3.3).
enum Topic {
  /// An empty key has no words, as in RabbitMQ. A dot may precede a combining mark.
  static func words(_ key: String) -> [Substring] {
    if key.isEmpty { return [] }
    return key.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).map { Substring($0) }
  }

  /// Whether the key of a binding has wildcards.
  static func isPattern(_ key: String) -> Bool { words(key).contains { $0 == "*" || $0 == "#" } }
}
