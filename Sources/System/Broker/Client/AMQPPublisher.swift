import Environment

/// A publication that the broker has not confirmed.
struct AMQPPublication {
  let exchange: String
  let routingKey: String
  let properties: [UInt8]
  let body: [UInt8]
  let isAnswer: Bool
  let batch: AMQPBatch

  /// Approximate bytes in memory.
  var size: Int { body.count + properties.count + 256 }
}

/// Publications that one caller waits for. Used on the client's actor.
final class AMQPBatch {
  private var remaining: Int
  private var refusal: (any Error)?
  var continuation: UnsafeContinuation<Void, any Error>?

  init(_ count: Int) { remaining = count }

  /// Notes that one publication was confirmed, or refused with an error. The caller continues after
  /// the last.
  func settle(_ error: (any Error)? = nil) {
    remaining -= 1
    refusal = refusal ?? error
    guard remaining == 0 else { return }
    if let refusal { return fail(refusal) }
    continuation?.resume()
    continuation = nil
  }

  /// Ends the wait with an error.
  func fail(_ error: any Error) {
    continuation?.resume(throwing: error)
    continuation = nil
  }
}

/// The publishing half of a client: publications in, frames out, in order. It keeps each
/// publication until the broker confirms it, and sends it again on the next connection.
///
/// A refused publication does not hold up the others:
///
/// - The broker *closes the channel*, for example because there is no such exchange (404). It does
///   not say which publication it means. The publisher opens the channel again and halves its
///   window until the refused publication is the only one under way; then it is set aside with the
///   error.
/// - The broker *rejects* publications with `basic.nack`: it cannot take them now. The publisher
///   stops, waits for the answers to all that is under way, and sends the rejected ones again after
///   a back-off. An answer to a client is dropped instead: the client's queue is full, and may stay
///   so.
struct AMQPPublisher {
  /// The channel that publishes and declares.
  static let channel: UInt16 = 1
  /// Publications that may wait for their confirmation, and their bytes.
  static let maximumUnconfirmed = 100_000
  static let maximumUnconfirmedBytes = 128 << 20

  private let log: Log
  /// Output in bytes up to which publications are written. The rest waits for the network.
  private let maximumOutput: Int
  /// By number since the client was created.
  private var unconfirmed: [UInt64: AMQPPublication] = [:]
  private(set) var unconfirmedBytes = 0
  private var lastNumber: UInt64 = 0
  private var sent = SentPublications()
  /// The next publication to send.
  private var next: UInt64 = 1
  /// Publications that may be under way at once. It is small while a refused publication is looked
  /// for.
  private var window = Int.max
  private var isOpen = false
  /// Whether the broker has said that it reads nothing from this connection for now.
  private(set) var isBlocked = false
  /// Whether the broker has rejected publications that were not sent again yet.
  private var isRejected = false
  /// The largest frame that the broker takes.
  private var frameMax = AMQPParser.maximumFrame
  /// Counts the openings of the channel.
  private(set) var opening = 0

  init(_ log: Log, _ limits: WorkLimits) {
    self.log = log
    maximumOutput = limits[.publisherOutput]
  }

  /// Whether another publication may wait for its confirmation.
  var hasRoom: Bool {
    unconfirmed.count < Self.maximumUnconfirmed && unconfirmedBytes < Self.maximumUnconfirmedBytes
  }
  /// Whether publications are under way.
  var isWaiting: Bool { sent.outstanding > 0 }

  /// Adds a publication behind all others. It is persistent, whatever its properties say.
  mutating func append(_ message: AMQPMessage, _ batch: AMQPBatch) {
    var properties = message.properties
    properties.deliveryMode = 2
    lastNumber += 1
    let publication = AMQPPublication(
      exchange: message.exchange, routingKey: message.routingKey, properties: properties.bytes, body: message.body,
      isAnswer: message.isAnswer, batch: batch)
    unconfirmedBytes += publication.size
    unconfirmed[lastNumber] = publication
  }

  // MARK: Connection

  /// Notes what a new connection has agreed on.
  mutating func connect(frameMax: Int) {
    self.frameMax = frameMax
    isBlocked = false
  }

  /// Opens the channel. `declare` writes what has to be on the channel before the publications.
  mutating func open(to output: inout [UInt8], declare: (inout [UInt8]) -> Void) {
    AMQPFrames.write(.channelOpen, Self.channel, to: &output)
    AMQPFrames.write(.confirmSelect(noWait: false), Self.channel, to: &output)
    declare(&output)
    isOpen = true
    opening += 1
    sent = SentPublications()
    rewind()
    send(to: &output)
  }

  /// Notes that the connection has ended.
  mutating func disconnect() { isOpen = false }

  /// Starts again with the oldest publication that is not confirmed.
  private mutating func rewind() {
    isRejected = false
    next = unconfirmed.keys.sorted().first ?? lastNumber + 1
  }

  /// Notes `connection.blocked`. Returns false when that is known.
  mutating func block() -> Bool {
    defer { isBlocked = true }
    return !isBlocked
  }

  /// Notes `connection.unblocked`.
  mutating func unblock(to output: inout [UInt8]) {
    isBlocked = false
    send(to: &output)
  }

  // MARK: Sending

  /// Writes publications that wait, as far as broker and network take them now.
  mutating func send(to output: inout [UInt8]) {
    guard isOpen, !isBlocked, !isRejected else { return }
    while next <= lastNumber, output.count < maximumOutput, sent.outstanding < window,
      sent.span < 2 * Self.maximumUnconfirmed
    {
      defer { next += 1 }
      if let publication = unconfirmed[next] { write(next, publication, to: &output) }
    }
  }

  private mutating func write(_ number: UInt64, _ publication: AMQPPublication, to output: inout [UInt8]) {
    do throws(AMQPFramingError) {
      // The message fits the largest frames. This broker's frames may be smaller.
      try AMQPFramingError.check(header: publication.properties, frameMax: frameMax)
    } catch {
      return setAside(number, error)
    }
    sent.append(number)
    AMQPFrames.write(
      .basicPublish(
        exchange: publication.exchange, routingKey: publication.routingKey, mandatory: false, immediate: false),
      properties: publication.properties, body: publication.body, Self.channel, frameMax: frameMax, to: &output)
  }

  // MARK: Answers

  /// Takes `basic.ack`.
  mutating func confirm(_ tag: UInt64, multiple: Bool, to output: inout [UInt8]) {
    for number in sent.settle(upTo: tag, multiple: multiple) { remove(number)?.batch.settle() }
    goOn(to: &output)
  }

  /// Sends more if a window held it back. The publications of this window were not refused, so the
  /// next window is larger.
  private mutating func goOn(to output: inout [UInt8]) {
    guard window < .max else { return }
    if sent.outstanding == 0 { window = window > Self.maximumUnconfirmed ? .max : window * 2 }
    send(to: &output)
  }

  /// Takes `basic.nack`. The publications wait for `sendAgain`, except answers, which are dropped.
  /// Returns how many wait.
  mutating func reject(_ tag: UInt64, multiple: Bool, to output: inout [UInt8]) -> Int {
    var waiting = 0
    for number in sent.settle(upTo: tag, multiple: multiple) {
      if unconfirmed[number]?.isAnswer == true { drop(number) } else { waiting += 1 }
    }
    if waiting > 0 { isRejected = true }
    goOn(to: &output)
    return waiting
  }

  private mutating func drop(_ number: UInt64) {
    guard let publication = remove(number) else { return }
    log.warning("amqp-answer-rejected", ["queue": .string(publication.routingKey)])
    publication.batch.settle()
  }

  /// Whether rejected publications wait, and nothing is under way that could overtake them.
  var isReadyToSendAgain: Bool { isRejected && sent.outstanding == 0 }

  /// Sends rejected publications again, and goes on with those behind them.
  mutating func sendAgain(to output: inout [UInt8]) {
    rewind()
    send(to: &output)
  }

  /// Notes that the broker has closed the channel because of a publication under way. The caller
  /// opens it again.
  mutating func refuse(_ error: AMQPError) {
    if sent.outstanding == 1, let number = sent.oldest {
      setAside(number, error)
    } else {
      window = max(1, sent.outstanding / 2)
    }
  }

  private mutating func setAside(_ number: UInt64, _ error: any Error) {
    guard let publication = remove(number) else { return }
    log.error(
      "amqp-publication-refused",
      [
        "exchange": .string(publication.exchange), "routing_key": .string(publication.routingKey),
        "error": .string("\(error)"),
      ])
    publication.batch.settle(error)
  }

  private mutating func remove(_ number: UInt64) -> AMQPPublication? {
    guard let publication = unconfirmed.removeValue(forKey: number) else { return nil }
    unconfirmedBytes -= publication.size
    return publication
  }

  /// Fails all publications: the client is closed.
  mutating func failAll() {
    let failed = unconfirmed
    unconfirmed = [:]
    unconfirmedBytes = 0
    for number in failed.keys.sorted() { failed[number]!.batch.fail(NetworkError.closed) }
  }
}
