import System

/// The chance that a run breaks its promise, over the run, and the moment that decided it.
public struct Estimate: Sendable {
  /// The chance over the run.
  public let likelihood: Likelihood
  /// Where it rises most; nil if it rises nowhere by much.
  public let moment: DecidingMoment?

  /// Looks for the moment in the record of the run.
  public init(_ likelihood: Likelihood, _ record: RunRecord) {
    self.likelihood = likelihood
    moment = DecidingMoment(likelihood, record)
  }
}

/// The moment at which a run was decided: where the chance of failing rises most, and the events
/// there.
public struct DecidingMoment: Sendable {
  /// The chance before it, from 0 to 1.
  public let before: Double
  /// The chance after it, from 0 to 1.
  public let after: Double
  /// The steps between which the chance rises.
  public let steps: ClosedRange<Int>
  /// The virtual time.
  public let at: Int64
  /// The events between the two steps in words, in order; the last one before them if there are
  /// none. Of many the most telling.
  public let events: [String]

  /// A smaller rise may be chance: with 64 continuations its standard deviation is up to 0.09.
  public static let leastRise = 0.25
  private static let mostEvents = 3

  /// Finds the moment. Nil if the chance rises nowhere by `leastRise`.
  public init?(_ likelihood: Likelihood, _ record: RunRecord) {
    guard let rise = likelihood.rise, rise.after.chance - rise.before.chance >= Self.leastRise else { return nil }
    before = rise.before.chance
    after = rise.after.chance
    steps = rise.before.step...rise.after.step
    at = record.time(ofStep: steps.upperBound)
    let inside = record.told(steps).sorted { ($1.weight, $0.step) < ($0.weight, $1.step) }
    let earlier = inside.isEmpty ? record.told(0...steps.upperBound).max { $0.step < $1.step } : nil
    events =
      earlier.map { [$0.text] } ?? inside.prefix(Self.mostEvents).sorted { $0.step < $1.step }.map(\.text)
  }

  /// The moment in words: when, how the chance rose, and the events there.
  public var text: String {
    let head =
      "At \(VirtualTime.text(at)) the chance of failing rose from \(Self.percent(before)) to"
      + " \(Self.percent(after)), between steps \(steps.lowerBound) and \(steps.upperBound)."
    return ([head] + events.map { "    \($0)" }).joined(separator: "\n")
  }

  static func percent(_ chance: Double) -> String { "\(Int(chance * 100 + 0.5)) %" }
}
