/// Why a message leaves its queue for the dead-letter exchange, as RabbitMQ names it.
enum DeathReason: String, Sendable {
  case rejected, expired
  case tooMany = "maxlen"
}

/// What a message's header `x-death` says of its deaths, as RabbitMQ writes it: the latest first, one for each queue and reason.
struct Deaths {
  /// Deaths that are kept, the latest of them. Each is read and written at each death, so that a chain of queues without this bound
  /// takes time with the square of its length.
  static let maximumCount = 64

  private var tables: [AMQPTable] = []

  init(_ headers: AMQPTable?) {
    guard case .array(let values)? = headers?["x-death"] else { return }
    for case .table(let table) in values.prefix(Self.maximumCount) { tables.append(table) }
  }

  /// Notes a death. The counter stops at its end: a client may have sent any number.
  mutating func add(queue: String, reason: DeathReason, exchange: String, routingKey: String, at seconds: UInt64) {
    let known = tables.firstIndex { $0["queue"]?.text == queue && $0["reason"]?.text == reason.rawValue }
    if let known {
      var death = tables.remove(at: known)
      let count = max(0, death["count"]?.int ?? 0)
      death["count"] = .int64(count == .max ? .max : count + 1)
      tables.insert(death, at: 0)
    } else {
      if tables.count >= Self.maximumCount { tables.removeLast() }
      tables.insert(
        [
          "count": .int64(1), "reason": .text(reason.rawValue), "queue": .text(queue), "time": .timestamp(seconds),
          "exchange": .text(exchange), "routing-keys": .array([.text(routingKey)]),
        ], at: 0)
    }
  }

  /// Whether a message that goes to a queue now has come round by itself: it has died there before, and nobody has rejected it
  /// since. It would come round for ever, so it is dropped. RabbitMQ's rule, per target.
  func isCycle(to queue: String) -> Bool {
    guard let last = tables.firstIndex(where: { $0["queue"]?.text == queue }) else { return false }
    return tables[...last].allSatisfy { $0["reason"]?.text != DeathReason.rejected.rawValue }
  }

  /// The header's value.
  var value: AMQPValue { .array(tables.map { .table($0) }) }

  /// Forgets the oldest half.
  mutating func halve() { tables.removeLast(tables.count - tables.count / 2) }

  var count: Int { tables.count }
}

extension BrokerMessage {
  /// The message as it goes to a queue's dead-letter exchange, and the deaths that it tells of.
  func deadLetter(from queue: BrokerQueue, because reason: DeathReason, to exchange: String, at seconds: UInt64) -> (
    letter: BrokerMessage, deaths: Deaths
  ) {
    var reader = AMQPReader(properties[...])
    // What a client publishes is read first, so only a row that somebody has changed is not readable.
    var known = (try? AMQPProperties(&reader)) ?? AMQPProperties()
    var deaths = Deaths(known.headers)
    deaths.add(queue: queue.name, reason: reason, exchange: self.exchange, routingKey: routingKey, at: seconds)
    known.expiration = nil
    var headers = known.headers ?? AMQPTable()
    headers["x-death"] = deaths.value
    if headers["x-first-death-reason"] == nil {
      headers["x-first-death-reason"] = .text(reason.rawValue)
      headers["x-first-death-queue"] = .text(queue.name)
      headers["x-first-death-exchange"] = .text(self.exchange)
    }
    known.headers = headers
    var bytes = known.bytes
    // The header has to fit one frame. Older deaths go first, and then what others have said.
    var written = deaths
    while bytes.count > Self.maximumHeader, written.count > 1 {
      written.halve()
      known.headers!["x-death"] = written.value
      bytes = known.bytes
    }
    if bytes.count > Self.maximumHeader {
      var last = Deaths(nil)
      last.add(queue: queue.name, reason: reason, exchange: self.exchange, routingKey: routingKey, at: seconds)
      known.headers = ["x-death": last.value, Self.omission: .int64(Int64(properties.count))]
      bytes = known.bytes
    }
    let letter = BrokerMessage(
      exchange: exchange, routingKey: queue.rules.deadLetterRoutingKey ?? routingKey, properties: bytes, body: body,
      isPersistent: isPersistent, automaticDeaths: reason == .rejected ? 0 : automaticDeaths + 1)
    return (letter, deaths)
  }

  /// Properties that the frames of a connection hold. A client may have agreed on smaller frames than the publisher: it gets the
  /// message without its headers, and is told how many bytes they had.
  func properties(frameMax: Int) -> [UInt8] {
    guard properties.count > frameMax - AMQPFramingError.headerOverhead else { return properties }
    var reader = AMQPReader(properties[...])
    var known = (try? AMQPProperties(&reader)) ?? AMQPProperties()
    known.headers = [Self.omission: .int64(Int64(properties.count))]
    return known.bytes
  }

  /// The header of a message whose other headers no frame holds: the bytes that its properties had.
  static let omission = "x-parley-omitted"
  private static let maximumHeader = AMQPParser.maximumFrame - AMQPFramingError.headerOverhead
}
