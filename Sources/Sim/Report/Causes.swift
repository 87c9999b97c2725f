import Simulation

/// What separates the failing runs of a scenario from the passing ones: the orderings of events,
/// the counted events and the faults that raise the chance of failing.
public struct Causes: Sendable {
  /// Something that happened in some runs.
  public struct Cause: Sendable {
    /// In words.
    public let text: String
    /// The runs with it, and those of them that failed.
    public let with: (failed: Int, runs: Int)
    /// The runs without it, and those of them that failed.
    public let without: (failed: Int, runs: Int)
    /// A seed that fails with it.
    public let failing: UInt64
    /// A seed that passes without it, or with it if all runs without it fail.
    public let passing: UInt64?
    /// Others that happened in the same runs.
    public fileprivate(set) var companions: [String] = []

    /// By how much the chance of failing is higher with it, from -1 to 1.
    public var rise: Double {
      Double(with.failed) / Double(with.runs) - Double(without.failed) / Double(without.runs)
    }
  }

  /// A rise counts from this many standard deviations on. A few hundred candidates are
  /// compared, so smaller ones come by chance.
  static let leastDeviations = 3.0
  private static let mostCompanions = 4

  /// The causes, the one that raises the chance most first.
  public let causes: [Cause]
  /// The number of runs.
  public let runs: Int
  /// The number of runs that failed.
  public let failed: Int

  /// A run and whether it failed.
  public typealias Run = (result: RunResult, failed: Bool)

  /// Compares the runs of a scenario.
  public init(_ runs: [Run], of scenario: Scenario) {
    let failed = runs.count { $0.failed }
    self.runs = runs.count
    self.failed = failed
    var members: [String: [Int]] = [:]
    for (index, run) in runs.enumerated() {
      for feature in Self.features(run.result, scenario) { members[feature, default: []].append(index) }
    }
    var found: [Cause] = []
    var known: [[Int]: Int] = [:]
    for (text, those) in members.sorted(by: { $0.key < $1.key }) where those.count < runs.count {
      if let same = known[those] {
        if found[same].companions.count < Self.mostCompanions { found[same].companions.append(text) }
        continue
      }
      guard let cause = Self.cause(text, those, runs, failed) else { continue }
      known[those] = found.count
      found.append(cause)
    }
    causes = found.sorted { ($1.rise, $0.text) < ($0.rise, $1.text) }
  }

  private static func cause(_ text: String, _ those: [Int], _ runs: [Run], _ failed: Int) -> Cause? {
    let with = (failed: those.count { runs[$0].failed }, runs: those.count)
    let without = (failed: failed - with.failed, runs: runs.count - those.count)
    // The deviation of the difference of two shares, if both are the share of all runs.
    let share = Double(failed) / Double(runs.count)
    let deviation = (share * (1 - share) * (1 / Double(with.runs) + 1 / Double(without.runs))).squareRoot()
    guard deviation > 0, let failing = those.first(where: { runs[$0].failed }) else { return nil }
    let members = Set(those)
    let passing =
      runs.indices.first { !runs[$0].failed && !members.contains($0) } ?? those.first { !runs[$0].failed }
    let cause = Cause(
      text: text, with: with, without: without, failing: runs[failing].result.seed,
      passing: passing.map { runs[$0].result.seed })
    return cause.rise >= leastDeviations * deviation ? cause : nil
  }

  /// Everything that happened in a run.
  private static func features(_ run: RunResult, _ scenario: Scenario) -> [String] {
    let orderings = run.orderings.map { "\($0.first), and soon after it \($0.then)" }
    let counters = Counter.allCases.filter { run.counts[$0, default: 0] > 0 }.map(\.rawValue)
    let faults = run.strikes.indices.filter { run.strikes[$0] > 0 }.map { "fault: \(scenario.faults[$0].sentence)" }
    return orderings + counters + faults
  }

  /// The causes as text, at most `limit` of them.
  public func text(limit: Int = 10) -> String {
    var lines = ["\(failed) of \(runs) runs failed."]
    if failed == 0 || failed == runs { return lines[0] + " Nothing separates them from others." }
    if causes.isEmpty { lines.append("No ordering, event or fault raises the chance of failing clearly.") }
    for cause in causes.prefix(limit) {
      lines.append("")
      lines.append(cause.text)
      lines.append("    with it \(Self.share(cause.with)) fail, without it \(Self.share(cause.without))")
      let passing = cause.passing.map { ", seed \($0) passes" } ?? ""
      lines.append("    seed \(cause.failing) fails\(passing)")
      if !cause.companions.isEmpty { lines.append("    in the same runs: \(cause.companions.joined(separator: "; "))") }
    }
    return lines.joined(separator: "\n")
  }

  private static func share(_ part: (failed: Int, runs: Int)) -> String {
    "\(DecidingMoment.percent(Double(part.failed) / Double(max(1, part.runs)))) (\(part.failed) of \(part.runs))"
  }
}
