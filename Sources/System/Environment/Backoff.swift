/// Exponential back-off with jitter, so that clients that failed together do not return together.
/// The delays grow to 32 times the first, which by default is 50–100 ms.
package struct Backoff {
  private let shortest: Int64
  private var failures: Int64 = 0

  /// Creates a back-off whose first delay is between `shortest` and twice that, at least 1 µs.
  package init(shortest: Duration = .milliseconds(50)) {
    self.shortest = max(1, shortest.nanoseconds / 1000)
  }

  /// Returns the delay before the next attempt.
  package mutating func next(_ entropy: any Entropy) -> Duration {
    failures = min(failures + 1, 6)
    let longest = shortest << failures
    return .microseconds(longest / 2 + Int64(entropy.below(UInt64(longest / 2))))
  }

  /// Starts again from the shortest delay, after a success.
  package mutating func reset() { failures = 0 }
}
