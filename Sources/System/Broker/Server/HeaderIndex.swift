/// The bindings of a headers exchange, found by the headers of a message (AMQP 0-9-1 §3.1.3.4, with
/// RabbitMQ's `all-with-x` and `any-with-x`).
///
/// A message is compared with the bindings that share a header with it, not with all bindings.
struct HeaderIndex: Sendable {
  /// A header and its value; without a value, any value of the header.
  private struct Pair: Hashable, Sendable {
    let name: AMQPText
    let value: Value?
  }

  /// A value, compared as RabbitMQ does: numbers by what they are, strings by their bytes.
  private enum Value: Hashable, Sendable {
    case integer(Int64)
    case real(UInt64)
    case text([UInt8])
    case other(AMQPValue)

    init(_ value: AMQPValue) {
      if let number = value.int {
        self = .integer(number)
        return
      }
      switch value {
      case .string(let bytes), .bytes(let bytes): self = .text(bytes)
      case .timestamp(let seconds): self = Int64(exactly: seconds).map(Value.integer) ?? .other(value)
      case .float(let bits): self.init(Double(Float(bitPattern: bits)))
      case .double(let bits): self.init(Double(bitPattern: bits))
      default: self = .other(value)
      }
    }

    private init(_ number: Double) { self = Int64(exactly: number).map(Value.integer) ?? .real(number.bitPattern) }
  }

  /// What a binding asks for.
  private struct Pattern: Sendable {
    let pairs: [Pair]
    let needsAll: Bool

    init(_ arguments: AMQPTable) {
      let match = arguments["x-match"]?.text ?? "all"
      let hasExtensions = match == "all-with-x" || match == "any-with-x"
      needsAll = !match.hasPrefix("any")
      pairs = arguments.entries.filter { $0.name != "x-match" && (hasExtensions || !$0.name.isExtension) }.map {
        Pair(name: $0.name, value: $0.value == .void ? nil : Value($0.value))
      }
    }
  }

  private var patterns: [Binding: Pattern] = [:]
  private var bindings: [Pair: OrderedSet<Binding>] = [:]
  /// Bindings that ask for all of no headers match every message.
  private var unconditional = OrderedSet<Binding>()

  /// The error of a value of `x-match` that is none; nil when it is good.
  static func fault(of arguments: AMQPTable) -> AMQPError? {
    switch arguments["x-match"] {
    case nil: return nil
    case .string(let bytes)?:
      let text = String(decoding: bytes.prefix(64), as: UTF8.self)
      if ["all", "any", "all-with-x", "any-with-x"].contains(text) { return nil }
      return AMQPError(
        406,
        "PRECONDITION_FAILED - Invalid x-match field value \"\(text)\"; expected all, any, all-with-x, or any-with-x")
    case let value?:
      return AMQPError(
        406, "PRECONDITION_FAILED - Invalid x-match field type \(value.typeName); expected longstr")
    }
  }

  mutating func insert(_ binding: Binding) {
    let pattern = Pattern(binding.arguments)
    patterns[binding] = pattern
    if pattern.pairs.isEmpty, pattern.needsAll { unconditional.insert(binding) }
    for pair in pattern.pairs { bindings[pair, default: OrderedSet()].insert(binding) }
  }

  mutating func remove(_ binding: Binding) {
    guard let pattern = patterns.removeValue(forKey: binding) else { return }
    unconditional.remove(binding)
    for pair in pattern.pairs {
      bindings[pair]?.remove(binding)
      if bindings[pair]?.isEmpty == true { bindings[pair] = nil }
    }
  }

  /// The bindings that match the headers of a message, in no order.
  func matches(_ headers: AMQPTable) -> [Binding] {
    var found = unconditional.elements
    var names: Set<AMQPText> = []
    var agreed: [Binding: Int] = [:]
    // The first of several headers of one name counts.
    for header in headers.entries {
      guard names.insert(header.name).inserted else { continue }
      for pair in [Pair(name: header.name, value: nil), Pair(name: header.name, value: Value(header.value))] {
        for binding in bindings[pair]?.elements ?? [] { agreed[binding, default: 0] += 1 }
      }
    }
    for (binding, count) in agreed {
      let pattern = patterns[binding]!
      if !pattern.needsAll || count == pattern.pairs.count { found.append(binding) }
    }
    return found
  }
}

extension AMQPText {
  /// Whether a header has a name that a binding leaves out unless it asks for such names.
  fileprivate var isExtension: Bool { bytes.starts(with: "x-".utf8) }
}
