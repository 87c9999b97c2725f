/// A node's two clocks: a monotonic clock, and a wall clock for people and tokens.
public protocol Clock: Sendable {
  /// The monotonic clock. It never jumps, and its origin is arbitrary.
  var now: Instant { get }
  /// The wall clock. It may be wrong and may jump, so use it only for values that leave the node,
  /// such as tokens and timestamps.
  var wallTime: Timestamp { get }
  /// Suspends until `deadline`.
  /// - Throws: `CancellationError` if the task is cancelled, `NodeDown` if the node crashes.
  func sleep(until deadline: Instant) async throws
}

extension Clock {
  /// Suspends for `duration`.
  /// - Throws: the errors of `sleep(until:)`.
  public func sleep(for duration: Duration) async throws { try await sleep(until: now + duration) }
}

/// A point in time on one node's monotonic clock. Instants of different nodes cannot be compared.
public struct Instant: Comparable, Hashable, Sendable {
  /// Nanoseconds since the clock's origin.
  public var nanoseconds: Int64

  /// Creates the instant that is `nanoseconds` after the clock's origin.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// Whether `a` is earlier than `b`.
  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }
  /// The instant `duration` after `instant`. Saturates instead of overflowing.
  public static func + (instant: Instant, duration: Duration) -> Instant {
    let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(duration.nanoseconds)
    return Instant(nanoseconds: overflow ? (duration < .zero ? .min : .max) : sum)
  }
  /// The time from `b` to `a`. Saturates instead of overflowing.
  public static func - (a: Instant, b: Instant) -> Duration {
    .nanoseconds(a.nanoseconds.subtractingSaturated(b.nanoseconds))
  }
}

extension Duration {
  /// The duration in whole nanoseconds. Saturates at ±292 years.
  public var nanoseconds: Int64 {
    let attoseconds = attoseconds
    let high = Int64(truncatingIfNeeded: attoseconds >> 64)
    // Beyond this, about 280 years, the quotient may not fit an `Int64`.
    guard high.magnitude < 480_000_000 else { return Int64(clamping: attoseconds / 1_000_000_000) }
    return (1_000_000_000 as Int64).dividingFullWidth((high, UInt64(truncatingIfNeeded: attoseconds))).quotient
  }

  /// The duration in seconds. Inexact; for reports and histograms.
  public var inSeconds: Double { Double(nanoseconds) / 1e9 }
}

/// A point in time on the wall clock. Leap seconds are not counted, as in POSIX.
public struct Timestamp: Comparable, Hashable, Sendable {
  /// Microseconds since 1970-01-01T00:00:00Z.
  public var microseconds: Int64

  /// Creates the time that is `microseconds` after 1970-01-01T00:00:00Z.
  public init(microseconds: Int64) { self.microseconds = microseconds }
  /// Creates the time that is `seconds` after 1970-01-01T00:00:00Z. Saturates at ±292,000 years.
  public init(seconds: Int64) {
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
    microseconds = overflow ? (seconds < 0 ? .min : .max) : product
  }

  /// Seconds since 1970-01-01T00:00:00Z, rounded down: a JWT's `NumericDate` (RFC 7519 §2).
  public var seconds: Int64 { microseconds / 1_000_000 - (microseconds % 1_000_000 < 0 ? 1 : 0) }

  /// Whether `a` is earlier than `b`.
  public static func < (a: Timestamp, b: Timestamp) -> Bool { a.microseconds < b.microseconds }
  /// The time `duration` after `time`. Saturates instead of overflowing.
  public static func + (time: Timestamp, duration: Duration) -> Timestamp {
    let (sum, overflow) = time.microseconds.addingReportingOverflow(duration.nanoseconds / 1000)
    return Timestamp(microseconds: overflow ? (duration < .zero ? .min : .max) : sum)
  }
  /// The time from `b` to `a`. Saturates instead of overflowing.
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
