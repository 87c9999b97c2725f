import Synchronization

/// A place where tasks wait for a condition that another task makes true.
///
/// A gate does not know the condition. The waiting task checks it before and after each wait, and
/// the task that changes it opens the gate. Both are on one actor, so no change falls between a
/// check and a wait.
///
/// ```swift
/// while !clients.isEmpty, await gate.wait(until: deadline, in: environment) {}
/// ```
public final class Gate: Sendable {
  private struct Waiters {
    var lastID = 0
    /// In the order in which they began to wait.
    var waiting: [(id: Int, continuation: UnsafeContinuation<Bool, Never>)] = []
  }

  private let waiters = Mutex(Waiters())

  /// Creates a gate.
  public init() {}

  /// Waits until the gate is opened. Returns false when `deadline` passes first, and when the node
  /// is down. `environment` is that of the calling task's node.
  public func wait(
    until deadline: Instant, in environment: Environment, isolation: isolated (any Actor)? = #isolation
  ) async -> Bool {
    guard environment.clock.now < deadline else { return false }
    let id = waiters.withLock { waiters in
      waiters.lastID += 1
      return waiters.lastID
    }
    var timer: Task<Void, Never>?
    let isOpened = await withUnsafeContinuation { continuation in
      waiters.withLock { $0.waiting.append((id, continuation)) }
      timer = environment.executor.spawn("gate") {
        // A cancelled timer has nothing to do: the gate was opened.
        try? await environment.clock.sleep(until: deadline)
        self.giveUp(id)
      }
    }
    timer?.cancel()
    return isOpened
  }

  /// Waits until the gate is opened. Returns false when the node is down.
  public func wait(in environment: Environment, isolation: isolated (any Actor)? = #isolation) async -> Bool {
    await wait(until: Instant(nanoseconds: .max), in: environment)
  }

  /// Resumes all tasks that wait now.
  public func open() {
    let waiting = waiters.withLock { waiters in
      defer { waiters.waiting = [] }
      return waiters.waiting
    }
    for (_, continuation) in waiting { continuation.resume(returning: true) }
  }

  private func giveUp(_ id: Int) {
    let continuation = waiters.withLock { waiters in
      waiters.waiting.firstIndex { $0.id == id }.map { waiters.waiting.remove(at: $0).continuation }
    }
    continuation?.resume(returning: false)
  }
}
