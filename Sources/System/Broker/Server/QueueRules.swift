/// A duration that a client gives for its messages. The wire contract bounds it to less than 2^32 ms (49 days),
/// so that it can be added to any time.
struct Milliseconds: Hashable, Comparable, Sendable {
  let count: UInt32

  init?(_ count: Int64) {
    guard let count = UInt32(exactly: count) else { return nil }
    self.count = count
  }

  /// Creates the nearest duration within the bound.
  init(clamping count: Int64) { self.count = UInt32(clamping: count) }

  static func < (a: Milliseconds, b: Milliseconds) -> Bool { a.count < b.count }

  /// Parses the property `expiration` of a message. As in RabbitMQ, it has digits alone.
  /// - Throws: `AMQPError` 406.
  static func lifetime(_ expiration: String?) throws(AMQPError) -> Milliseconds? {
    guard let expiration else { return nil }
    guard let count = Int64(expiration), let lifetime = Milliseconds(count) else {
      throw AMQPError(406, "PRECONDITION_FAILED - invalid expiration '\(expiration.prefix(64))'")
    }
    return lifetime
  }
}

/// The limits of a queue, and where its dead letters go: the arguments of `queue.declare`.
struct QueueRules: Hashable, Sendable {
  /// The wire contract's bound on counts.
  static let maximumCount: Int64 = 1_000_000

  var deadLetterExchange: String?
  var deadLetterRoutingKey: String?
  var timeToLive: Milliseconds?
  var maximumLength: Int?

  init() {}

  /// Parses arguments.
  /// - Throws: `AMQPError` 406 for values that are malformed or out of bounds, 540 for unsupported arguments.
  init(_ arguments: AMQPTable) throws(AMQPError) {
    for entry in arguments.entries {
      let invalid = AMQPError(406, "PRECONDITION_FAILED - invalid arg '\(entry.name)'")
      switch entry.name {
      case "x-dead-letter-exchange", "x-dead-letter-routing-key":
        guard let text = entry.value.text, text.utf8.count <= AMQPWriter.maximumShortString else { throw invalid }
        if entry.name == "x-dead-letter-exchange" { deadLetterExchange = text } else { deadLetterRoutingKey = text }
      case "x-message-ttl":
        guard let time = entry.value.int.flatMap(Milliseconds.init(_:)) else { throw invalid }
        timeToLive = time
      case "x-max-length":
        guard let count = entry.value.int, (0...Self.maximumCount).contains(count) else { throw invalid }
        maximumLength = Int(count)
      case "x-overflow":
        guard let text = entry.value.text else { throw invalid }
        guard text == "drop-head" else { throw Self.notServed(entry.name) }
      case "x-queue-type":
        guard let text = entry.value.text else { throw invalid }
        guard text == "classic" else { throw Self.notServed(entry.name) }
      case let name where name.hasPrefix("x-"): throw Self.notServed(name)
      default: break
      }
    }
    if deadLetterRoutingKey != nil, deadLetterExchange == nil {
      throw AMQPError(406, "PRECONDITION_FAILED - x-dead-letter-routing-key without x-dead-letter-exchange")
    }
  }

  private static func notServed(_ name: String) -> AMQPError {
    AMQPError(540, "NOT_IMPLEMENTED - queue argument '\(name)'")
  }

  /// Reads stored arguments, perhaps of a version with other bounds. Numbers are clamped and malformed values are
  /// left out, so that the queue keeps its messages.
  init(stored arguments: AMQPTable) {
    func name(_ argument: String) -> String? {
      arguments[argument]?.text.flatMap { $0.utf8.count <= AMQPWriter.maximumShortString ? $0 : nil }
    }
    deadLetterExchange = name("x-dead-letter-exchange")
    if deadLetterExchange != nil { deadLetterRoutingKey = name("x-dead-letter-routing-key") }
    timeToLive = arguments["x-message-ttl"]?.int.map(Milliseconds.init(clamping:))
    maximumLength = arguments["x-max-length"]?.int.map { Int(min(max(0, $0), Self.maximumCount)) }
  }

  /// The arguments to store. They leave out arguments without an effect.
  var arguments: AMQPTable {
    var table = AMQPTable()
    table["x-dead-letter-exchange"] = deadLetterExchange.map(AMQPValue.text)
    table["x-dead-letter-routing-key"] = deadLetterRoutingKey.map(AMQPValue.text)
    table["x-message-ttl"] = timeToLive.map { .int64(Int64($0.count)) }
    table["x-max-length"] = maximumLength.map { .int64(Int64($0)) }
    return table
  }
}
