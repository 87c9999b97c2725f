import Environment

/// The question whether the broker answers. Concurrent callers share one question, and an answer
/// counts for a second. Used on the client's actor.
struct AnswerCheck {
  /// How long an answer counts.
  private static let freshness: Duration = .seconds(1)

  private var waiters: [UnsafeContinuation<Bool, Never>] = []
  private var answeredAt: Instant?
  /// The number of the latest question.
  private(set) var question = 0

  /// Whether a caller waits for an answer.
  var isWaiting: Bool { !waiters.isEmpty }

  /// Whether the broker has answered a moment ago.
  func isFresh(at now: Instant) -> Bool { answeredAt.map { now - $0 < Self.freshness } ?? false }

  /// Adds a caller. Returns the number of the question to ask, or nil when one is under way.
  mutating func wait(_ waiter: UnsafeContinuation<Bool, Never>) -> Int? {
    waiters.append(waiter)
    guard waiters.count == 1 else { return nil }
    question += 1
    return question
  }

  /// Notes the broker's answer.
  mutating func answer(at now: Instant) {
    answeredAt = now
    resume(true)
  }

  /// Gives up: there was no answer in time, or the connection has ended.
  mutating func fail() {
    answeredAt = nil
    resume(false)
  }

  private mutating func resume(_ isAnswering: Bool) {
    let waiting = waiters
    waiters = []
    for waiter in waiting { waiter.resume(returning: isAnswering) }
  }
}
