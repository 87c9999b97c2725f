/// A consumer of a queue. Used on the broker's actor.
final class BrokerConsumer {
  /// A limit that keeps deliveries from a consumer.
  enum Limit {
    case consumer, channel, connection
  }

  let tag: String
  unowned let channel: BrokerChannel
  let queue: BrokerQueue
  /// Whether deliveries need no acknowledgement.
  let noAck: Bool
  let isExclusive: Bool
  /// Deliveries that it may hold unsettled; 0 for no limit.
  let prefetch: Int
  /// Consumers of higher priority get messages first, while they have room (`x-priority`).
  let priority: Int32
  /// Deliveries that it holds unsettled.
  var unsettled = 0
  var isCancelled = false
  /// Whether it is in its queue's list of consumers that may have room.
  var isReady = false
  /// Whether it is in its channel's or its connection's list of consumers that wait for room.
  var waitsForChannel = false
  var waitsForConnection = false

  init(
    tag: String, channel: BrokerChannel, queue: BrokerQueue, noAck: Bool, isExclusive: Bool, prefetch: Int,
    priority: Int32
  ) {
    self.tag = tag
    self.channel = channel
    self.queue = queue
    self.noAck = noAck
    self.isExclusive = isExclusive
    self.prefetch = prefetch
    self.priority = priority
  }

  /// The limit that keeps another delivery from it now; nil when it has room.
  var limit: Limit? {
    if isCancelled || channel.isClosing { return .consumer }
    if !noAck, prefetch > 0, unsettled >= prefetch { return .consumer }
    if !channel.hasRoom || !noAck && !channel.mayHoldMore { return .channel }
    let client = channel.connection
    return client.hasRoom && (noAck || client.mayHoldMore) ? nil : .connection
  }
}
