/// A channel of a connection. Used on the broker's actor.
final class BrokerChannel {
  /// Deliveries that a channel may hold unsettled, whatever it asks for. It bounds their memory.
  private static let maximumUnsettled = 100_000

  let number: UInt16
  /// Do not use it once the channel is closing: the connection may be gone.
  unowned let connection: BrokerConnection
  /// By consumer tag.
  var consumers = NameTable<BrokerConsumer>()
  var unsettled = UnsettledDeliveries()
  var confirms = PublisherConfirms()
  /// Deliveries that each new consumer may hold; 0 for no limit.
  var prefetch = 0
  /// Deliveries that all consumers together may hold.
  var sharedPrefetch = SharedPrefetch()
  /// Whether one side has closed the channel.
  var isClosing = false
  /// Whether the client takes deliveries (`channel.flow`).
  var isFlowing = true
  /// Consumers that wait until others of the channel settle their deliveries, or it flows again.
  var starved = ConsumerList()
  /// The queue that was declared last. An empty name stands for it.
  var lastQueue = ""

  init(_ number: UInt16, _ connection: BrokerConnection) {
    self.number = number
    self.connection = connection
  }

  /// What a transaction will do; nil outside of transactions.
  var transaction: ChannelTransaction?
  /// The consumer of direct replies.
  var replyConsumer: ReplyConsumer?
  /// Whether it is in the list of channels that send confirms at the end of this turn.
  var isConfirming = false

  /// Whether it may hold another delivery.
  var mayHoldMore: Bool { unsettled.count + (transaction?.deliveries ?? 0) < Self.maximumUnsettled }
  /// Whether its consumers may get another message.
  var hasRoom: Bool { isFlowing && !sharedPrefetch.isReached }

  func send(_ method: AMQPMethod) { connection.send(method, on: number) }

  /// Sends a method with a message. `returns` is the number of its returns to a quorum queue.
  func send(_ method: AMQPMethod, _ message: BrokerMessage, returns: UInt16 = 0) {
    let client = connection
    AMQPFrames.write(
      method, properties: message.properties(frameMax: client.frameMax, returns: returns), body: message.body, number,
      frameMax: client.frameMax, to: &client.output.bytes)
  }

  /// Answers the publications whose fate is known.
  func sendConfirms() { for method in confirms.takeAnswers() { send(method) } }

  /// Answers them at the end of this turn, so that several have one answer.
  func sendConfirmsSoon() {
    guard !isConfirming else { return }
    isConfirming = true
    connection.confirming.append(self)
  }
}
