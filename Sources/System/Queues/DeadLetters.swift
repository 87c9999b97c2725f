import Environment

/// Where a dead letter came from.
struct DeadLetterOrigin {
  /// The queue; empty if the letter does not tell.
  let queue: String
  /// The message as it was, but for the properties that `AMQPDelivery.deadLetter` removes; nil if
  /// it cannot be read, or does not tell where it came from.
  let message: AMQPMessage?

  /// The headers that a dead letter has in addition to its own.
  static let (reason, queue, exchange, routingKey) = (
    "PARLEY_REASON", "PARLEY_QUEUE", "PARLEY_EXCHANGE", "PARLEY_ROUTING_KEY"
  )

  init(_ command: AMQPCommand) {
    guard command.omittedBytes == 0, var properties = try? command.readProperties(), var headers = properties.headers,
      let queue = headers[Self.queue]?.text
    else {
      (queue, message) = ("", nil)
      return
    }
    self.queue = queue
    // Letters of earlier releases have the queue alone.
    let exchange = headers[Self.exchange]?.text ?? ""
    let key = headers[Self.routingKey]?.text ?? queue
    for name in [Self.reason, Self.queue, Self.exchange, Self.routingKey] { headers[name] = nil }
    properties.headers = headers.entries.isEmpty ? nil : headers
    properties.expiration = nil
    let message = AMQPMessage(exchange: exchange, routingKey: key, properties: properties, body: command.body)
    self.message = (try? message.checkFraming()) == nil ? nil : message
  }
}

extension DeadLetterOrigin {
  /// A copy of a dead letter with a lifetime; nil if it has one, or cannot be copied. As when a
  /// service sets a message aside, the copy has no property that a broker acts on.
  static func copy(of command: AMQPCommand, expiringAfter age: Duration) -> AMQPMessage? {
    guard command.omittedBytes == 0, var properties = try? command.readProperties(), properties.expiration == nil
    else { return nil }
    properties.expiration = "\(age.nanoseconds / 1_000_000)"
    properties.userID = nil
    properties.deliveryMode = 2
    for name in ["CC", "BCC"] { properties.headers?[name] = nil }
    let copy = AMQPMessage(
      exchange: "", routingKey: QueueNames.deadLetters, properties: properties, body: command.body)
    return (try? copy.checkFraming()) == nil ? nil : copy
  }
}

/// What a pass through the dead letters has done.
struct TidiedLetters: Hashable, Sendable {
  /// Those beyond the number, which are gone.
  var removed = 0
  /// Those that got a lifetime.
  var dated = 0
  /// Whether there may be more to do.
  var isFull = false
}

/// A dead letter, as an operator sees it.
struct DeadLetterView: Hashable, Sendable {
  /// A queue in which the message died, as its header `x-death` has it.
  struct Death: Hashable, Sendable {
    let queue: String
    let reason: String
    let count: Int64
    /// The time of the last death.
    let time: Timestamp?
  }

  /// The bytes of a body that are shown.
  static let shownBytes = 2048
  /// The deaths that are shown, the latest ones.
  private static let maximumDeaths = 8

  /// The queue that it came from; empty if it does not tell.
  let queue: String
  let reason: String
  let deaths: [Death]
  /// The size of the body.
  let bytes: Int
  let body: String

  init(_ command: AMQPCommand) {
    let headers = (try? command.readProperties())?.headers
    var deaths: [Death] = []
    if case .array(let values)? = headers?["x-death"] {
      for case .table(let death) in values.prefix(Self.maximumDeaths) {
        var time: Timestamp?
        if case .timestamp(let seconds)? = death["time"], seconds <= UInt64(ClientBounds.counter) / 1_000_000 {
          time = Timestamp(seconds: Int64(seconds))
        }
        deaths.append(
          Death(
            queue: Self.short(death["queue"]), reason: Self.short(death["reason"]), count: death["count"]?.int ?? 0,
            time: time))
      }
    }
    self.deaths = deaths
    queue = headers?[DeadLetterOrigin.queue].map(Self.short) ?? deaths.first?.queue ?? ""
    reason = headers?[DeadLetterOrigin.reason].map(Self.short) ?? deaths.first?.reason ?? ""
    bytes = command.body.count + command.omittedBytes
    body = ShownBody.text(command.body, atMost: Self.shownBytes)
  }

  private static func short(_ value: AMQPValue?) -> String { value?.shown?.shortened(toBytes: 512) ?? "" }

  var json: JSONValue {
    [
      "QUEUE": .string(queue), "REASON": .string(reason),
      "DEATHS": .array(
        deaths.map { death in
          [
            "QUEUE": .string(death.queue), "REASON": .string(death.reason), "COUNT": .int(death.count),
            "TIME": death.time.map { .string($0.rfc3339) } ?? .null,
          ]
        }), "BYTES": .int(Int64(bytes)), "BODY": .string(body),
    ]
  }
}

/// The beginning of a message's body, for people: text, or its digits if it is not text.
enum ShownBody {
  static func text(_ body: [UInt8], atMost limit: Int) -> String {
    guard let text = String(validating: body, as: UTF8.self) else {
      return "0x" + Hex.encode(body.prefix(limit / 2))
    }
    return text.shortened(toBytes: limit)
  }
}
