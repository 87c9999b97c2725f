import Environment

/// The broker's side of opening a connection: start, tune, open (AMQP 0-9-1 §2.2.4). Methods in,
/// answers out.
struct BrokerHandshake {
  let serviceToken: String?
  let operatorToken: String?
  /// The interval between heartbeats that is proposed.
  let heartbeat: Duration

  /// Greets a client that speaks this protocol.
  func greet(_ client: BrokerConnection) {
    client.send(
      .connectionStart(
        properties: [
          "product": .text("Parley"), "version": .text(Release.version), "platform": .text("Swift"),
          "capabilities": .table([
            "publisher_confirms": .boolean(true), "basic.nack": .boolean(true),
            "consumer_cancel_notify": .boolean(true), "authentication_failure_close": .boolean(true),
            "per_consumer_qos": .boolean(true), "exchange_exchange_bindings": .boolean(true),
            "connection.blocked": .boolean(true), "consumer_priorities": .boolean(true),
            "direct_reply_to": .boolean(true),
          ]),
        ], mechanisms: BrokerLogin.names, locales: "en_US"), on: 0)
  }

  /// Takes a method of a client whose connection is not open. Returns true once it is open.
  /// - Throws: `AMQPError`, for example 403 for a failed login.
  func take(_ method: AMQPMethod, _ client: BrokerConnection) throws(AMQPError) -> Bool {
    switch (client.phase, method) {
    case (.starting, .connectionStartOk(let properties, let mechanism, let response, _)):
      guard let login = BrokerLogin(rawValue: mechanism) else {
        throw AMQPError(
          503, "COMMAND_INVALID - client requested unsupported authentication mechanism '\(mechanism.prefix(64))'")
      }
      client.user = try login.user(
        response, serviceToken: serviceToken, operatorToken: operatorToken,
        isLoopback: client.connection.peer.isLoopback, isAuthenticated: client.connection.isAuthenticated)
      if case .table(let capabilities)? = properties["capabilities"] {
        client.hearsCancellations = capabilities["consumer_cancel_notify"] == .boolean(true)
        client.hearsBlocking = capabilities["connection.blocked"] == .boolean(true)
      }
      client.phase = .tuning
      client.send(
        .connectionTune(
          channelMax: BrokerCommands.maximumChannels, frameMax: UInt32(AMQPParser.maximumFrame),
          heartbeat: UInt16(clamping: heartbeat.components.seconds)), on: 0)
    case (.tuning, .connectionTuneOk(let channelMax, let frameMax, let heartbeat)):
      // 0 stands for no limit. There is one, so RabbitMQ refuses it.
      try Self.check("frame_max", Int(frameMax), 4096...AMQPParser.maximumFrame)
      try Self.check("channel_max", Int(channelMax), 1...Int(BrokerCommands.maximumChannels))
      client.frameMax = Int(frameMax)
      client.channelMax = channelMax
      client.heartbeat = .seconds(Int64(heartbeat))
      client.phase = .opening
    case (.opening, .connectionOpen(let host)):
      guard host == "/" else { throw AMQPError(530, "NOT_ALLOWED - vhost \(host.prefix(64)) not found") }
      client.phase = .open
      client.send(.connectionOpenOk, on: 0)
      return true
    default: throw AMQPError(503, "COMMAND_INVALID - an unexpected method")
    }
    return false
  }

  private static func check(_ field: String, _ value: Int, _ allowed: ClosedRange<Int>) throws(AMQPError) {
    guard !allowed.contains(value) else { return }
    let (comparison, bound) =
      value != 0 && value < allowed.lowerBound
      ? ("lower than the minimum", allowed.lowerBound) : ("higher than the maximum", allowed.upperBound)
    let shown = value == 0 ? "0 (no limit)" : "\(value)"
    throw AMQPError(
      530, "NOT_ALLOWED - negotiated \(field) = \(shown) is \(comparison) allowed value (\(bound))")
  }
}
