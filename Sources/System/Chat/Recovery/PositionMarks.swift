import Environment

/// How far this node had emitted at some times in the last minutes: what was emitted long ago is
/// known by its position, whatever the clocks of other nodes say.
struct PositionMarks {
  /// The shortest time between two marks.
  static let interval: Duration = .seconds(5)

  private var marks = FIFO<(time: Instant, position: Position)>()
  private var last: Instant?
  /// Everything up to here was emitted at least `EventLog.span` ago.
  private(set) var old: Position?

  /// Notes that everything up to `position` is emitted at `now`. If this node stood still, its
  /// clients did not, and the time does not count.
  mutating func note(_ position: Position, at now: Instant) {
    if let last {
      guard now - last >= Self.interval else { return }
      if now - last > Self.interval * 4 { marks = FIFO() }
    }
    last = now
    marks.append((now, position))
    while let first = marks.first, now - first.time >= EventLog.span {
      old = first.position
      _ = marks.popFirst()
    }
  }
}
