/// A row of the table of queue arguments: the arguments of `queue.declare` that RabbitMQ 3.10
/// knows.
///
/// The checks, the documentation and the grammar of the simulated attackers use this table.
public struct QueueArgument: Sendable {
  /// The values of an argument.
  public enum Kind: Sendable, Hashable {
    /// A string of at most 255 bytes: a name or a routing key.
    case name
    /// One of these strings.
    case choice([String])
    /// An integer of any width within these bounds.
    case number(ClosedRange<Int64>)
    case boolean
    /// Any value, since the argument is refused.
    case any
  }

  /// What the broker does with an argument.
  public enum Effect: Sendable, Hashable {
    /// It is served.
    case served
    /// It is checked and has no effect: it is about clusters, or about how RabbitMQ stores
    /// messages.
    case none
    /// It belongs to streams, so it is refused with 406, as RabbitMQ refuses it for a queue.
    case refused
  }

  /// The types of queues that take an argument.
  public enum Types: Sendable, Hashable {
    case classic, quorum, both, neither
  }

  /// For example `x-expires`.
  public let name: String
  /// Its values.
  public let kind: Kind
  /// The types of queues that take it. RabbitMQ refuses it for other types.
  public let types: Types
  /// What the broker does with it.
  public let effect: Effect
  /// A sentence about it, for the documentation.
  public let meaning: String

  private init(
    _ name: String, _ kind: Kind, _ types: Types, _ effect: Effect, _ meaning: String
  ) {
    self.name = name
    self.kind = kind
    self.types = types
    self.effect = effect
    self.meaning = meaning
  }

  /// An argument that both types of queues take, with an effect.
  private init(_ name: String, _ kind: Kind, _ meaning: String) { self.init(name, kind, .both, .served, meaning) }

  /// The row of an argument; nil for a name that RabbitMQ does not know. Both brokers ignore such
  /// arguments.
  public static func row(_ name: String) -> QueueArgument? { row(AMQPText(name)) }

  static func row(_ name: AMQPText) -> QueueArgument? { all.first { name.isText($0.name) } }

  static let times: ClosedRange<Int64> = 0...Int64(UInt32.max)
  static let counts: ClosedRange<Int64> = 0...QueueRules.maximumCount
  static let sizes: ClosedRange<Int64> = 0...QueueRules.maximumBytes

  /// All arguments.
  public static let all: [QueueArgument] = [
    QueueArgument("x-queue-type", .choice(["classic", "quorum"]), "The type of the queue."),
    QueueArgument(
      "x-expires", .number(1...Int64(UInt32.max)), "The queue is deleted when unused for this long, in ms."),
    QueueArgument("x-message-ttl", .number(times), "Messages expire after this time, in ms."),
    QueueArgument("x-dead-letter-exchange", .name, "Gets the messages that die in the queue."),
    QueueArgument(
      "x-dead-letter-routing-key", .name, "The routing key of dead letters, in place of their own."),
    QueueArgument("x-max-length", .number(counts), "The most messages that are ready."),
    QueueArgument("x-max-length-bytes", .number(sizes), "The most bytes of bodies that are ready."),
    QueueArgument(
      "x-overflow", .choice(["drop-head", "reject-publish", "reject-publish-dlx"]),
      "Drops the oldest message, or refuses the new one, when the queue is full."),
    QueueArgument(
      "x-max-priority", .number(0...255), .classic, .served, "The highest priority of messages in the queue."),
    QueueArgument("x-single-active-consumer", .boolean, "One consumer at a time gets messages."),
    QueueArgument(
      "x-delivery-limit", .number(counts), .quorum, .served,
      "A message that returns to the queue more often than this is dead-lettered."),
    QueueArgument(
      "x-dead-letter-strategy", .choice(["at-most-once", "at-least-once"]), .quorum, .none,
      "Dead letters are always stored with the removal of the message."),
    QueueArgument(
      "x-queue-mode", .choice(["default", "lazy"]), .classic, .served,
      "Dead letters of a lazy queue have no `original-expiration`. Bodies leave memory when it is short, in both modes."
    ),
    QueueArgument("x-queue-version", .number(1...2), .classic, .none, "There is one way of storage."),
    QueueArgument("x-queue-master-locator", .any, .classic, .none, "There is one node."),
    QueueArgument(
      "x-queue-leader-locator", .choice(["client-local", "balanced", "random", "least-leaders"]), .quorum, .none,
      "There is one node."),
    QueueArgument(
      "x-quorum-initial-group-size", .number(1...QueueRules.maximumCount), .quorum, .none, "There is one node."),
    QueueArgument("x-max-in-memory-length", .number(counts), .quorum, .none, "Bodies leave memory when it is short."),
    QueueArgument("x-max-in-memory-bytes", .number(sizes), .quorum, .none, "Bodies leave memory when it is short."),
    QueueArgument("x-max-age", .any, .neither, .refused, "For streams alone."),
    QueueArgument("x-stream-max-segment-size-bytes", .any, .neither, .refused, "For streams alone."),
    QueueArgument("x-initial-cluster-size", .any, .neither, .refused, "For streams alone."),
  ]

  /// Whether queues of a type take it.
  func isFor(_ type: QueueType) -> Bool {
    switch types {
    case .classic: type == .classic
    case .quorum: type == .quorum
    case .both: true
    case .neither: false
    }
  }

  /// Why a value is refused, in RabbitMQ's words; nil when it is good.
  func fault(of value: AMQPValue) -> String? {
    switch kind {
    case .any: return nil
    case .boolean:
      if case .boolean = value { return nil }
      return "{unacceptable_type,\(value.typeName)}"
    case .number(let range):
      guard let number = value.int else { return "\"expected integer, got \(value.typeName)\"" }
      if range.contains(number) { return nil }
      if number < 0 { return "{value_negative,\(number)}" }
      if number < range.lowerBound { return "{value_zero,\(number)}" }
      return "{value_too_large,\(number)}"
    case .name, .choice:
      guard value.isString else { return "{unacceptable_type,\(value.typeName)}" }
      guard let text = value.text, text.utf8.count <= AMQPWriter.maximumShortString else { return "invalid_name" }
      if case .choice(let choices) = kind, !choices.contains(text) { return "invalid_value" }
      return nil
    }
  }
}

/// The type of a queue. A quorum queue is a durable queue that counts deliveries.
enum QueueType: String, Sendable {
  case classic, quorum
}
