import Environment

/// Sets aside messages that cannot be processed, so that they do not stop a queue.
extension AMQPDelivery {
  /// Bytes of a frame that the reason, the queue and a message id need beside the properties.
  private static let headerReserve = 2048

  /// The message for the dead-letter queue, with the reason, the original queue, exchange and
  /// routing key as headers. It keeps its own headers if they fit into a frame with these.
  ///
  /// It keeps no property that a broker acts on: it must not expire, be refused because another
  /// user sends it, or be routed by `CC` and `BCC` (RabbitMQ's sender-selected distribution).
  func deadLetter(from queue: String, because reason: String, _ log: Log) -> AMQPMessage {
    log.warning("dead-letter", ["queue": .string(queue), "reason": .string(reason)], of: trace)
    var kept = properties
    kept.expiration = nil
    kept.userID = nil
    let origin: [(String, AMQPValue)] = [
      (DeadLetterOrigin.reason, .text(reason)), (DeadLetterOrigin.queue, .text(queue)),
      (DeadLetterOrigin.exchange, .text(exchange)), (DeadLetterOrigin.routingKey, .text(routingKey)),
    ]
    let added = AMQPTable(origin.map { AMQPTable.Entry(name: $0.0, value: $0.1) })
    var headers = properties.headers ?? AMQPTable()
    for name in ["CC", "BCC"] { headers[name] = nil }
    for (name, value) in origin { headers[name] = value }
    kept.headers = headers
    if kept.bytes.count > AMQPParser.maximumFrame - Self.headerReserve { kept.headers = added }
    let letter = AMQPMessage(exchange: "", routingKey: QueueNames.deadLetters, properties: kept, body: body)
    guard (try? letter.checkFraming()) == nil else { return letter }
    kept.headers = added
    return AMQPMessage(exchange: "", routingKey: QueueNames.deadLetters, properties: kept, body: body)
  }
}

extension AMQPClient {
  /// Publishes messages in order, and returns once the broker has confirmed them. A message that no
  /// frame holds goes to the dead-letter queue without its properties. If its body is too large, it
  /// is logged.
  func publishEach(_ messages: [AMQPMessage]) async throws {
    var sent: [AMQPMessage] = []
    for message in messages {
      let message = expiring(message)
      do throws(AMQPFramingError) {
        try message.checkFraming()
        sent.append(message)
      } catch {
        if let letter = setAside(message, because: "\(error)") { sent.append(letter) }
      }
    }
    if !sent.isEmpty { try await publish(sent) }
  }

  /// The message, with the lifetime of dead letters if it is one.
  private nonisolated func expiring(_ message: AMQPMessage) -> AMQPMessage {
    guard let lifetime = broker.deadLetterLifetime, message.exchange.isEmpty,
      message.routingKey.hasSameBytes(as: QueueNames.deadLetters)
    else { return message }
    var message = message
    message.properties.expiration = "\(lifetime.nanoseconds / 1_000_000)"
    return message
  }

  private func setAside(_ message: AMQPMessage, because reason: String) -> AMQPMessage? {
    let queue = message.routingKey.shortened(toBytes: ClientBounds.identifier)
    environment.log.error(
      "message-not-sent",
      ["queue": .string(queue), "bytes": .int(Int64(message.body.count)), "reason": .string(reason)])
    var properties = AMQPProperties()
    properties.headers = [
      DeadLetterOrigin.reason: .text(reason.shortened(toBytes: 512)), DeadLetterOrigin.queue: .text(queue),
    ]
    let letter = AMQPMessage(
      exchange: "", routingKey: QueueNames.deadLetters, properties: properties, body: message.body)
    return (try? letter.checkFraming()) == nil ? nil : expiring(letter)
  }

  /// Consumes a queue, and sets aside each delivery that cannot be handled. After an error of the
  /// connection, the database or a stopping node, the deliveries are handled again.
  @discardableResult
  func consumeEach(_ queue: String, exclusive: Bool = false, _ handler: @escaping Handler) -> Int {
    consume(queue, exclusive: exclusive) { [weak self] deliveries in
      try await self?.handleReadable(deliveries, from: queue, handler)
    }
  }

  private func handleReadable(
    _ deliveries: [AMQPDelivery], from queue: String, _ handler: @escaping Handler
  ) async throws {
    let readable = deliveries.filter { $0.fault == nil }
    if !readable.isEmpty { try await handleEach(readable, from: queue, handler) }
    let letters = deliveries.compactMap { delivery in
      delivery.fault.map { delivery.deadLetter(from: queue, because: $0, environment.log) }
    }
    if !letters.isEmpty { try await publishEach(letters) }
  }

  private func handleEach(_ deliveries: [AMQPDelivery], from queue: String, _ handler: @escaping Handler) async throws {
    do {
      return try await handler(deliveries)
    } catch  where !Self.isAboutMessage(error) {
      throw error
    } catch {
      guard deliveries.count == 1 else {
        for delivery in deliveries { try await handleEach([delivery], from: queue, handler) }
        return
      }
      let reason = (error as? QueueMessage.Malformed)?.reason ?? "\(error)".shortened(toBytes: 512)
      try await publishEach([deliveries[0].deadLetter(from: queue, because: reason, environment.log)])
    }
  }

  /// Whether an error is about the message that was handled or published, and would occur again
  /// with it.
  static func isAboutMessage(_ error: any Error) -> Bool {
    switch error {
    case is NetworkError, is NodeDown, is CancellationError: false
    case let error as DatabaseError: !error.isUnavailable
    default: true
    }
  }
}
