import Environment

/// The heartbeat of a session. The server sends a ping an interval after the last pong. A client
/// that does not answer within the time-out is gone.
struct Heartbeat {
  /// The action when the heartbeat is due.
  enum Action {
    /// Send a ping, and look again at `next`.
    case ping(next: Instant)
    /// Look again at this time.
    case wait(until: Instant)
    /// End the session.
    case timeOut
  }

  private var lastPong: Instant?
  /// When the unanswered ping was due.
  private var pinged: Instant?

  mutating func receivePong(at now: Instant) { lastPong = now }

  /// Returns the action at `time`, when the heartbeat is due.
  mutating func due(at time: Instant, _ options: EngineIOOptions) -> Action {
    guard let pinged else {
      self.pinged = time
      return .ping(next: time + options.pingTimeout)
    }
    guard let lastPong, lastPong >= pinged else { return .timeOut }
    self.pinged = nil
    return .wait(until: lastPong + options.pingInterval)
  }
}
