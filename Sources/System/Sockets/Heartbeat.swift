import Environment

/// The heartbeat of one session. The server sends a ping an interval after the last pong, and a client that
/// does not answer within the time-out is gone.
struct Heartbeat {
  /// What a session needs when its heartbeat is due.
  enum Action {
    /// A ping, and another look at this time.
    case ping(next: Instant)
    /// Another look at this time.
    case wait(until: Instant)
    /// The end.
    case timeOut
  }

  private let interval: Duration
  private let timeout: Duration
  private var lastPong: Instant?
  /// When the ping was due that has no pong yet.
  private var pinged: Instant?

  init(_ options: EngineIOOptions) {
    interval = options.pingInterval
    timeout = options.pingTimeout
  }

  mutating func receivePong(at now: Instant) { lastPong = now }

  /// What to do at `time`, when the heartbeat is due.
  mutating func due(at time: Instant) -> Action {
    guard let pinged else {
      self.pinged = time
      return .ping(next: time + timeout)
    }
    guard let lastPong, lastPong >= pinged else { return .timeOut }
    self.pinged = nil
    return .wait(until: lastPong + interval)
  }
}
