/// A request and its answer in time: as positions in the order of everything that users did and
/// saw, and in virtual nanoseconds.
struct Interval {
  let invoked: Int
  var answered = Int.max
  let invokedAt: Int64
  var answeredAt = Int64.max
}

/// The order of everything that users did and saw in a run.
class Timeline {
  private var position = 0
  private let now: () -> Int64

  init(now: @escaping () -> Int64) { self.now = now }

  /// Virtual time in nanoseconds.
  var time: Int64 { now() }

  /// The next position in the order.
  func next() -> Int {
    position += 1
    return position
  }

  func begin() -> Interval { Interval(invoked: next(), invokedAt: now()) }

  func end(_ interval: inout Interval) {
    interval.answered = next()
    interval.answeredAt = now()
  }
}

/// Virtual time in text.
enum VirtualTime {
  /// Seconds with milliseconds, as in `12.345s`; `…` for a time that never came.
  static func text(_ nanoseconds: Int64) -> String {
    if nanoseconds == .max { return "…" }
    let milliseconds = nanoseconds / 1_000_000
    return "\(milliseconds / 1000).\(String(1000 + milliseconds % 1000).dropFirst())s"
  }
}
