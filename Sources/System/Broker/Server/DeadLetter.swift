/// The reason for a dead letter, in RabbitMQ's words.
enum DeathReason: String, Sendable {
  case rejected, expired
  case tooMany = "maxlen"
}

/// The header `x-death` of a message, as RabbitMQ writes it: one entry for each queue and reason, the latest
/// first.
struct Deaths {
  /// The latest deaths are kept. Without this bound, a chain of queues takes quadratic time, since each death
  /// reads and writes all earlier ones.
  static let maximumCount = 64

  private var tables: [AMQPTable] = []

  init(_ headers: AMQPTable?) {
    guard case .array(let values)? = headers?["x-death"] else { return }
    for case .table(let table) in values.prefix(Self.maximumCount) { tables.append(table) }
  }

  /// Adds a death. The counter saturates, since a client may have sent any number.
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

  /// Whether a message that is routed to a queue now is in a cycle: it has died in that queue before, and
  /// no client has rejected it since. Such a message is dropped. This is RabbitMQ's rule, for each target.
  func isCycle(to queue: String) -> Bool {
    guard let last = tables.firstIndex(where: { $0["queue"]?.text == queue }) else { return false }
    return tables[...last].allSatisfy { $0["reason"]?.text != DeathReason.rejected.rawValue }
  }

  /// The value of the header.
  var value: AMQPValue { .array(tables.map { .table($0) }) }

  /// Removes the older half.
  mutating func halve() { tables.removeLast(tables.count - tables.count / 2) }

  var count: Int { tables.count }
}

extension BrokerMessage {
  /// The dead letter of a message for its queue's dead-letter exchange, and its deaths.
  func deadLetter(from queue: BrokerQueue, because reason: DeathReason, to exchange: String, at seconds: UInt64) -> (
    letter: BrokerMessage, deaths: Deaths
  ) {
    var reader = AMQPReader(properties[...])
    // Properties are parsed when they are published, so only a row that was changed since is malformed.
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
    // The header has to fit one frame. Older deaths are removed first, then all other headers.
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

  /// The properties for a connection with a certain size of frames. A client with smaller frames than the
  /// publisher may get the message without its headers, but with their size.
  func properties(frameMax: Int) -> [UInt8] {
    guard properties.count > frameMax - AMQPFramingError.headerOverhead else { return properties }
    var reader = AMQPReader(properties[...])
    var known = (try? AMQPProperties(&reader)) ?? AMQPProperties()
    known.headers = [Self.omission: .int64(Int64(properties.count))]
    return known.bytes
  }

  /// The header that replaces headers that do not fit a frame. Its value is the size of the properties in bytes.
  static let omission = "x-parley-omitted"
  private static let maximumHeader = AMQPParser.maximumFrame - AMQPFramingError.headerOverhead
}
