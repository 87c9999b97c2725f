/// A row of the table of methods: AMQP 0-9-1 with RabbitMQ's extensions (the specification's XML).
///
/// The refusals, the documentation and the grammar of the simulated attackers use this table. A
/// test compares the codec with it.
public struct AMQPMethodRow: Sendable {
  /// The type of a field on the wire.
  public enum Field: Sendable, Hashable {
    case bit, short, long, longLong, shortString, longString, table
  }

  /// Who sends a method.
  public enum Sender: Sendable, Hashable {
    case client, broker, both
  }

  /// Class and method, for example `queue.declare`.
  public let name: String
  /// The class id.
  public let classID: UInt16
  /// The method id.
  public let id: UInt16
  /// Who sends it.
  public let sender: Sender
  /// The fields in order. Reserved fields are named `reserved`.
  public let fields: [(name: String, type: Field)]
  /// Whether the broker serves it. Others are refused with 540.
  public let isServed: Bool

  private init(
    _ name: String, _ classID: UInt16, _ id: UInt16, _ sender: Sender, _ fields: [(String, Field)] = [],
    isServed: Bool = true
  ) {
    self.name = name
    self.classID = classID
    self.id = id
    self.sender = sender
    self.fields = fields.map { (name: $0.0, type: $0.1) }
    self.isServed = isServed
  }

  /// The row of a method; nil for an unknown one.
  public static func row(_ classID: UInt16, _ id: UInt16) -> AMQPMethodRow? {
    all.first { $0.classID == classID && $0.id == id }
  }

  private static let ticket = ("reserved", Field.short)
  private static let closing: [(String, Field)] = [
    ("reply-code", .short), ("reply-text", .shortString), ("class-id", .short), ("method-id", .short),
  ]
  private static let tuning: [(String, Field)] = [("channel-max", .short), ("frame-max", .long), ("heartbeat", .short)]
  private static let queueBinding: [(String, Field)] = [
    ticket, ("queue", .shortString), ("exchange", .shortString), ("routing-key", .shortString),
  ]
  private static let exchangeBinding: [(String, Field)] = [
    ticket, ("destination", .shortString), ("source", .shortString), ("routing-key", .shortString),
    ("no-wait", .bit), ("arguments", .table),
  ]

  /// All methods.
  public static let all: [AMQPMethodRow] = connection + channel + exchange + queue + basic + modes

  private static let connection = [
    AMQPMethodRow(
      "connection.start", 10, 10, .broker,
      [("version", .short), ("server-properties", .table), ("mechanisms", .longString), ("locales", .longString)]),
    AMQPMethodRow(
      "connection.start-ok", 10, 11, .client,
      [
        ("client-properties", .table), ("mechanism", .shortString), ("response", .longString),
        ("locale", .shortString),
      ]),
    AMQPMethodRow("connection.secure", 10, 20, .broker, [("challenge", .longString)], isServed: false),
    AMQPMethodRow("connection.secure-ok", 10, 21, .client, [("response", .longString)], isServed: false),
    AMQPMethodRow("connection.tune", 10, 30, .broker, tuning),
    AMQPMethodRow("connection.tune-ok", 10, 31, .client, tuning),
    AMQPMethodRow(
      "connection.open", 10, 40, .client,
      [("virtual-host", .shortString), ("reserved", .shortString), ("reserved", .bit)]),
    AMQPMethodRow("connection.open-ok", 10, 41, .broker, [("reserved", .shortString)]),
    AMQPMethodRow("connection.close", 10, 50, .both, closing),
    AMQPMethodRow("connection.close-ok", 10, 51, .both),
    AMQPMethodRow("connection.blocked", 10, 60, .broker, [("reason", .shortString)]),
    AMQPMethodRow("connection.unblocked", 10, 61, .broker),
    AMQPMethodRow(
      "connection.update-secret", 10, 70, .client, [("new-secret", .longString), ("reason", .shortString)]),
    AMQPMethodRow("connection.update-secret-ok", 10, 71, .broker),
  ]

  private static let channel = [
    AMQPMethodRow("channel.open", 20, 10, .client, [("reserved", .shortString)]),
    AMQPMethodRow("channel.open-ok", 20, 11, .broker, [("reserved", .longString)]),
    AMQPMethodRow("channel.flow", 20, 20, .both, [("active", .bit)]),
    AMQPMethodRow("channel.flow-ok", 20, 21, .both, [("active", .bit)]),
    AMQPMethodRow("channel.close", 20, 40, .both, closing),
    AMQPMethodRow("channel.close-ok", 20, 41, .both),
    AMQPMethodRow(
      "access.request", 30, 10, .client,
      [
        ("realm", .shortString), ("exclusive", .bit), ("passive", .bit), ("active", .bit), ("write", .bit),
        ("read", .bit),
      ]),
    AMQPMethodRow("access.request-ok", 30, 11, .broker, [("ticket", .short)]),
  ]

  private static let exchange = [
    AMQPMethodRow(
      "exchange.declare", 40, 10, .client,
      [
        ticket, ("exchange", .shortString), ("type", .shortString), ("passive", .bit), ("durable", .bit),
        ("auto-delete", .bit), ("internal", .bit), ("no-wait", .bit), ("arguments", .table),
      ]),
    AMQPMethodRow("exchange.declare-ok", 40, 11, .broker),
    AMQPMethodRow(
      "exchange.delete", 40, 20, .client,
      [ticket, ("exchange", .shortString), ("if-unused", .bit), ("no-wait", .bit)]),
    AMQPMethodRow("exchange.delete-ok", 40, 21, .broker),
    AMQPMethodRow("exchange.bind", 40, 30, .client, exchangeBinding),
    AMQPMethodRow("exchange.bind-ok", 40, 31, .broker),
    AMQPMethodRow("exchange.unbind", 40, 40, .client, exchangeBinding),
    AMQPMethodRow("exchange.unbind-ok", 40, 51, .broker),
  ]

  private static let queue = [
    AMQPMethodRow(
      "queue.declare", 50, 10, .client,
      [
        ticket, ("queue", .shortString), ("passive", .bit), ("durable", .bit), ("exclusive", .bit),
        ("auto-delete", .bit), ("no-wait", .bit), ("arguments", .table),
      ]),
    AMQPMethodRow(
      "queue.declare-ok", 50, 11, .broker,
      [("queue", .shortString), ("message-count", .long), ("consumer-count", .long)]),
    AMQPMethodRow("queue.bind", 50, 20, .client, queueBinding + [("no-wait", .bit), ("arguments", .table)]),
    AMQPMethodRow("queue.bind-ok", 50, 21, .broker),
    AMQPMethodRow("queue.unbind", 50, 50, .client, queueBinding + [("arguments", .table)]),
    AMQPMethodRow("queue.unbind-ok", 50, 51, .broker),
    AMQPMethodRow("queue.purge", 50, 30, .client, [ticket, ("queue", .shortString), ("no-wait", .bit)]),
    AMQPMethodRow("queue.purge-ok", 50, 31, .broker, [("message-count", .long)]),
    AMQPMethodRow(
      "queue.delete", 50, 40, .client,
      [ticket, ("queue", .shortString), ("if-unused", .bit), ("if-empty", .bit), ("no-wait", .bit)]),
    AMQPMethodRow("queue.delete-ok", 50, 41, .broker, [("message-count", .long)]),
  ]

  private static let delivered: [(String, Field)] = [
    ("delivery-tag", .longLong), ("redelivered", .bit), ("exchange", .shortString), ("routing-key", .shortString),
  ]

  private static let basic = [
    AMQPMethodRow(
      "basic.qos", 60, 10, .client, [("prefetch-size", .long), ("prefetch-count", .short), ("global", .bit)]),
    AMQPMethodRow("basic.qos-ok", 60, 11, .broker),
    AMQPMethodRow(
      "basic.consume", 60, 20, .client,
      [
        ticket, ("queue", .shortString), ("consumer-tag", .shortString), ("no-local", .bit), ("no-ack", .bit),
        ("exclusive", .bit), ("no-wait", .bit), ("arguments", .table),
      ]),
    AMQPMethodRow("basic.consume-ok", 60, 21, .broker, [("consumer-tag", .shortString)]),
    AMQPMethodRow("basic.cancel", 60, 30, .both, [("consumer-tag", .shortString), ("no-wait", .bit)]),
    AMQPMethodRow("basic.cancel-ok", 60, 31, .both, [("consumer-tag", .shortString)]),
    AMQPMethodRow(
      "basic.publish", 60, 40, .client,
      [
        ticket, ("exchange", .shortString), ("routing-key", .shortString), ("mandatory", .bit), ("immediate", .bit),
      ]),
    AMQPMethodRow(
      "basic.return", 60, 50, .broker,
      [
        ("reply-code", .short), ("reply-text", .shortString), ("exchange", .shortString),
        ("routing-key", .shortString),
      ]),
    AMQPMethodRow("basic.deliver", 60, 60, .broker, [("consumer-tag", .shortString)] + delivered),
    AMQPMethodRow("basic.get", 60, 70, .client, [ticket, ("queue", .shortString), ("no-ack", .bit)]),
    AMQPMethodRow("basic.get-ok", 60, 71, .broker, delivered + [("message-count", .long)]),
    AMQPMethodRow("basic.get-empty", 60, 72, .broker, [("reserved", .shortString)]),
    AMQPMethodRow("basic.ack", 60, 80, .both, [("delivery-tag", .longLong), ("multiple", .bit)]),
    AMQPMethodRow("basic.reject", 60, 90, .client, [("delivery-tag", .longLong), ("requeue", .bit)]),
    AMQPMethodRow("basic.recover-async", 60, 100, .client, [("requeue", .bit)]),
    AMQPMethodRow("basic.recover", 60, 110, .client, [("requeue", .bit)]),
    AMQPMethodRow("basic.recover-ok", 60, 111, .broker),
    AMQPMethodRow(
      "basic.nack", 60, 120, .both, [("delivery-tag", .longLong), ("multiple", .bit), ("requeue", .bit)]),
  ]

  private static let modes = [
    AMQPMethodRow("confirm.select", 85, 10, .client, [("no-wait", .bit)]),
    AMQPMethodRow("confirm.select-ok", 85, 11, .broker),
    AMQPMethodRow("tx.select", 90, 10, .client),
    AMQPMethodRow("tx.select-ok", 90, 11, .broker),
    AMQPMethodRow("tx.commit", 90, 20, .client),
    AMQPMethodRow("tx.commit-ok", 90, 21, .broker),
    AMQPMethodRow("tx.rollback", 90, 30, .client),
    AMQPMethodRow("tx.rollback-ok", 90, 31, .broker),
  ]
}
