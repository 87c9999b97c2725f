import Environment

/// Wakes the streams of session events after each commit, and at intervals so that they can send a heartbeat.
actor EventBell {
  /// The time between two heartbeats on a silent stream.
  static let heartbeat: Duration = .seconds(2)

  private let environment: Environment
  private let serialExecutor: ActorExecutor
  private var listeners: [UnsafeContinuation<Int?, Never>] = []
  private var rings = 0
  private var isTicking = false
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment) {
    self.environment = environment
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
      do { try await environment.clock.sleep(for: Self.heartbeat) } catch { return close() }
      ring()
    }
    isTicking = false
  }
}
