/// A message to publish.
public struct AMQPMessage: Sendable {
  /// The exchange. The default exchange has the empty name.
  public var exchange: String
  /// The routing key. At the default exchange it is the name of a queue.
  public var routingKey: String
  /// The properties.
  public var properties: AMQPProperties
  /// The body.
  public var body: [UInt8]
  /// Whether it goes to a queue that a client named (`reply_to`). If the broker rejects it, it is
  /// dropped: other messages do not wait for the queue of one client.
  var isAnswer = false

  /// Creates a message.
  public init(exchange: String, routingKey: String, properties: AMQPProperties, body: [UInt8]) {
    self.exchange = exchange
    self.routingKey = routingKey
    self.properties = properties
    self.body = body
  }
}

/// A message that a consumer receives.
public struct AMQPDelivery: Sendable {
  /// The properties.
  public let properties: AMQPProperties
  /// The body.
  public let body: [UInt8]
  /// Whether the message may have been delivered before.
  public let isRedelivered: Bool
  let tag: UInt64
  /// Why the message cannot be handled: its properties are malformed, or its body is too large.
  var fault: String?
  /// Where it was published.
  var exchange = ""
  var routingKey = ""

  /// Approximate bytes in memory.
  var size: Int { body.count + 1024 }
}

extension AMQPDelivery {
  /// Reads the properties of a `basic.deliver`. A message that cannot be read gets a `fault`, so
  /// that the consumer can set it aside and the queue goes on.
  init(_ command: AMQPCommand, tag: UInt64, isRedelivered: Bool) {
    var properties = AMQPProperties()
    var fault: String?
    do throws(AMQPError) {
      properties = try command.readProperties()
      if command.omittedBytes > 0 { fault = "a body of \(command.omittedBytes) bytes" }
    } catch {
      fault = "properties that cannot be read: \(error.reason)"
    }
    self.init(properties: properties, body: command.body, isRedelivered: isRedelivered, tag: tag, fault: fault)
    if case .basicDeliver(_, _, _, let exchange, let key) = command.method {
      (self.exchange, routingKey) = (exchange, key)
    }
  }
}
