import Environment

/// The broker's side of opening a connection: start, tune, open (AMQP 0-9-1 §2.2.4). Methods in,
/// answers out.
struct BrokerHandshake {
  let serviceToken: String?
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
            "per_consumer_qos": .boolean(true), "exchange_exchange_bindings": .boolean(false),
            "connection.blocked": .boolean(true),
          ]),
        ], mechanisms: "PLAIN", locales: "en_US"), on: 0)
  }

  /// Takes a method of a client whose connection is not open. Returns true once it is open.
  /// - Throws: `AMQPError`, for example 403 for a failed login.
  func take(_ method: AMQPMethod, _ client: BrokerConnection) throws(AMQPError) -> Bool {
    switch (client.phase, method) {
    case (.starting, .connectionStartOk(let properties, let mechanism, let response, _)):
      guard mechanism == "PLAIN" else { throw AMQPError(503, "COMMAND_INVALID - only PLAIN is served") }
      client.user = try BrokerLogin.user(
        response, serviceToken: serviceToken, isLoopback: client.connection.peer.isLoopback)
      if case .table(let capabilities)? = properties["capabilities"] {
        client.hearsCancellations = capabilities["consumer_cancel_notify"] == .boolean(true)
        client.hearsBlocking = capabilities["connection.blocked"] == .boolean(true)
      }
      client.phase = .tuning
      client.send(
        .connectionTune(
          channelMax: BrokerCommands.maximumChannels, frameMax: UInt32(AMQPParser.maximumFrame),
          heartbeat: UInt16(clamping: heartbeat.components.seconds)), on: 0)
    case (.tuning, .connectionTuneOk(_, let frameMax, let heartbeat)):
      guard frameMax == 0 || frameMax >= 4096, frameMax <= AMQPParser.maximumFrame else {
        throw AMQPError(530, "NOT_ALLOWED - a frame has 4096 to \(AMQPParser.maximumFrame) bytes")
      }
      if frameMax > 0 { client.frameMax = Int(frameMax) }
      client.heartbeat = .seconds(Int64(heartbeat))
      client.phase = .opening
    case (.opening, .connectionOpen(let host)):
      guard host == "/" else { throw AMQPError(530, "NOT_ALLOWED - no access to vhost '\(host.prefix(64))'") }
      client.phase = .open
      client.send(.connectionOpenOk, on: 0)
      return true
    default: throw AMQPError(503, "COMMAND_INVALID - an unexpected method")
    }
    return false
  }
}
