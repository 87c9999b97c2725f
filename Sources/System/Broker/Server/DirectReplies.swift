import Environment

/// The consumer of direct replies of a channel.
struct ReplyConsumer {
  let tag: String
  /// Part of the routing key of replies to it. Nobody else can guess it.
  let token: String
}

/// Direct replies (`amq.rabbitmq.reply-to`, an extension of RabbitMQ): a client gets replies to its
/// requests without a queue. Replies are not stored. Used on the broker's actor.
final class DirectReplies {
  /// The queue that clients consume, and name in `reply_to`.
  static let queue = "amq.rabbitmq.reply-to"
  private static let prefix = queue + "."
  /// Bytes of output that may wait for a client before replies to it are dropped.
  private static let maximumBacklog = 64 << 20

  private let environment: Environment
  private var channels: [String: BrokerChannel] = [:]

  init(_ environment: Environment) { self.environment = environment }

  /// Serves `basic.consume` of the pseudo-queue.
  /// - Throws: `AMQPError` 406.
  func add(_ tag: String, noAck: Bool, _ channel: BrokerChannel) throws(AMQPError) {
    guard noAck else { throw AMQPError(406, "PRECONDITION_FAILED - reply consumer cannot acknowledge") }
    guard channel.replyConsumer == nil else {
      throw AMQPError(406, "PRECONDITION_FAILED - reply consumer already set")
    }
    let token = Hex.encode(environment.entropy.bytes(16))
    channel.replyConsumer = ReplyConsumer(tag: tag, token: token)
    channels[token] = channel
  }

  /// Ends the consumer of a channel.
  func remove(_ channel: BrokerChannel) {
    guard let consumer = channel.replyConsumer else { return }
    channel.replyConsumer = nil
    channels[consumer.token] = nil
  }

  /// Whether a name is the pseudo-queue, or a reply's routing key whose consumer is there.
  func exists(_ name: String) -> Bool { name == Self.queue || channel(name) != nil }

  /// Whether a name belongs to direct replies.
  static func isReply(_ name: String) -> Bool { name.hasPrefix(queue) }

  private func channel(_ key: String) -> BrokerChannel? {
    guard key.hasPrefix(Self.prefix) else { return nil }
    return channels[String(key.dropFirst(Self.prefix.count))]
  }

  /// The value of `reply_to` that a responder sees.
  /// - Throws: `AMQPError` 406 when the channel consumes no replies.
  static func address(_ channel: BrokerChannel) throws(AMQPError) -> String {
    guard let consumer = channel.replyConsumer else {
      throw AMQPError(406, "PRECONDITION_FAILED - fast reply consumer does not exist")
    }
    return prefix + consumer.token
  }

  /// Delivers a message to the default exchange to the clients whose reply is one of its routing
  /// keys, once to each.
  func deliver(_ message: BrokerMessage, _ routing: Routing) {
    if routing.moreKeys.isEmpty {
      if Self.isReply(routing.key) { deliver(message, to: routing.key) }
    } else {
      for key in Set(routing.allKeys.filter(Self.isReply)).sorted() { deliver(message, to: key) }
    }
  }

  /// As in RabbitMQ, the next delivery has the same tag: replies are not acknowledged.
  private func deliver(_ message: BrokerMessage, to key: String) {
    guard let channel = channel(key), let consumer = channel.replyConsumer, !channel.isClosing else { return }
    let client = channel.connection
    guard !client.isGone, client.backlog < Self.maximumBacklog else { return }
    channel.send(
      .basicDeliver(
        consumer: consumer.tag, tag: channel.unsettled.upcomingTag, redelivered: false, exchange: message.exchange,
        routingKey: message.routingKey), message)
    client.flush()
  }
}
