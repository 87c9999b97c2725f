import Environment

/// A connection of a client. Used on the broker's actor.
final class BrokerConnection {
  /// Bytes of messages that a client may hold unsettled. They stay in memory until they are
  /// settled.
  static let maximumUnsettled = 64 << 20
  /// Bytes that are reserved for a client before its connection is open: a frame, and what was read
  /// behind it.
  static let strangerBytes = 16_384
  /// The largest frame before the connection is open. The specification asks for 4096
  /// (`frame-min-size`).
  static let strangerFrame = 8192
  /// Bytes of incomplete messages that are not charged, so that large messages of one client never
  /// stop small ones of another.
  private static let freeBytes = AMQPParser.maximumFrame

  /// Time for the network to take output. A client that does not read is gone after it.
  private static let writePatience: Duration = .seconds(60)

  enum Phase {
    /// The broker waits for `start-ok`, `tune-ok`, `open`.
    case starting, tuning, opening
    case open
    /// A close was sent. Only its answer matters.
    case closing
  }

  let id: Int
  let connection: any Connection
  private let tasks: BrokerTasks
  var phase = Phase.starting
  var user = ""
  var frameMax = AMQPParser.maximumFrame
  var heartbeat: Duration = .zero
  /// The memory for incomplete messages.
  private let budget: ByteBudget
  /// Output in bytes that may wait before the client gets no more deliveries, and is not read from.
  private let maximumBacklog: Int
  private var charged = 0
  /// Whether `strangerBytes` are reserved for it.
  var isStranger = true
  var channels: [UInt16: BrokerChannel] = [:]
  /// Whether the client understands `basic.cancel` of the broker.
  var hearsCancellations = false
  /// Whether the client understands `connection.blocked`.
  var hearsBlocking = false
  /// Whether it has published since it was last made to wait, and whether that fills memory alone.
  var hasPublished = false
  var fillsMemory = false
  /// Whether it waits because its publications fill memory.
  var isBlocked = false
  /// Whether the broker does not read from it now, so that its heartbeats are not heard.
  var isPaused = false
  /// Exclusive queues, which end with it.
  var ownedQueues = OrderedSet<ExactText>()
  /// Bytes of messages that it holds unsettled.
  var unsettledBytes = 0
  /// A `basic.get` whose message is being read from the disk. Later commands wait.
  var pendingGet: (command: AMQPCommand, queue: BrokerQueue)?
  var lastHeard: Instant
  var output = BrokerOutput()
  let outlet: Outlet
  private(set) var isGone = false
  /// Channels that send confirms at the end of this turn.
  var confirming: [BrokerChannel] = []
  /// Bytes of publications in transactions.
  var transactionBytes = 0
  /// The most channels that it may have open.
  var channelMax = BrokerCommands.maximumChannels
  /// Whether the client has closed the connection.
  var hasClosed = false
  /// The class id and method id that an error was about, in one number; 0 without one.
  var failedMethod: UInt32 = 0
  /// Consumers that wait until the client reads or settles what it was sent.
  var starved = ConsumerList()
  /// The task that reads from the client, while it waits for room in the output.
  private var roomWaiter: UnsafeContinuation<Void, Never>?

  /// Its incomplete messages, and those in transactions, have at most twice `maximumMessage` bytes.
  /// Calls `onRoom` when the network has taken output.
  init(
    _ id: Int, _ connection: any Connection, _ tasks: BrokerTasks, maximumMessage: Int, in environment: Environment,
    onRoom: @escaping (BrokerConnection) -> Void
  ) {
    self.id = id
    self.connection = connection
    self.tasks = tasks
    budget = ByteBudget(limit: 2 * maximumMessage, parent: environment.memory.members)
    maximumBacklog = environment.limits[.deliveryBacklog]
    lastHeard = environment.clock.now
    outlet = Outlet("broker-writer", environment, connection, patience: Self.writePatience)
    outlet.draw { [weak self] in
      self?.takeOutput() ?? []
    } onEvent: { [weak self] event in
      guard let self else { return }
      switch event {
      case .written: onRoom(self)
      case .stalled: break
      case .failed: leave()
      }
    }
  }

  /// Marks the client as gone. Nothing more is done for it.
  func leave() {
    isGone = true
    wakeReader()
  }

  /// Reads what the client sends after a close, until it ends the connection. Only the answer to a
  /// close matters. Everything else is dropped, so that it fills no memory. Without this, the
  /// network could drop our last frames.
  func drain(before deadline: Instant) async {
    var parser = AMQPParser(isServer: false)
    parser.takesContent = false
    var isReadable = true
    while let bytes = try? await connection.read(atMost: 65_536, deadline: deadline), !bytes.isEmpty {
      guard isReadable else { continue }
      parser.receive(bytes)
      do throws(AMQPError) {
        while let event = try parser.next() {
          if case .command(let command) = event, case .connectionCloseOk = command.method { return }
        }
      } catch {
        isReadable = false
        parser = AMQPParser(isServer: false)
      }
    }
  }

  // MARK: Output

  func send(_ method: AMQPMethod, on channel: UInt16) { AMQPFrames.write(method, channel, to: &output.bytes) }

  /// Sends the output. Everything that is written in one turn goes out together.
  func flush() {
    guard output.isSendable, outlet.begin() else { return }
    tasks.start(.write(connection: id))
  }

  private func takeOutput() -> [UInt8] { output.isSendable ? output.take() : [] }

  /// Bytes of output that the client has not read.
  var backlog: Int { output.bytes.count + outlet.underWay }
  /// Whether it may get more output.
  var hasRoom: Bool { !isGone && backlog < maximumBacklog }
  /// Whether it may hold another delivery unsettled.
  var mayHoldMore: Bool { unsettledBytes < Self.maximumUnsettled }

  /// Waits until there is room for output, or the client is gone.
  func waitForRoom() async {
    guard !hasRoom, !isGone else { return }
    await withUnsafeContinuation { roomWaiter = $0 }
  }

  /// Continues to read from the client, if there is room for output.
  func wakeReader() {
    guard hasRoom || isGone, let waiter = roomWaiter else { return }
    roomWaiter = nil
    waiter.resume()
  }

  // MARK: Memory

  /// Sends the confirms that this turn has made.
  func sendConfirms() {
    guard !confirming.isEmpty else { return }
    for channel in confirming {
      channel.isConfirming = false
      if !channel.isClosing { channel.sendConfirms() }
    }
    confirming.removeAll(keepingCapacity: true)
  }

  /// Charges the client for its incomplete messages, and for those in its transactions.
  /// - Throws: `AMQPError` 506 when they exceed the limit of the client, or of all clients.
  func charge(_ bytes: Int) throws(AMQPError) {
    let wanted = max(0, bytes + transactionBytes - Self.freeBytes)
    if wanted < charged {
      budget.release(charged - wanted)
    } else if wanted > charged, !budget.charge(wanted - charged) {
      throw AMQPError(506, "RESOURCE_ERROR - too many bytes of incomplete messages")
    }
    charged = wanted
  }

  /// Returns the charged memory.
  func endCharge() {
    budget.release(charged)
    charged = 0
  }
}
