import Environment

/// Exponential back-off with jitter, so that clients that failed together do not return together.
/// The delays grow from 50–100 ms to 1.6–3.2 s.
struct Backoff {
  private var failures: Int64 = 0

  /// Returns the delay before the next attempt.
  mutating func next(_ entropy: any Entropy) -> Duration {
    failures = min(failures + 1, 6)
    let longest = Int64(50_000) << failures
    return .microseconds(longest / 2 + Int64(entropy.below(UInt64(longest / 2))))
  }

  /// Starts again from the shortest delay, after a success.
  mutating func reset() { failures = 0 }
}
