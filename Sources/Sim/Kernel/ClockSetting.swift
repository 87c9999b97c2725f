import Environment

/// How the clocks of a machine differ from virtual time. The setting outlives crashes.
public final class ClockSetting {
  /// The wall time at which every run begins, 2026-11-21T00:00:00Z.
  package static let epoch = Timestamp(seconds: 1_795_219_200)

  /// The drift of the monotonic clock in parts per million. A positive value makes it fast.
  public var driftPartsPerMillion: Int64 = 0
  /// The amount by which the wall clock is ahead.
  public var skew: Duration = .zero

  package func wallTime(_ virtual: Int64) -> Timestamp { Self.epoch + .nanoseconds(local(virtual)) + skew }

  func local(_ virtual: Int64) -> Int64 { virtual + virtual / 1_000_000 * driftPartsPerMillion }

  /// Returns the first virtual time at which the local clock shows at least `local`.
  func virtual(_ local: Int64) -> Int64 {
    if driftPartsPerMillion == 0 { return local }
    if local > .max / 4 { return .max }
    var guess = local - local / (1_000_000 + driftPartsPerMillion) * driftPartsPerMillion
    while self.local(guess) < local { guess += max(1, local - self.local(guess)) }
    return guess
  }
}
