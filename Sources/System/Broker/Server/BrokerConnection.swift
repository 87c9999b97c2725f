import Environment

/// A client's connection, as the broker holds it. Used on the broker's actor.
final class BrokerConnection {
  /// Output that may wait before no more is delivered to the client, and nothing more is read from it.
  static let maximumBacklog = 1 << 20
  /// Bytes of messages that a client may hold unsettled: each is memory until it says what becomes of it.
  static let maximumUnsettled = 64 << 20
  /// What is charged for a client before it has logged in and opened its virtual host: a frame, and what was read behind it.
  static let strangerBytes = 16_384
  /// The largest frame of a client before that. The specification asks for 4096 (`frame-min-size`).
  static let strangerFrame = 8192
  /// Bytes of messages under way that nobody is charged for, so that one client's large ones never stop another's small ones.
  private static let freeBytes = AMQPParser.maximumFrame
  /// Bytes of messages under way on all channels together.
  private static let maximumUnderWay = 2 * AMQPParser.maximumBody

  enum Phase {
    /// Waits for `start-ok`, `tune-ok`, `open`.
    case starting, tuning, opening
    case open
    /// A close was sent; only its answer is of interest.
    case closing
  }

  let id: Int
  let connection: any Connection
  var phase = Phase.starting
  var user = ""
  var frameMax = AMQPParser.maximumFrame
  var heartbeat: Duration = .zero
  /// What it is charged for messages under way.
  private let budget: ByteBudget
  private var charged = 0
  /// Whether it is charged as a stranger.
  var isStranger = true
  var channels: [UInt16: BrokerChannel] = [:]
  /// Whether the client wants to hear when its consumers are cancelled.
  var hearsCancellations = false
  /// Whether the client wants to hear that nothing is read from it.
  var hearsBlocking = false
  /// Whether it has published since it was last waited for, and whether any of that is only in memory.
  var hasPublished = false
  var fillsMemory = false
  /// Whether nothing is read from it for now, so that it cannot be heard either.
  var isPaused = false
  /// Queues that end with it.
  var ownedQueues = OrderedSet<String>()
  /// Bytes of messages that it holds unsettled.
  var unsettledBytes = 0
  /// A `basic.get` whose message is being read from the disk: what comes behind it waits.
  var pendingGet: (command: AMQPCommand, queue: BrokerQueue)?
  var lastHeard: Instant
  var lastSent: Instant
  var output: [UInt8] = []
  /// Where in the output begins what says that something is on the disk that is not yet: it waits, and what comes behind it.
  private var held: Int?
  var isWriting = false
  /// Bytes that the network has not taken yet.
  var underWrite = 0
  private(set) var isGone = false
  /// Consumers that get nothing until the client takes or settles what it was sent.
  var starved = ConsumerList()
  /// What reads from the client, while it waits for the client to take what it is sent.
  private var roomWaiter: UnsafeContinuation<Void, Never>?

  init(_ id: Int, _ connection: any Connection, at now: Instant, memory: ByteBudget) {
    self.id = id
    self.connection = connection
    budget = ByteBudget(limit: Self.maximumUnderWay, parent: memory)
    lastHeard = now
    lastSent = now
  }

  var hasRoom: Bool { !isGone && output.count + underWrite < Self.maximumBacklog }
  /// Whether it may hold another message unsettled.
  var mayHoldMore: Bool { unsettledBytes < Self.maximumUnsettled }

  /// Nothing more is done for it.
  func leave() {
    isGone = true
    wakeReader()
  }

  /// Waits until there is room for output, or the client is gone.
  func waitForRoom(isolation: isolated (any Actor)? = #isolation) async {
    guard !hasRoom, !isGone else { return }
    await withUnsafeContinuation { roomWaiter = $0 }
  }

  func wakeReader() {
    guard hasRoom || isGone, let waiter = roomWaiter else { return }
    roomWaiter = nil
    waiter.resume()
  }

  /// Charges what is held of messages that are not complete.
  /// - Throws: `AMQPError` 506 when that is more than the client, or all together, may have.
  func charge(_ bytes: Int) throws(AMQPError) {
    let wanted = max(0, bytes - Self.freeBytes)
    if wanted < charged {
      budget.release(charged - wanted)
    } else if wanted > charged, !budget.charge(wanted - charged) {
      throw AMQPError(506, "RESOURCE_ERROR - too much of too many messages is under way")
    }
    charged = wanted
  }

  func endCharge() {
    budget.release(charged)
    charged = 0
  }

  func send(_ method: AMQPMethod, on channel: UInt16) { AMQPFrames.write(method, channel, to: &output) }

  /// Holds what is sent from here on until `release`.
  func hold() { if held == nil { held = output.count } }

  var isHolding: Bool { held != nil }

  /// Lets go of what was held: it is sent, or never.
  func release(sending isTrue: Bool) {
    if let held, !isTrue { output.removeLast(output.count - held) }
    held = nil
  }

  /// Shows that the broker lives, also while something is held.
  func sendHeartbeat() {
    var frame: [UInt8] = []
    AMQPFrames.writeHeartbeat(to: &frame)
    output.insert(contentsOf: frame, at: held ?? output.count)
    if let held { self.held = held + frame.count }
  }

  /// Whether there is something that may be sent.
  var hasOutput: Bool { held != 0 && !output.isEmpty }

  /// Takes what may be sent.
  func takeOutput() -> [UInt8] {
    guard let held else {
      defer { output = [] }
      return output
    }
    defer {
      output.removeFirst(held)
      self.held = 0
    }
    return Array(output[..<held])
  }
}

/// A channel. Used on the broker's actor.
final class BrokerChannel {
  /// Deliveries that a channel may hold unsettled, whatever it asks for: each is memory.
  static let maximumUnacknowledged = 100_000

  struct Delivery {
    let queue: BrokerQueue
    var entry: QueueEntry
    let consumer: BrokerConsumer?

    var size: Int { entry.message?.size ?? 0 }
  }

  let number: UInt16
  /// Not to be asked for once the channel is closing: the connection may be gone.
  unowned let connection: BrokerConnection
  var consumers: [String: BrokerConsumer] = [:]
  /// By delivery tag.
  var unacknowledged: [UInt64: Delivery] = [:]
  /// The lowest tag that may be unsettled.
  private var oldest: UInt64 = 1
  private var lastTag: UInt64 = 0
  var prefetch = 0
  var sharedPrefetch = 0
  var isConfirming = false
  var lastPublish: UInt64 = 0
  var isClosing = false
  var isFlowing = true
  /// Consumers that get nothing until others of the channel have settled what they hold, or it flows again.
  var starved = ConsumerList()
  /// Whether its consumers together may hold another message unsettled.
  var mayHoldMore: Bool {
    unacknowledged.count < (sharedPrefetch == 0 ? Self.maximumUnacknowledged : sharedPrefetch)
  }
  /// The queue that was declared last: what an empty name means.
  var lastQueue = ""
  /// Publications that wait for the disk, and those that came through while an earlier one still waits.
  private var unconfirmed: Set<UInt64> = []
  private var confirmed: Set<UInt64> = []
  private var lastConfirmed: UInt64 = 0

  init(_ number: UInt16, _ connection: BrokerConnection) {
    self.number = number
    self.connection = connection
  }

  func nextTag() -> UInt64 {
    lastTag += 1
    return lastTag
  }

  /// The deliveries that a settlement is about, oldest first; nil when there is none of that tag.
  func settle(_ tag: UInt64, multiple: Bool) -> [Delivery]? {
    guard multiple else { return unacknowledged.removeValue(forKey: tag).map { [$0] } }
    let last = tag == 0 ? lastTag : tag
    guard last <= lastTag, tag == 0 || unacknowledged[tag] != nil else { return nil }
    var settled: [Delivery] = []
    while oldest <= last {
      if let delivery = unacknowledged.removeValue(forKey: oldest) { settled.append(delivery) }
      oldest += 1
    }
    return settled
  }

  /// Everything that is unsettled, oldest first.
  func takeAll() -> [Delivery] { settle(0, multiple: true) ?? [] }

  func expectConfirm(_ tag: UInt64) { unconfirmed.insert(tag) }

  /// Notes that a publication is safe, and returns the acknowledgement to send, if the order allows one.
  func confirm(_ tag: UInt64) {
    guard unconfirmed.remove(tag) != nil else { return }
    confirmed.insert(tag)
  }

  /// The acknowledgements for all that was noted: as few as can be.
  func takeConfirms() -> [AMQPMethod] {
    guard !confirmed.isEmpty else { return [] }
    var last = lastConfirmed
    while confirmed.remove(last + 1) != nil { last += 1 }
    var methods: [AMQPMethod] = []
    if last > lastConfirmed { methods.append(.basicAck(tag: last, multiple: last > lastConfirmed + 1)) }
    lastConfirmed = last
    return methods
  }
}
