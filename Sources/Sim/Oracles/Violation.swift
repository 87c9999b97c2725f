/// A broken promise: the oracle that found it, the promise, and the events that break it.
public struct Violation: Sendable, CustomStringConvertible {
  /// The name of the oracle.
  public let oracle: String
  /// The promise.
  public let promise: String
  /// What happened instead, in order.
  public let events: [String]

  /// The promise and the events, one a line.
  public var description: String { "\(oracle): \(promise)" + events.map { "\n    " + $0 }.joined() }

  /// The violation of a run whose process died at a virtual time, with its last lines on standard
  /// error.
  public static func death(at time: Int64, saying lines: [String]) -> Violation {
    Violation(
      oracle: RunOracles.noTrap.name, promise: RunOracles.noTrap.promise,
      events: ["\(VirtualTime.text(time)) the process dies"] + Trap.report(lines))
  }
}
