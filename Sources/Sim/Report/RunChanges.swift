extension RunRecord {
  /// An event in words. Faults tell more than messages, and messages more than logs.
  typealias Told = (step: Int, at: Int64, weight: Int, text: String)

  /// The events between two steps, in no order.
  func told(_ steps: ClosedRange<Int>) -> [Told] {
    var events: [Told] = []
    for mark in marks where steps.contains(mark.step) {
      guard let text = Story.sentence(mark) else { continue }
      events.append((mark.step, mark.at, mark.kind == .log ? 0 : 3, text))
    }
    for arrow in arrows {
      guard let message = arrow.messages.last else { continue }
      let text = "\(arrow.from) → \(arrow.to): \(Story.brief(message.summary))"
      if let step = arrow.arrivedStep, let at = arrow.arrivedAt, steps.contains(step) {
        events.append((step, at, 2, text + " arrives"))
      }
      if steps.contains(arrow.sentStep) { events.append((arrow.sentStep, arrow.sentAt, 2, text + " is sent")) }
    }
    return events
  }
}

/// What is different between a run and a branch of it.
public struct RunChanges {
  private static let most = 12
  /// The events of each run from the first one that differs.
  private let before: ArraySlice<RunRecord.Told>
  private let after: ArraySlice<RunRecord.Told>

  /// Compares the events after a step, in their order of time.
  public init(_ run: RunRecord, _ branch: RunRecord, from step: Int) {
    let (one, other) = (Self.events(run, step), Self.events(branch, step))
    let equal = zip(one, other).prefix { ($0.at, $0.text) == ($1.at, $1.text) }.count
    (before, after) = (one.dropFirst(equal), other.dropFirst(equal))
  }

  private static func events(_ record: RunRecord, _ step: Int) -> [RunRecord.Told] {
    guard step <= record.lastStep else { return [] }
    return record.told(step...record.lastStep).enumerated().sorted {
      ($0.element.step, $0.element.at, $0.offset) < ($1.element.step, $1.element.at, $1.offset)
    }.map(\.element)
  }

  /// The first events of each run that the other one does not have there.
  public var text: String {
    guard !before.isEmpty || !after.isEmpty else { return "Every event is the same." }
    func lines(_ events: ArraySlice<RunRecord.Told>) -> [String] {
      guard !events.isEmpty else { return ["    the end of the run"] }
      return events.prefix(Self.most).map { "    \(VirtualTime.text($0.at))  \($0.text)" }
    }
    return (["The run went on:"] + lines(before) + ["", "This branch went on:"] + lines(after))
      .joined(separator: "\n")
  }
}
