import Environment

/// When the manager looks for ended sessions to remove.
struct RemovalSchedule {
  /// Time between passes while sessions that are erased wait for their supervisors.
  private static let waiting: Duration = .seconds(1)

  private let interval: Duration?
  private var next: Instant?

  /// - Parameter isErasing: Whether the last life left sessions to remove.
  init(_ rule: Retention, isErasing: Bool, at now: Instant) {
    interval = rule.interval
    next = isErasing ? now : interval.map { now + $0 }
  }

  /// Whether a pass is due. No other one is due until `note` is called.
  mutating func takeDue(at now: Instant) -> Bool {
    guard let next, next <= now else { return false }
    self.next = nil
    return true
  }

  /// Plans the pass after one that got so far.
  mutating func note(_ progress: EndedSessionsTable.Progress, at now: Instant) {
    switch progress {
    case .more: next = now
    case .waiting: next = now + Self.waiting
    case .done: next = interval.map { now + $0 }
    }
  }
}
