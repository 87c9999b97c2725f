import System

/// The faults that a person may strike at a step of a run.
public enum FaultHere: String, CaseIterable, Sendable {
  case kill, power, pause, drain, reset
  case cutOff = "cut-off"
  case failingSyncs = "failing-syncs"

  /// How long a fault lasts that lasts.
  private static let length: Duration = .seconds(2)

  /// What happens to the node.
  var title: String {
    switch self {
    case .kill: "is killed"
    case .power: "loses power"
    case .pause: "is paused for 2 s"
    case .drain: "stops in order"
    case .reset: "loses its connections"
    case .cutOff: "is cut off for 2 s"
    case .failingSyncs: "cannot sync its disk for 2 s"
    }
  }

  /// The fault in a scenario file. `others` are the other nodes; `at` is the time of the step, and
  /// `run` the time in which faults strike.
  func json(_ node: String, among others: [String], step: Int, at: Duration, run: Duration) -> JSONValue {
    let to = JSONValue.string(DurationText.format(.milliseconds(min(at + Self.length, run).nanoseconds / 1_000_000)))
    let subject = JSONValue.string(node)
    let members: [JSONValue.Member] =
      switch self {
      case .kill: [.init("crash", subject)]
      case .power: [.init("crash", subject), .init("power", true)]
      case .pause: [.init("pause", subject), .init("for", .string(DurationText.format(Self.length)))]
      case .drain: [.init("drain", subject)]
      case .reset: [.init("reset", subject)]
      case .cutOff:
        [.init("partition", [[subject], .array(others.map { .string($0) })]), .init("to", to)]
      case .failingSyncs: [.init("disk", subject), .init("failingSyncs", .double(1)), .init("to", to)]
      }
    return .object([.init("atStep", .int(Int64(step)))] + members)
  }
}
