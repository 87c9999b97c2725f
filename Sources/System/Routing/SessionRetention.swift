import Environment

/// How long sessions that have ended are kept with their transcripts.
public struct SessionRetention: Hashable, Sendable {
  /// The time from the end of a session to its removal; nil to keep it.
  public var age: Duration?
  /// The number of ended sessions that are kept, the latest ones; nil for any number.
  public var number: Int?

  /// Keeps all sessions.
  public init(age: Duration? = nil, number: Int? = nil) {
    self.age = age
    self.number = number
  }

  /// Whether some sessions may go.
  var isLimited: Bool { age != nil || number != nil }
}

/// When the manager looks for ended sessions to remove.
struct RemovalSchedule {
  /// The longest time between two passes.
  private static let longest: Duration = .seconds(60)
  /// Time between passes while sessions that are erased wait for their supervisors.
  private static let waiting: Duration = .seconds(1)

  private let interval: Duration?
  private var next: Instant?

  /// - Parameter isErasing: Whether the last life left sessions to remove.
  init(_ rule: SessionRetention, isErasing: Bool, at now: Instant) {
    let shortest: Duration = .milliseconds(500)
    interval = rule.isLimited ? max(shortest, min(Self.longest, (rule.age ?? Self.longest) / 10)) : nil
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
