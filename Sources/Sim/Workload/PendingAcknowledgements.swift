import Environment
import System

/// The acknowledgements that a client of Socket.IO waits for on one connection.
///
/// An acknowledgement is expected before its event is sent: over polling a GET may bring it before
/// the POST with the event is answered.
final class PendingAcknowledgements {
  /// One acknowledgement.
  final class Expected {
    fileprivate enum State {
      case expected
      case awaited(CheckedContinuation<JSONValue?, Never>)
      /// It arrived, or with nil it never will.
      case ended(JSONValue?)
    }

    fileprivate var state = State.expected

    /// Ends the wait. Of two ends the first counts.
    fileprivate func end(_ answer: JSONValue?) {
      if case .ended = state { return }
      if case .awaited(let waiter) = state { waiter.resume(returning: answer) }
      state = .ended(answer)
    }

    /// Waits for it. Returns nil if `patience` is over or the socket ends.
    func wait(patience: Duration, _ environment: Environment) async -> JSONValue? {
      if case .ended(let answer) = state { return answer }
      let expected = Confined(self)
      environment.executor.spawn("patience") {
        try? await environment.clock.sleep(for: patience)
        expected.value.end(nil)
      }
      return await withCheckedContinuation { state = .awaited($0) }
    }

    /// The acknowledgement if it has arrived.
    var arrived: JSONValue? { if case .ended(let answer) = state { answer } else { nil } }
  }

  private var expected: [Int64: Expected] = [:]
  private var hasEnded = false

  /// Expects the acknowledgement of the event with a number.
  func expect(_ acknowledgement: Expected, of id: Int64) {
    if hasEnded { return acknowledgement.end(nil) }
    expected[id] = acknowledgement
  }

  /// Notes an acknowledgement. One that nobody expects changes nothing.
  func answer(_ id: Int64, _ value: JSONValue) { expected.removeValue(forKey: id)?.end(value) }

  /// Ends all waits, since the socket has ended. The ids of the next socket begin anew.
  func endAll() {
    hasEnded = true
    for id in expected.keys.sorted() { expected.removeValue(forKey: id)?.end(nil) }
  }
}
