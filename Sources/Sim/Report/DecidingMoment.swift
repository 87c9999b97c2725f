import System

/// The moment at which a run was decided: where the chance of failing rises most, and the event
/// there.
public struct DecidingMoment: Sendable {
  /// The chance before it, from 0 to 1.
  public let before: Double
  /// The chance after it, from 0 to 1.
  public let after: Double
  /// The steps between which the chance rises.
  public let steps: ClosedRange<Int>
  /// The virtual time of the event.
  public let at: Int64
  /// The event in words, or the last one before it; nil if there is none.
  public let event: String?

  /// A smaller rise may be chance: with 64 continuations its standard deviation is up to 0.09.
  public static let leastRise = 0.25

  /// Finds the moment. Nil if the chance rises nowhere by `leastRise`.
  public init?(_ likelihood: Likelihood, _ record: RunRecord) {
    guard let rise = likelihood.rise, rise.after.chance - rise.before.chance >= Self.leastRise else { return nil }
    before = rise.before.chance
    after = rise.after.chance
    steps = rise.before.step...rise.after.step
    let inside = Self.events(record, steps).max { ($0.weight, $0.step) < ($1.weight, $1.step) }
    let earlier = Self.events(record, 0...steps.upperBound).max { $0.step < $1.step }
    event = inside.map { "when \($0.text)" } ?? earlier.map { "after \($0.text)" }
    at = inside?.at ?? record.time(ofStep: steps.upperBound)
  }

  private typealias Event = (step: Int, at: Int64, weight: Int, text: String)

  /// The events between two steps. Faults tell more than messages, and messages more than logs.
  private static func events(_ record: RunRecord, _ steps: ClosedRange<Int>) -> [Event] {
    var events: [Event] = []
    for mark in record.marks where steps.contains(mark.step) {
      guard let text = Story.sentence(mark) else { continue }
      events.append((mark.step, mark.at, mark.kind == .log ? 0 : 3, text))
    }
    for arrow in record.arrows {
      guard let message = arrow.messages.last else { continue }
      let text = "\(arrow.from) → \(arrow.to): \(Story.brief(message.summary))"
      if let step = arrow.arrivedStep, let at = arrow.arrivedAt, steps.contains(step) {
        events.append((step, at, 2, text + " arrives"))
      }
      if steps.contains(arrow.sentStep) { events.append((arrow.sentStep, arrow.sentAt, 1, text + " is sent")) }
    }
    return events
  }

  /// The moment as a sentence: when, after which event, and how the chance rose.
  public var text: String {
    let when = event.map { ", \($0)" } ?? ""
    return "At \(VirtualTime.text(at))\(when), the chance of failing rose from \(Self.percent(before))"
      + " to \(Self.percent(after)) (steps \(steps.lowerBound) to \(steps.upperBound))."
  }

  static func percent(_ chance: Double) -> String { "\(Int(chance * 100 + 0.5)) %" }
}
