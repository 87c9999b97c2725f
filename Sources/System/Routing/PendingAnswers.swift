/// The callers over HTTP that wait for the manager's answers.
struct PendingAnswers {
  struct Caller: Hashable, Sendable {
    fileprivate let number: Int
  }

  typealias Answer = Result<JSONValue, ManagerRefusal>

  // Unsafe, because a crash in the simulator drops callers that wait. A checked continuation would
  // report each of them as a leak.
  private var waiting: [Caller: UnsafeContinuation<Answer, Never>] = [:]
  private var last = 0

  mutating func nextCaller() -> Caller {
    last += 1
    return Caller(number: last)
  }

  mutating func wait(_ caller: Caller, _ continuation: UnsafeContinuation<Answer, Never>) {
    waiting[caller] = continuation
  }

  /// Answers a caller; does nothing if the caller has its answer.
  mutating func answer(_ caller: Caller, _ answer: Answer) {
    waiting.removeValue(forKey: caller)?.resume(returning: answer)
  }
}

/// Why the manager does not serve a caller over HTTP.
enum ManagerRefusal: Error {
  case malformed(String)
  case stopping
  case databaseUnavailable
  /// The text says what an operator has to do.
  case brokerUnavailable(String)
}
