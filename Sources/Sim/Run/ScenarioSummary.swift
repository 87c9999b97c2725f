import Simulation

/// The runs of one scenario together, and whether they reached what the scenario demands.
public struct ScenarioSummary: Sendable {
  /// The number of seeds that an expectation is for.
  public static let expectedSeeds = 10
  /// The number of runs from which on it is also judged whether ten other seeds would reach the
  /// same.
  public static let marginSeeds = 100

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
  /// For each fault, how often it struck in each run.
  private var strikes: [[Int]]
  /// For each expected counter, its value in each run.
  private var samples: [[Int]]
  /// The runs in which the planted bug was found.
  private var caught = 0
  /// For each ordering of `sometimes`, 1 for each run in which it came and 0 for the others.
  private var orderings: [[Int]]
  private let scenario: Scenario

  /// Makes an empty summary.
  public init(_ scenario: Scenario) {
    self.scenario = scenario
    strikes = Array(repeating: [], count: scenario.faults.count)
    samples = Array(repeating: [], count: scenario.expect.count)
    orderings = Array(repeating: [], count: scenario.sometimes.count)
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
    for (index, demand) in scenario.expect.enumerated() { samples[index].append(result.counts[demand.counter] ?? 0) }
    for (index, pair) in scenario.sometimes.enumerated() {
      orderings[index].append(result.orderings.contains(pair) ? 1 : 0)
    }
    for (index, count) in result.strikes.enumerated() { strikes[index].append(count) }
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
    let faults = strikes.indices.filter { !scenario.isRecording && !strikes[$0].contains { $0 > 0 } }.map {
      "fault \($0 + 1) never struck: \(scenario.faults[$0].sentence)"
    }
    let counters = scenario.expect.compactMap { counter, atLeast -> String? in
      let least = max(atLeast, atLeast * runs / Self.expectedSeeds)
      let count = counts[counter, default: 0]
      return count >= least ? nil : "\(counter.rawValue): \(count), expected at least \(least)"
    }
    let never = zip(scenario.sometimes, orderings).filter { !$1.contains(1) }.map { pair, _ in
      "\"\(pair.then)\" never came soon after \"\(pair.first)\""
    }
    return faults + counters + never
  }

  /// The demands that these runs reached and that ten other seeds may miss by chance. Judged from
  /// `marginSeeds` runs on, by drawing ten of the runs, with repetition, 100,000 times (the
  /// bootstrap of Efron, 1979): each draw has to reach each demand.
  public var chancy: [String] {
    guard runs >= Self.marginSeeds, unreached.isEmpty else { return [] }
    let faults = strikes.indices.compactMap { index in
      scenario.isRecording
        ? nil
        : Self.misses(strikes[index], 1).map {
          "fault \(index + 1) does not strike in \($0): \(scenario.faults[index].sentence)"
        }
    }
    let counters = zip(scenario.expect, samples).compactMap { demand, values in
      Self.misses(values, demand.atLeast).map { "\(demand.counter.rawValue): fewer than \(demand.atLeast) in \($0)" }
    }
    let pairs = zip(scenario.sometimes, orderings).compactMap { pair, values in
      Self.misses(values, 1).map { "\"\(pair.then)\" does not come soon after \"\(pair.first)\" in \($0)" }
    }
    return faults + counters + pairs
  }

  /// How many draws of ten values stay below a sum, in words; nil if all reach it.
  private static func misses(_ values: [Int], _ least: Int) -> String? {
    let draws = 100_000
    var random = SplitMix64(state: 1)
    let missed = (0..<draws).count { _ in
      (0..<expectedSeeds).reduce(0) { sum, _ in sum + values[Int(random.next() % UInt64(values.count))] } < least
    }
    return missed == 0 ? nil : "\(missed) of \(draws) draws of \(expectedSeeds) runs"
  }
}
