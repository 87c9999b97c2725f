/// The runs of one scenario together, and whether they reached what the scenario demands.
public struct ScenarioSummary: Sendable {
  /// The number of seeds that an expectation is for.
  public static let expectedSeeds = 10

  /// The runs that failed.
  public private(set) var failures: [RunResult] = []
  /// The number of runs.
  public private(set) var runs = 0
  /// Scheduler steps of all runs.
  public private(set) var steps = 0
  /// Virtual time of all runs.
  public private(set) var simulated: Duration = .zero
  /// The counters of all runs.
  public private(set) var counts: [Counter: Int] = [:]
  private var strikes: [Int]
  /// The runs in which the planted bug was found.
  private var caught = 0
  private var orderings: Set<Orderings.Pair> = []
  private let scenario: Scenario

  /// Makes an empty summary.
  public init(_ scenario: Scenario) {
    self.scenario = scenario
    strikes = Array(repeating: 0, count: scenario.faults.count)
  }

  /// Adds a run.
  public mutating func add(_ result: RunResult) {
    runs += 1
    steps += result.steps
    simulated += result.simulated
    if scenario.fails.isEmpty {
      if !result.violations.isEmpty { failures.append(result) }
    } else if result.violations.contains(where: { scenario.fails.contains($0.oracle) }) {
      caught += 1
    }
    for (counter, count) in result.counts { counts[counter, default: 0] += count }
    if !scenario.sometimes.isEmpty { orderings.formUnion(result.orderings) }
    for (index, count) in result.strikes.enumerated() { strikes[index] += count }
  }

  /// The failure of a scenario whose planted bug no run has found; nil if a run has found it or no
  /// bug is planted.
  public var missedBug: String? {
    guard !scenario.fails.isEmpty, caught == 0, runs > 0 else { return nil }
    return "none of the oracles \(scenario.fails.joined(separator: ", ")) has found the planted bug"
  }

  /// The number of failures. A planted bug that no run has found is one.
  public var failed: Int { failures.count + (missedBug == nil ? 0 : 1) }

  /// Whether there were enough runs to judge `unreached`. Fewer than ten may miss what ten have to
  /// reach.
  public var isJudged: Bool { runs >= Self.expectedSeeds }

  /// The demands of the scenario that the runs did not reach. A counter has to reach its number in
  /// each ten runs.
  public var unreached: [String] {
    // A recording may keep a fault that never strikes, because without it the seed would give
    // another run.
    let faults = strikes.indices.filter { strikes[$0] == 0 && !scenario.isRecording }.map {
      "fault \($0 + 1) never struck: \(scenario.faults[$0].sentence)"
    }
    let counters = scenario.expect.compactMap { counter, atLeast -> String? in
      let least = max(atLeast, atLeast * runs / Self.expectedSeeds)
      let count = counts[counter, default: 0]
      return count >= least ? nil : "\(counter.rawValue): \(count), expected at least \(least)"
    }
    let never = scenario.sometimes.filter { !orderings.contains($0) }.map {
      "\"\($0.then)\" never came soon after \"\($0.first)\""
    }
    return faults + counters + never
  }
}
