/// The ranges of the numbers and times of a scenario file. Each is bounded so that every run ends
/// and no arithmetic overflows.
enum Bounds {
  /// `run`, `end` and `grace`.
  static let run: ClosedRange<Duration> = .milliseconds(1)...(.seconds(86_400))
  /// Times that may be zero: pauses, outages, latencies.
  static let pause: ClosedRange<Duration> = .zero...(.seconds(86_400))
  /// Mean times between two events. With zero, virtual time would not advance.
  static let interval: ClosedRange<Duration> = .milliseconds(1)...(.seconds(86_400))
  /// Lifetimes of tokens.
  static let lifetime: ClosedRange<Duration> = .milliseconds(1)...(.seconds(3650 * 86_400))
  /// Offsets of clocks, in both directions.
  static let skew: ClosedRange<Duration> = .seconds(-3650 * 86_400)...(.seconds(3650 * 86_400))
  /// Drift of clocks, in parts per million.
  static let drift: ClosedRange<Int64> = -100_000...100_000
  /// Users of one group, and of all groups together.
  static let people: ClosedRange<Int64> = 1...10_000
  static let hosts: ClosedRange<Int64> = 1...100
  /// Nodes of one service.
  static let nodes: ClosedRange<Int64> = 1...8
  /// Devices, contacts, requested users and messages of one user.
  static let each: ClosedRange<Int64> = 1...1000
  /// Actions of one user in a burst.
  static let burst: ClosedRange<Int64> = 2...100
  static let weight: ClosedRange<Int64> = 1...1_000_000
  static let rounds: ClosedRange<Int64> = 1...10_000_000
  /// Bytes under way in one direction of a connection.
  static let window: ClosedRange<Int64> = 1...1 << 30
  /// Bytes that a service keeps in memory.
  static let memory: ClosedRange<Int64> = 0...1 << 30
  static let count: ClosedRange<Int64> = 1...1_000_000_000
  static let draws: ClosedRange<Int64> = 0...1_000_000_000
  static let seed: ClosedRange<Int64> = 0...Int64.max
  /// Shared names or ids; 0 shares none.
  static let shared: ClosedRange<Int64> = 0...1_000_000
  /// Bytes of the name of a scenario, and of a user.
  static let title = 1...200
  static let name = 1...32
}
