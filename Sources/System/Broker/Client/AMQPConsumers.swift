import Environment

/// The consuming half of a client: deliveries in, batches for handlers out, settlements as frames.
/// It opens a channel for each consumer on each new connection. Used on the client's actor.
struct AMQPConsumers {
  /// One queue and its handler.
  private struct Consumer {
    let queue: String
    let isExclusive: Bool
    let handler: AMQPClient.Handler
    var waiting: [AMQPDelivery] = []
    /// Whether a task calls the handler.
    var isWorking = false
    /// The opening of the channel. Delivery tags count from 1 on each, so a delivery is settled
    /// only on the opening that brought it.
    var opening = 0
    /// The channel on this connection.
    var channel: UInt16?
    /// Whether the channel is open, as far as the client knows.
    var isOpen = false
  }

  /// Deliveries for one call of a handler, in order.
  struct Batch: Sendable {
    let consumer: Int
    let deliveries: [AMQPDelivery]
    let handler: AMQPClient.Handler
    fileprivate let opening: Int

    fileprivate var size: Int { deliveries.reduce(0) { $0 + $1.size } }
  }

  /// A consumer that was refused because another one has its queue.
  struct Refused: Sendable {
    fileprivate let consumer: Int
    fileprivate let opening: Int
  }

  /// Bytes of deliveries that are held for all handlers together.
  private static let maximumHeld = 256 << 20

  /// Deliveries that a consumer may hold.
  private let maximumPrefetch: UInt16
  /// By number. Numbers count from 1.
  private var consumers: [Int: Consumer] = [:]
  private var lastConsumer = 0
  private var channels = AMQPChannels(maximum: 0)
  private var isConnected = false
  /// Counts the openings of channels.
  private var openings = 0
  /// Deliveries that each consumer may hold now. It shrinks when they are large.
  private var prefetch: UInt16
  /// Bytes of deliveries that wait for their handlers or are being handled.
  private var heldBytes = 0

  init(_ limits: WorkLimits) {
    maximumPrefetch = UInt16(limits[.prefetch])
    prefetch = maximumPrefetch
  }

  private var numbers: [Int] { consumers.keys.sorted() }

  // MARK: Connection

  /// Consumes everything on a new connection.
  mutating func connect(channelMax: UInt16, to output: inout [UInt8]) {
    isConnected = true
    channels = AMQPChannels(maximum: channelMax)
    for id in numbers {
      consumers[id]!.channel = nil
      consumers[id]!.isOpen = false
      channels.wait(id)
    }
    openWaiting(to: &output)
  }

  /// Drops deliveries of a connection that has ended. The broker delivers them again.
  mutating func disconnect() {
    isConnected = false
    for id in numbers { dropWaiting(id) }
  }

  /// Forgets all consumers. Their handlers hold the service that holds the client.
  mutating func removeAll() { consumers = [:] }

  // MARK: Consumers

  /// Adds a consumer. Returns its number.
  mutating func add(
    _ queue: String, exclusive: Bool, to output: inout [UInt8], _ handler: @escaping AMQPClient.Handler
  ) -> Int {
    lastConsumer += 1
    consumers[lastConsumer] = Consumer(queue: queue, isExclusive: exclusive, handler: handler)
    if isConnected {
      channels.wait(lastConsumer)
      openWaiting(to: &output)
    }
    return lastConsumer
  }

  /// Ends a consumer. Its deliveries return to the queue when the broker closes the channel.
  mutating func cancel(_ id: Int, to output: inout [UInt8]) {
    dropWaiting(id)
    guard let consumer = consumers.removeValue(forKey: id), isConnected, let channel = consumer.channel else { return }
    guard consumer.isOpen else {
      // While the channel is closing, the broker's answer frees its number.
      guard !channels.isClosing(channel) else { return }
      channels.free(channel)
      return openWaiting(to: &output)
    }
    AMQPFrames.write(.channelClose(code: 200, text: "done", classID: 0, methodID: 0), channel, to: &output)
    channels.close(channel)
  }

  private mutating func openWaiting(to output: inout [UInt8]) {
    while let (channel, id) = channels.assignNext(where: { consumers[$0] != nil }) {
      open(id, on: channel, to: &output)
    }
  }

  private mutating func open(_ id: Int, on channel: UInt16, to output: inout [UInt8]) {
    guard let consumer = consumers[id] else { return }
    openings += 1
    consumers[id]!.opening = openings
    consumers[id]!.channel = channel
    consumers[id]!.isOpen = true
    AMQPFrames.write(.channelOpen, channel, to: &output)
    AMQPFrames.write(.basicQos(size: 0, count: prefetch, isGlobal: false), channel, to: &output)
    var consumption = AMQPMethod.Consumption()
    consumption.queue = consumer.queue
    consumption.tag = "c\(channel)"
    consumption.exclusive = consumer.isExclusive
    consumption.noWait = true
    AMQPFrames.write(.basicConsume(consumption), channel, to: &output)
  }

  // MARK: Channels

  /// Takes `basic.cancel`: the queue was deleted. The client that deleted it declares it again, and
  /// the consumer returns on a new opening of its channel.
  mutating func cancelled(on channel: UInt16, to output: inout [UInt8]) {
    guard let id = channels.consumers[channel], consumers[id]?.isOpen == true else { return }
    dropWaiting(id)
    consumers[id]!.isOpen = false
    AMQPFrames.write(.channelClose(code: 200, text: "again", classID: 0, methodID: 0), channel, to: &output)
    channels.close(channel, reopeningFor: id)
  }

  /// Takes `channel.close-ok`.
  mutating func closed(_ channel: UInt16, to output: inout [UInt8]) {
    if let id = channels.closed(channel, where: { consumers[$0] != nil }) { open(id, on: channel, to: &output) }
    openWaiting(to: &output)
  }

  /// Whether a channel was closed here, so that a `channel.close` of the broker has crossed ours.
  func isClosing(_ channel: UInt16) -> Bool { channels.isClosing(channel) }

  /// Takes `channel.close`. Returns the consumer to `retry` when another consumer has its queue,
  /// for example one of a dead connection that the broker still takes for alive.
  /// - Throws: the broker's error in any other case: the connection is of no use then.
  mutating func refused(on channel: UInt16, _ error: AMQPError) throws(AMQPError) -> Refused {
    guard error.code == 403, let id = channels.consumers[channel], consumers[id]?.isExclusive == true else {
      throw error
    }
    consumers[id]!.isOpen = false
    return Refused(consumer: id, opening: consumers[id]!.opening)
  }

  /// Tries again to consume.
  mutating func retry(_ refused: Refused, to output: inout [UInt8]) {
    guard isConnected, let consumer = consumers[refused.consumer], consumer.opening == refused.opening,
      let channel = consumer.channel
    else { return }
    open(refused.consumer, on: channel, to: &output)
  }

  // MARK: Deliveries

  /// Takes `basic.deliver`. Returns the consumer when a task has to be started that calls its
  /// handler.
  /// - Throws: `AMQPError` 506 when the broker delivers more than the client may hold.
  mutating func deliver(_ command: AMQPCommand, tag: UInt64, isRedelivered: Bool) throws(AMQPError) -> Int? {
    guard let id = channels.consumers[command.channel], consumers[id]?.isOpen == true else { return nil }
    let delivery = AMQPDelivery(command, tag: tag, isRedelivered: isRedelivered)
    guard consumers[id]!.waiting.count < 2 * Int(maximumPrefetch) else {
      throw AMQPError(506, "the broker delivers more than the prefetch allows")
    }
    guard heldBytes + delivery.size <= Self.maximumHeld else {
      // The next connection asks for fewer at once.
      prefetch = max(1, prefetch / 4)
      throw AMQPError(506, "more than \(Self.maximumHeld) bytes of deliveries wait to be handled")
    }
    heldBytes += delivery.size
    consumers[id]!.waiting.append(delivery)
    guard !consumers[id]!.isWorking else { return nil }
    consumers[id]!.isWorking = true
    return id
  }

  /// The deliveries that wait for a consumer's handler; nil when there are none.
  mutating func takeBatch(_ id: Int) -> Batch? {
    guard let consumer = consumers[id], !consumer.waiting.isEmpty else { return nil }
    consumers[id]!.waiting = []
    return Batch(
      consumer: id, deliveries: consumer.waiting, handler: consumer.handler, opening: consumer.opening)
  }

  /// Notes that the task that called a consumer's handler ends.
  mutating func endWork(_ id: Int) { consumers[id]?.isWorking = false }

  /// Acknowledges a batch.
  mutating func acknowledge(_ batch: Batch, to output: inout [UInt8]) {
    heldBytes -= batch.size
    settle(.basicAck(tag: batch.deliveries.last!.tag, multiple: true), batch, to: &output)
  }

  /// Returns a batch whose handler failed, so that it is handled again.
  mutating func giveBack(_ batch: Batch, to output: inout [UInt8]) {
    guard isOpen(batch) else {
      heldBytes -= batch.size
      return
    }
    let id = batch.consumer
    if consumers[id]!.isExclusive {
      // It keeps its place here. By way of the queue, later messages on their way would overtake
      // it.
      consumers[id]!.waiting.insert(contentsOf: batch.deliveries, at: 0)
    } else {
      heldBytes -= batch.size
      // The deliveries behind the batch return with it.
      let last = consumers[id]!.waiting.last ?? batch.deliveries.last!
      dropWaiting(id)
      settle(.basicNack(tag: last.tag, multiple: true, requeue: true), batch, to: &output)
    }
  }

  /// Settles deliveries on the opening of the channel that brought them. The end of an earlier
  /// opening has settled its deliveries already.
  private func settle(_ method: AMQPMethod, _ batch: Batch, to output: inout [UInt8]) {
    guard isOpen(batch), let channel = consumers[batch.consumer]?.channel else { return }
    AMQPFrames.write(method, channel, to: &output)
  }

  private func isOpen(_ batch: Batch) -> Bool {
    guard isConnected, let consumer = consumers[batch.consumer] else { return false }
    return consumer.isOpen && consumer.opening == batch.opening
  }

  /// Drops deliveries that wait for a handler. The broker delivers them again.
  private mutating func dropWaiting(_ id: Int) {
    guard let waiting = consumers[id]?.waiting, !waiting.isEmpty else { return }
    heldBytes -= waiting.reduce(0) { $0 + $1.size }
    consumers[id]!.waiting = []
  }
}
