import Simulation
import System

/// Compares the events of two runs that have to be the same, and finds the first event that
/// differs.
public struct Divergence {
  /// One of the two runs.
  public enum Side: Int, CaseIterable, Sendable {
    case first, second
  }

  /// The number of events that are kept before a difference, and shown after it.
  private static let context = 12
  private static let following = 6

  /// The last events that both runs have.
  private var common: [TraceEvent] = []
  /// The number of events that both runs have.
  public private(set) var equal = 0
  /// The events of each run that the other has not reached.
  private var waiting: [[TraceEvent]] = [[], []]
  private var taken = [0, 0]
  private var hasEnded = [false, false]

  /// Creates a comparison.
  public init() {}

  /// Whether the runs differ.
  public private(set) var isFound = false
  /// Whether there is nothing more to add: both runs have ended, or enough of the difference is
  /// known.
  public var isComplete: Bool {
    if !isFound { return hasEnded[0] && hasEnded[1] }
    return Side.allCases.allSatisfy { hasEnded[$0.rawValue] || rest($0).count > Self.following }
  }

  /// Adds the next event of a run.
  public mutating func add(_ event: TraceEvent, to side: Side) {
    waiting[side.rawValue].append(event)
    compare()
  }

  /// Notes the end of a run.
  public mutating func end(_ side: Side) {
    hasEnded[side.rawValue] = true
    compare()
  }

  private func rest(_ side: Side) -> ArraySlice<TraceEvent> { waiting[side.rawValue][taken[side.rawValue]...] }

  private mutating func compare() {
    while !isFound {
      let (one, other) = (rest(.first).first, rest(.second).first)
      guard let one, let other else {
        // One run has events after the end of the other.
        isFound = one != nil && hasEnded[1] || other != nil && hasEnded[0]
        return
      }
      guard Self.same(one, other) else {
        isFound = true
        return
      }
      equal += 1
      common.append(one)
      if common.count > 2 * Self.context { common.removeFirst(Self.context) }
      for side in 0...1 {
        taken[side] += 1
        guard taken[side] > 1024 else { continue }
        waiting[side].removeFirst(taken[side])
        taken[side] = 0
      }
    }
  }

  private static func same(_ one: TraceEvent, _ other: TraceEvent) -> Bool {
    (one.at, one.step, one.node, one.kind, one.detail) == (other.at, other.step, other.node, other.kind, other.detail)
      && one.transfer?.bytes == other.transfer?.bytes
  }

  /// The difference in words: what led to it, and how each run goes on.
  public func text(_ names: [String]) -> String {
    guard isFound else { return "The runs are equal: \(equal) events." }
    var lines = ["The runs differ after \(equal) equal events.", "", "both:"]
    lines += common.suffix(Self.context).map(Self.line)
    for side in Side.allCases {
      lines += ["", "\(names[side.rawValue]):"]
      let next = rest(side).prefix(Self.following)
      lines += next.isEmpty ? ["  the end of the run"] : next.map(Self.line)
    }
    return lines.joined(separator: "\n")
  }

  private static func line(_ event: TraceEvent) -> String {
    let node = event.node.isEmpty ? "" : "\(event.node) "
    let bytes = event.transfer.map { $0.bytes.isEmpty ? "" : " \(Hex.encode($0.bytes.prefix(64)))" } ?? ""
    return "  step \(event.step), \(VirtualTime.text(event.at))  \(node)\(event.kind) \(event.detail)\(bytes)"
  }
}
