/// A node's two clocks: one that only goes forward, one that people and tokens agree on.
public protocol Clock: Sendable {
  /// The monotonic clock. It never jumps; its origin means nothing.
  var now: Instant { get }
  /// The wall clock. It may be wrong and may jump; use it only for what leaves the node (tokens, timestamps).
  var wallTime: Timestamp { get }
  /// Suspends until `deadline`; throws `CancellationError` when the task is cancelled and `NodeDown` when the node dies.
  func sleep(until deadline: Instant) async throws
}

extension Clock {
  /// Suspends for `duration`. Errors as `sleep(until:)`.
  public func sleep(for duration: Duration) async throws { try await sleep(until: now + duration) }
}

/// A point on one node's monotonic clock, in nanoseconds since an origin of that node's own.
public struct Instant: Comparable, Hashable, Sendable {
  /// Nanoseconds since the origin.
  public var nanoseconds: Int64

  /// The instant that lies `nanoseconds` after the clock's origin.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// Whether `a` comes before `b`.
  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  /// The instant `duration` after `instant`; saturates instead of overflowing.
  public static func + (instant: Instant, duration: Duration) -> Instant {
    let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.nanoseconds)
    return Instant(nanoseconds: overflow ? (duration < .zero ? .min : .max) : sum)
  }
  /// The time from `b` to `a`; saturates instead of overflowing.
  public static func - (a: Instant, b: Instant) -> Duration {
    .nanoseconds(a.nanoseconds.subtractingSaturated(b.nanoseconds))
  }
}

extension Duration {
  /// The duration in whole nanoseconds, saturating at ±292 years.
  public var nanoseconds: Int64 {
    let attoseconds = attoseconds
    let high = Int64(truncatingIfNeeded: attoseconds >> 64)
    // Beyond this the quotient may not be an `Int64`: some 280 years.
    guard high.magnitude < 480_000_000 else { return Int64(clamping: attoseconds / 1_000_000_000) }
    return (1_000_000_000 as Int64).dividingFullWidth((high, UInt64(truncatingIfNeeded: attoseconds))).quotient
  }

  /// The duration in seconds, for reports and histograms.
  public var inSeconds: Double { Double(nanoseconds) / 1e9 }
}

/// A point in wall-clock time: microseconds since 1970-01-01T00:00:00Z, leap seconds ignored (as POSIX does).
public struct Timestamp: Comparable, Hashable, Sendable {
  /// Microseconds since the epoch.
  public var microseconds: Int64

  /// The time that lies `microseconds` after the epoch.
  public init(microseconds: Int64) { self.microseconds = microseconds }
  /// The time that lies `seconds` after the epoch; saturates instead of overflowing, at 292,000 years.
  public init(seconds: Int64) {
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    microseconds = overflow ? (seconds < 0 ? .min : .max) : product
  }

  /// Whole seconds since the epoch, rounded towards the past; what a JWT's `NumericDate` holds.
  public var seconds: Int64 { microseconds / 1_000_000 - (microseconds % 1_000_000 < 0 ? 1 : 0) }

  /// Whether `a` comes before `b`.
  public static func < (a: Timestamp, b: Timestamp) -> Bool { a.microseconds < b.microseconds }
  /// The time `duration` after `time`; saturates instead of overflowing.
  public static func + (time: Timestamp, duration: Duration) -> Timestamp {
    let (sum, overflow) = time.microseconds.addingReportingOverflow(duration.nanoseconds / 1000)
    return Timestamp(microseconds: overflow ? (duration < .zero ? .min : .max) : sum)
  }
  /// The time from `b` to `a`; saturates instead of overflowing.
  public static func - (a: Timestamp, b: Timestamp) -> Duration {
    .microseconds(a.microseconds.subtractingSaturated(b.microseconds))
  }
}

extension Int64 {
  fileprivate func subtractingSaturated(_ other: Int64) -> Int64 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other > 0 ? .min : .max) : difference
  }
}
