import Environment

/// Wakes the streams of session events after each commit of this node, and at intervals so that
/// they can send a heartbeat and look for the events of other nodes.
actor EventBell {
  /// The time between two heartbeats on a silent stream.
  static let heartbeat: Duration = .seconds(2)
  /// The time between two heartbeats where other nodes commit, too.
  static let poll: Duration = .milliseconds(500)

  private let environment: Environment
  private let period: Duration
  private let serialExecutor: ActorExecutor
  private var listeners: [UnsafeContinuation<Int?, Never>] = []
  private var rings = 0
  private var isTicking = false
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment, every period: Duration = heartbeat) {
    self.environment = environment
    self.period = period
    serialExecutor = environment.executor.forActor("event-bell")
  }

  /// Waits until the bell has rung more than `heard` times; a heartbeat counts as a ring.
  /// - Returns: The number of rings so far; nil once the bell is closed.
  func wait(after heard: Int) async -> Int? {
    if isClosed { return nil }
    if rings > heard { return rings }
    if !isTicking {
      isTicking = true
      environment.executor.spawn("event-bell") { await self.tick() }
    }
    return await withUnsafeContinuation { listeners.append($0) }
  }

  func ring() {
    rings += 1
    wake(rings)
  }

  func close() {
    isClosed = true
    wake(nil)
  }

  private func wake(_ answer: Int?) {
    let woken = listeners
    listeners = []
    for listener in woken { listener.resume(returning: answer) }
  }

  private func tick() async {
    while !listeners.isEmpty {
      do { try await environment.clock.sleep(for: period) } catch { return close() }
      ring()
    }
    isTicking = false
  }
}
