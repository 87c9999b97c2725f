/// A duration that a client gives for its messages. The wire contract bounds it to less than 2^32
/// ms (49 days), so that it can be added to any time.
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
  static func lifetime(_ expiration: AMQPText?) throws(AMQPError) -> Milliseconds? {
    guard let expiration else { return nil }
    guard let count = expiration.text.flatMap({ Int64($0) }), let lifetime = Milliseconds(count) else {
      throw AMQPError(406, "PRECONDITION_FAILED - invalid expiration '\(expiration.shown.prefix(64))'")
    }
    return lifetime
  }
}

/// What happens to a publication for a queue that is full.
enum QueueOverflow: String, Sendable {
  case dropHead = "drop-head"
  case rejectPublish = "reject-publish"
  case rejectPublishDeadLetter = "reject-publish-dlx"
}

/// The rules of a queue: the arguments of `queue.declare`, checked against `QueueArgument.all`.
struct QueueRules: Hashable, Sendable {
  /// The wire contract's bound on counts.
  static let maximumCount: Int64 = 1_000_000
  /// The largest value of `x-max-length-bytes`.
  static let maximumBytes: Int64 = 1 << 40

  /// The arguments with a meaning, sorted by name. Numbers are of one type, so that equal ones are
  /// equal.
  private(set) var arguments = AMQPTable()
  private(set) var type = QueueType.classic
  private(set) var deadLetterExchange: String?
  private(set) var deadLetterRoutingKey: String?
  private(set) var timeToLive: Milliseconds?
  /// The queue is deleted when it is unused for this long.
  private(set) var idleTime: Milliseconds?
  private(set) var limits = QueueLimits()
  private(set) var hasSingleConsumer = false
  /// A lazy queue differs from others in its dead letters alone.
  private(set) var isLazy = false
  /// Returns of a message to a quorum queue after which it is dead-lettered.
  private(set) var deliveryLimit: UInt16?

  init() {}

  /// Checks and parses the arguments of a declaration. `queue` is its name in errors.
  /// - Throws: `AMQPError` 406 for values that are malformed or out of bounds, 540 for streams.
  init(_ declared: AMQPTable, queue: String = "") throws(AMQPError) {
    func invalid(_ name: String, _ fault: String) -> AMQPError {
      AMQPError(406, "PRECONDITION_FAILED - invalid arg '\(name)' for queue '\(queue)' in vhost '/': \(fault)")
    }
    if declared["x-queue-type"]?.text == "stream" {
      throw AMQPError(540, "NOT_IMPLEMENTED - queue '\(queue)' in vhost '/' of type 'stream'")
    }
    let type = declared["x-queue-type"]?.text.flatMap(QueueType.init(rawValue:)) ?? .classic
    for entry in declared.entries {
      guard let row = QueueArgument.row(entry.name) else { continue }
      guard row.isFor(type) else {
        throw AMQPError(
          406,
          "PRECONDITION_FAILED - invalid arg '\(row.name)' for queue '\(queue)' in vhost '/' of queue type rabbit_\(type.rawValue)_queue"
        )
      }
      if let fault = row.fault(of: entry.value) { throw invalid(row.name, fault) }
    }
    if declared["x-dead-letter-routing-key"] != nil, declared["x-dead-letter-exchange"] == nil {
      throw invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
    }
    take(declared)
  }

  /// Reads stored arguments, perhaps of a version with other bounds. Numbers are clamped and
  /// malformed values are left out, so that the queue keeps its messages.
  init(stored arguments: AMQPTable) {
    var good = AMQPTable()
    for entry in arguments.entries {
      guard let row = QueueArgument.row(entry.name), row.effect != .refused else { continue }
      if row.fault(of: entry.value) == nil {
        good[row.name] = entry.value
      } else if case .number(let range) = row.kind, let number = entry.value.int {
        good[row.name] = .int64(min(max(range.lowerBound, number), range.upperBound))
      }
    }
    if good["x-dead-letter-exchange"] == nil { good["x-dead-letter-routing-key"] = nil }
    take(good)
  }

  /// Takes arguments that are good.
  private mutating func take(_ good: AMQPTable) {
    for row in QueueArgument.all {
      guard let value = good[row.name] else { continue }
      arguments[row.name] = value.int.map(AMQPValue.int64) ?? value
    }
    // A queue without a type is a classic one.
    if arguments["x-queue-type"]?.text == QueueType.classic.rawValue { arguments["x-queue-type"] = nil }
    arguments = arguments.sorted
    func number(_ name: String) -> Int64? { arguments[name]?.int }
    type = arguments["x-queue-type"]?.text.flatMap(QueueType.init(rawValue:)) ?? .classic
    deadLetterExchange = arguments["x-dead-letter-exchange"]?.text
    deadLetterRoutingKey = arguments["x-dead-letter-routing-key"]?.text
    timeToLive = number("x-message-ttl").map(Milliseconds.init(clamping:))
    idleTime = number("x-expires").map(Milliseconds.init(clamping:))
    hasSingleConsumer = arguments["x-single-active-consumer"] == .boolean(true)
    isLazy = arguments["x-queue-mode"]?.text == "lazy"
    deliveryLimit = number("x-delivery-limit").map(UInt16.init(clamping:))
    limits = QueueLimits(
      maximumLength: number("x-max-length").map { Int($0) }, maximumBytes: number("x-max-length-bytes").map { Int($0) },
      overflow: arguments["x-overflow"]?.text.flatMap(QueueOverflow.init(rawValue:)) ?? .dropHead,
      // A priority queue with the highest priority 0 is an ordinary queue.
      highestPriority: number("x-max-priority").map { UInt8(clamping: $0) } ?? 0)
  }

  /// Whether a dead letter tells the time to live that its publisher gave to the message. As in
  /// RabbitMQ, a lazy queue has forgotten it, but not of messages that it refuses.
  func tellsLifetime(of reason: DeathReason) -> Bool { !isLazy || reason == .tooMany && limits.refuses }

  /// The first argument that differs from other rules, for errors.
  func difference(from other: QueueRules) -> String? {
    QueueArgument.all.first { arguments[$0.name] != other.arguments[$0.name] }?.name
  }
}
