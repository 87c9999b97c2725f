/// What the numbers and times of a scenario file may be. Everything has a bound: a run has to end, and nothing may overflow.
enum Bounds {
  /// Of a run, its end, and the time after it in which everything comes right.
  static let run: ClosedRange<Duration> = .milliseconds(1)...(.seconds(86_400))
  /// Times that may be nothing: pauses, outages, latencies.
  static let pause: ClosedRange<Duration> = .zero...(.seconds(86_400))
  /// Mean times between two events: without a pause between them time would stand still.
  static let interval: ClosedRange<Duration> = .milliseconds(1)...(.seconds(86_400))
  /// Of what lives for long, such as tokens.
  static let lifetime: ClosedRange<Duration> = .milliseconds(1)...(.seconds(3650 * 86_400))
  /// Of clocks that are wrong, both ways.
  static let skew: ClosedRange<Duration> = .seconds(-3650 * 86_400)...(.seconds(3650 * 86_400))
  /// Parts per million by which a clock may run wrong.
  static let drift: ClosedRange<Int64> = -100_000...100_000
  /// How many there may be of a kind of people, and of all together.
  static let people: ClosedRange<Int64> = 1...10_000
  static let hosts: ClosedRange<Int64> = 1...100
  /// Of what each person has: devices, contacts, users, messages at once.
  static let each: ClosedRange<Int64> = 1...1000
  static let weight: ClosedRange<Int64> = 1...1_000_000
  static let rounds: ClosedRange<Int64> = 1...10_000_000
  /// Bytes on their way in one direction of a connection.
  static let window: ClosedRange<Int64> = 1...1 << 30
  static let count: ClosedRange<Int64> = 1...1_000_000_000
  static let draws: ClosedRange<Int64> = 0...1_000_000_000
  static let seed: ClosedRange<Int64> = 0...Int64.max
  /// Names or ids that are shared; 0 for none.
  static let shared: ClosedRange<Int64> = 0...1_000_000
  /// Bytes of a scenario's name, and of a person's.
  static let title = 1...200
  static let name = 1...32
}
