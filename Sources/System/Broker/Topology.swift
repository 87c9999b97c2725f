/// The kinds of exchanges that are served.
enum ExchangeKind: String, Sendable, CaseIterable {
  case direct, fanout, topic
}

/// From an exchange to a queue.
struct Binding: Hashable, Sendable {
  let queue: String
  let routingKey: String
}

/// An exchange, and where it leads.
struct Exchange: Sendable {
  let name: String
  let kind: ExchangeKind
  let isDurable: Bool
  let isAutoDelete: Bool
  let isInternal: Bool
  /// In the order in which they were made.
  var bindings: [Binding] = []
  private var byKey: [String: [String]] = [:]

  init(name: String, kind: ExchangeKind, isDurable: Bool, isAutoDelete: Bool = false, isInternal: Bool = false) {
    self.name = name
    self.kind = kind
    self.isDurable = isDurable
    self.isAutoDelete = isAutoDelete
    self.isInternal = isInternal
  }

  /// The queues for a routing key, each once.
  func queues(for routingKey: String) -> [String] {
    switch kind {
    case .direct: return byKey[routingKey] ?? []
    case .fanout: return Self.unique(bindings.map(\.queue))
    case .topic:
      let words = Topic.words(routingKey)
      return Self.unique(bindings.filter { Topic.matches(Topic.words($0.routingKey), words) }.map(\.queue))
    }
  }

  private static func unique(_ names: [String]) -> [String] {
    var seen: Set<String> = []
    return names.filter { seen.insert($0).inserted }
  }

  /// Whether it was not there.
  mutating func bind(_ binding: Binding) -> Bool {
    guard !bindings.contains(binding) else { return false }
    bindings.append(binding)
    if byKey[binding.routingKey, default: []].contains(binding.queue) == false {
      byKey[binding.routingKey, default: []].append(binding.queue)
    }
    return true
  }

  mutating func unbind(_ binding: Binding) -> Bool {
    guard bindings.contains(binding) else { return false }
    bindings.removeAll { $0 == binding }
    byKey[binding.routingKey]?.removeAll { $0 == binding.queue }
    return true
  }

  /// Takes out every binding to a queue; whether there was one.
  mutating func unbindAll(_ queue: String) -> Bool {
    let before = bindings.count
    for binding in bindings where binding.queue == queue { _ = unbind(binding) }
    return bindings.count < before
  }
}

/// Patterns of topic exchanges: words between dots, `*` for exactly one, `#` for any number (AMQP 0-9-1 §3.1.3.3).
enum Topic {
  static func words(_ key: String) -> [Substring] { key.split(separator: ".", omittingEmptySubsequences: false) }

  static func matches(_ pattern: [Substring], _ words: [Substring]) -> Bool {
    // A table in place of recursion: the time is bounded by the product of the lengths.
    var reached = [Bool](repeating: false, count: words.count + 1)
    reached[0] = true
    for part in pattern {
      var next = [Bool](repeating: false, count: words.count + 1)
      if part == "#" {
        var any = false
        for index in 0...words.count {
          any = any || reached[index]
          next[index] = any
        }
      } else {
        for index in words.indices where reached[index] && (part == "*" || part == words[index]) {
          next[index + 1] = true
        }
      }
      reached = next
    }
    return reached[words.count]
  }
}

/// What a queue's arguments say.
struct QueueRules: Hashable, Sendable {
  var deadLetterExchange: String?
  var deadLetterRoutingKey: String?
  /// Milliseconds.
  var timeToLive: Int64?
  var maximumLength: Int64?

  init() {}

  /// - Throws: `AMQPError` 406 for values that make no sense, 540 for arguments that are not served.
  init(_ arguments: AMQPTable) throws(AMQPError) {
    for entry in arguments.entries {
      func number() throws(AMQPError) -> Int64 {
        guard let value = entry.value.int, value >= 0 else {
          throw AMQPError(406, "PRECONDITION_FAILED - invalid arg '\(entry.name)'")
        }
        return value
      }
      func text() throws(AMQPError) -> String {
        guard let value = entry.value.text else {
          throw AMQPError(406, "PRECONDITION_FAILED - invalid arg '\(entry.name)'")
        }
        return value
      }
      switch entry.name {
      case "x-dead-letter-exchange": deadLetterExchange = try text()
      case "x-dead-letter-routing-key": deadLetterRoutingKey = try text()
      case "x-message-ttl": timeToLive = try number()
      case "x-max-length": maximumLength = try number()
      case "x-overflow" where try text() == "drop-head": break
      case "x-queue-type" where try text() == "classic": break
      case let name where name.hasPrefix("x-"):
        throw AMQPError(540, "NOT_IMPLEMENTED - queue argument '\(name)'")
      default: break
      }
    }
    if deadLetterRoutingKey != nil, deadLetterExchange == nil {
      throw AMQPError(406, "PRECONDITION_FAILED - x-dead-letter-routing-key without x-dead-letter-exchange")
    }
  }
}
