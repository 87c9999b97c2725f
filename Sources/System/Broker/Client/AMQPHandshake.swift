/// The client's side of opening a connection: start, tune, open (AMQP 0-9-1 §2.2.4). Methods in,
/// answers out.
struct AMQPHandshake {
  /// What client and broker agree on.
  struct Agreement: Hashable {
    /// The largest frame, in bytes.
    var frameMax: Int
    /// The highest number of a channel; 0 for no limit.
    var channelMax: UInt16
    /// Seconds between heartbeats.
    var heartbeat: UInt16
  }

  /// The longest interval between heartbeats that a client asks for, in seconds. A broker drops a
  /// dead connection after twice that, and its queues are free again.
  static let heartbeat: UInt16 = 2

  private let user: String
  private let password: String
  private let heartbeat: UInt16
  private var agreement: Agreement?

  /// `heartbeat` is the longest interval that is agreed to, in seconds; 0 for no heartbeats.
  init(user: String, password: String, heartbeat: UInt16 = heartbeat) {
    self.user = user
    self.password = password
    self.heartbeat = heartbeat
  }

  /// Takes a method of the broker and writes the answer. Returns the agreement once the connection
  /// is open.
  /// - Throws: `AMQPError` when the broker closes the connection, or breaks the protocol.
  mutating func take(_ method: AMQPMethod, answeringTo output: inout [UInt8]) throws(AMQPError) -> Agreement? {
    switch method {
    case .connectionStart:
      AMQPFrames.write(
        .connectionStartOk(
          properties: [
            "product": .text("Parley"),
            "capabilities": .table([
              "consumer_cancel_notify": .boolean(true), "connection.blocked": .boolean(true),
            ]),
          ], mechanism: "PLAIN",
          response: [0] + Array(user.utf8) + [0] + Array(password.utf8), locale: "en_US"), 0, to: &output)
    case .connectionTune(let channelMax, let frameMax, let proposed):
      // 0 stands for no limit. The smallest limit is 4096 (`frame-min-size`).
      guard frameMax == 0 || frameMax >= 4096 else { throw AMQPError(501, "frames of \(frameMax) bytes") }
      let agreed = Agreement(
        frameMax: frameMax == 0 ? AMQPParser.maximumFrame : min(Int(frameMax), AMQPParser.maximumFrame),
        channelMax: channelMax,
        // 0 proposes no heartbeats. Without them the client does not notice that a broker has gone
        // silent.
        heartbeat: proposed == 0 ? heartbeat : min(proposed, heartbeat))
      agreement = agreed
      AMQPFrames.write(
        .connectionTuneOk(
          channelMax: channelMax, frameMax: UInt32(agreed.frameMax), heartbeat: agreed.heartbeat), 0, to: &output)
      AMQPFrames.write(.connectionOpen(virtualHost: "/"), 0, to: &output)
    case .connectionOpenOk where agreement != nil: return agreement
    case .connectionClose(let code, let text, _, _): throw AMQPError(code, text)
    default: throw AMQPError(503, "an unexpected method during the handshake")
    }
    return nil
  }
}
