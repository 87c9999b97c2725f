import Environment
import System

/// The acknowledgements that a client of Socket.IO waits for.
final class PendingAcknowledgements {
  private var waiting: [Int64: CheckedContinuation<JSONValue?, Never>] = [:]

  /// Waits for the acknowledgement of event `id`. Returns nil if `patience` is over or the socket
  /// ends.
  func wait(for id: Int64, patience: Duration, _ environment: Environment) async -> JSONValue? {
    let pending = Confined(self)
    environment.executor.spawn("patience") {
      try? await environment.clock.sleep(for: patience)
      pending.value.answer(id, nil)
    }
    return await withCheckedContinuation { waiting[id] = $0 }
  }

  func answer(_ id: Int64, _ value: JSONValue?) { waiting.removeValue(forKey: id)?.resume(returning: value) }

  /// Answers all with nil, since the socket has ended. The ids of the next socket begin anew.
  func endAll() { for id in waiting.keys.sorted() { answer(id, nil) } }
}
