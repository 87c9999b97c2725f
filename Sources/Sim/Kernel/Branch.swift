/// A step of a run after which all choices derive from another seed. A run and its branches are the
/// same up to that step.
public struct Branch: Hashable, Sendable {
  /// The number of jobs that run as before.
  public let step: Int
  /// The seed of all later choices.
  public let seed: UInt64

  /// Creates a branch after `step` jobs.
  public init(step: Int, seed: UInt64) {
    self.step = step
    self.seed = seed
  }

  /// Reads the form `STEP@SEED`, as in `1200@7`; nil for anything else.
  public init?(_ text: String) {
    guard let (step, seed) = Self.parse(text), seed >= 0 else { return nil }
    self.init(step: step, seed: UInt64(seed))
  }

  /// Reads the form `STEP@NUMBER`.
  static func parse(_ text: String) -> (step: Int, number: Int64)? {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    guard parts.count == 2, let step = UInt32(parts[0]), let number = Int64(parts[1]) else { return nil }
    return (Int(step), number)
  }

  /// The form `STEP@SEED`.
  public var text: String { "\(step)@\(seed)" }
}
