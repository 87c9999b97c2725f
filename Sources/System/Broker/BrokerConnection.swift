/// A client's connection, as the broker holds it. Used on the broker's actor.
final class BrokerConnection {
  /// Output that may wait before no more is delivered to the client.
  static let maximumBacklog = 1 << 20

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
  var channels: [UInt16: BrokerChannel] = [:]
  /// Whether the client wants to hear when its consumers are cancelled.
  var hearsCancellations = false
  var lastHeard: Instant
  var lastSent: Instant
  var output: [UInt8] = []
  /// Where in the output begins what says that something is on the disk that is not yet: it waits, and what comes behind it.
  private var held: Int?
  var isWriting = false
  var isGone = false
  /// Deliveries stopped because the client did not take them.
  var isStarved = false

  init(_ id: Int, _ connection: any Connection, at now: Instant) {
    self.id = id
    self.connection = connection
    lastHeard = now
    lastSent = now
  }

  var hasRoom: Bool { !isGone && output.count < Self.maximumBacklog }

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
  }

  let number: UInt16
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

  /// What it holds of a queue, oldest first.
  func unsettled(of queue: BrokerQueue) -> [QueueEntry] {
    unacknowledged.filter { $0.value.queue === queue }.map(\.value.entry).sorted { $0.id < $1.id }
  }

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
