/// The header `x-death` of a message, as RabbitMQ writes it: one entry for each queue and reason,
/// the latest first.
struct Deaths {
  /// The latest deaths are kept. Without this bound, a chain of queues takes quadratic time, since
  /// each death reads and writes all earlier ones.
  static let maximumCount = 64

  private var tables: [AMQPTable] = []

  init(_ headers: AMQPTable?) {
    guard case .array(let values)? = headers?["x-death"] else { return }
    for case .table(let table) in values.prefix(Self.maximumCount) { tables.append(table) }
  }

  /// A death of a message.
  struct Death {
    let queue: String
    let reason: DeathReason
    /// Where the message was published.
    let exchange: String
    let routingKeys: [String]
    /// The time to live that its publisher gave to it.
    var expiration: AMQPText?
    let seconds: UInt64
  }

  /// Adds a death. The counter saturates, since a client may have sent any number.
  mutating func add(_ death: Death) {
    let (queue, reason) = (death.queue, death.reason)
    let known = tables.firstIndex { $0.isDeath(in: queue) && $0["reason"]?.text == reason.rawValue }
    if let known {
      var death = tables.remove(at: known)
      let count = max(0, death["count"]?.int ?? 0)
      death["count"] = .int64(count == .max ? .max : count + 1)
      tables.insert(death, at: 0)
    } else {
      if tables.count >= Self.maximumCount { tables.removeLast() }
      var table: AMQPTable = [
        "count": .int64(1), "reason": .text(reason.rawValue), "queue": .text(queue), "time": .timestamp(death.seconds),
        "exchange": .text(death.exchange), "routing-keys": .array(death.routingKeys.map(AMQPValue.text)),
      ]
      table["original-expiration"] = death.expiration.map { .string($0.bytes) }
      tables.insert(table, at: 0)
    }
  }

  /// Whether a message that is routed to a queue now is in a cycle: it has died in that queue
  /// before, and no client has rejected it since. Such a message is dropped. This is RabbitMQ's
  /// rule, for each target.
  func isCycle(to queue: String) -> Bool {
    guard let last = tables.firstIndex(where: { $0.isDeath(in: queue) }) else { return false }
    return tables[...last].allSatisfy { $0["reason"]?.text != DeathReason.rejected.rawValue }
  }

  /// The value of the header.
  var value: AMQPValue { .array(tables.map { .table($0) }) }

  /// Removes the older half.
  mutating func halve() { tables.removeLast(tables.count - tables.count / 2) }

  var count: Int { tables.count }
}

extension AMQPTable {
  /// Whether an entry of `x-death` is about a queue.
  fileprivate func isDeath(in queue: String) -> Bool { self["queue"]?.text?.hasSameBytes(as: queue) ?? false }
}

extension BrokerMessage {
  /// The dead letter of a message for its queue's dead-letter exchange, its deaths, and how it is
  /// routed.
  func deadLetter(from queue: BrokerQueue, because reason: DeathReason, to exchange: String, at seconds: UInt64) -> (
    letter: BrokerMessage, deaths: Deaths, routing: Routing
  ) {
    var reader = AMQPReader(properties[...])
    // Properties are parsed when they are published, so only a row that was changed since is
    // malformed.
    var known = (try? AMQPProperties(&reader)) ?? AMQPProperties()
    // The keys of the header BCC stay hidden: it is not in the message any more.
    let shownKeys = known.headers.flatMap { try? Self.moreKeys($0) } ?? []
    let death = Deaths.Death(
      queue: queue.name, reason: reason, exchange: self.exchange, routingKeys: [routingKey] + shownKeys,
      expiration: queue.rules.tellsLifetime(of: reason) ? known.expiration : nil, seconds: seconds)
    var deaths = Deaths(known.headers)
    let isFirst = known.headers?["x-death"] == nil
    deaths.add(death)
    known.expiration = nil
    var headers = known.headers ?? AMQPTable()
    headers["x-death"] = deaths.value
    for which in isFirst ? ["first", "last"] : ["last"] {
      headers["x-\(which)-death-reason"] = .text(reason.rawValue)
      headers["x-\(which)-death-queue"] = .text(queue.name)
      headers["x-\(which)-death-exchange"] = .text(self.exchange)
    }
    let newKey = queue.rules.deadLetterRoutingKey
    // With a routing key of the queue's, the message does not go to its other keys.
    if newKey != nil { headers["CC"] = nil }
    known.headers = headers
    let bytes = Self.fit(&known, deaths, death, properties.count)
    let letter = BrokerMessage(
      exchange: exchange, routingKey: newKey ?? routingKey, moreKeys: newKey == nil ? moreKeys : [], properties: bytes,
      body: body, isPersistent: isPersistent, priority: priority,
      automaticDeaths: reason == .rejected ? 0 : automaticDeaths + 1)
    return (letter, deaths, Routing(key: letter.routingKey, moreKeys: letter.moreKeys, properties: bytes))
  }

  /// The encoded properties. They have to fit one frame: older deaths are removed first, then all
  /// other headers.
  private static func fit(
    _ known: inout AMQPProperties, _ deaths: Deaths, _ death: Deaths.Death, _ size: Int
  ) -> [UInt8] {
    var bytes = known.bytes
    var written = deaths
    while bytes.count > maximumHeader, written.count > 1 {
      written.halve()
      known.headers!["x-death"] = written.value
      bytes = known.bytes
    }
    guard bytes.count > maximumHeader else { return bytes }
    var last = Deaths(nil)
    last.add(
      Deaths.Death(
        queue: death.queue, reason: death.reason, exchange: death.exchange,
        routingKeys: Array(death.routingKeys.prefix(1)), seconds: death.seconds))
    known.headers = ["x-death": last.value, omission: .int64(Int64(size))]
    return known.bytes
  }

  /// The properties for a connection with a certain size of frames. A client with smaller frames
  /// than the publisher may get the message without its headers, but with their size. A message
  /// that has returned to a quorum queue has the number of its returns in `x-delivery-count`.
  func properties(frameMax: Int, returns: UInt16 = 0) -> [UInt8] {
    if returns == 0, properties.count <= frameMax - AMQPFramingError.headerOverhead { return properties }
    var reader = AMQPReader(properties[...])
    var known = (try? AMQPProperties(&reader)) ?? AMQPProperties()
    if returns > 0 {
      var headers = known.headers ?? AMQPTable()
      headers["x-delivery-count"] = .int64(Int64(returns))
      known.headers = headers
    }
    let bytes = known.bytes
    if bytes.count <= frameMax - AMQPFramingError.headerOverhead { return bytes }
    known.headers = [Self.omission: .int64(Int64(properties.count))]
    return known.bytes
  }

  /// The header that replaces headers that do not fit a frame. Its value is the size of the
  /// properties in bytes.
  static let omission = "x-parley-omitted"
  private static let maximumHeader = AMQPParser.maximumFrame - AMQPFramingError.headerOverhead
}
