import Environment
import System

/// Events of a client that wait for their acknowledgement.
final class PendingCalls: @unchecked Sendable {
  private var waiting: [Int64: UnsafeContinuation<JSONValue?, Never>] = [:]

  /// Waits for the acknowledgement of an event; nil when none comes in time, or the socket ends.
  func wait(for id: Int64, patience: Duration, _ environment: Environment) async -> JSONValue? {
    environment.executor.spawn("patience") {
      try? await environment.clock.sleep(for: patience)
      self.answer(id, nil)
    }
    return await withUnsafeContinuation { waiting[id] = $0 }
  }

  func answer(_ id: Int64, _ value: JSONValue?) { waiting.removeValue(forKey: id)?.resume(returning: value) }

  /// The socket has ended. The ids of the next one begin anew.
  func endAll() { for id in waiting.keys.sorted() { answer(id, nil) } }
}
