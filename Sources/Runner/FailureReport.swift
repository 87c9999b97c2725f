import Sim

/// The end of the output of `simulate`: failures grouped by cause, goals that were not reached, and
/// the last line.
struct FailureReport {
  private let scenarios: [SimulationReport.Entry]
  private let summaries: [ScenarioSummary]
  private let crashed: [Workers.Crash]
  private let options: SimulateCommand.Options

  init(
    _ scenarios: [SimulationReport.Entry], _ summaries: [ScenarioSummary], _ crashed: [Workers.Crash],
    _ options: SimulateCommand.Options
  ) {
    self.scenarios = scenarios
    self.summaries = summaries
    self.crashed = crashed
    self.options = options
  }

  /// Prints the report, and returns the exit code.
  func print() -> Int32 {
    for (index, (entry, summary)) in zip(scenarios, summaries).enumerated() {
      for group in FailureGroup.all(summary, deaths: crashed.filter { $0.index == index }) {
        printFailure(entry.file, group)
      }
    }
    let unreached = zip(scenarios, summaries).reduce(0) { $0 + printUnreached($1.0.file, $1.1) }
    let chancy = zip(scenarios, summaries).reduce(0) { $0 + printChancy($1.0.file, $1.1) }
    let failed = summaries.reduce(crashed.count) { $0 + $1.failed }
    let passed = summaries.reduce(0) { $0 + $1.runs - $1.failed }
    if unreached > 0 { Swift.print("\(unreached) not reached") }
    if chancy > 0 { Swift.print("\(chancy) reached by chance") }
    Swift.print("\(passed) passed, \(failed) failed")
    return failed == 0 && unreached == 0 && chancy == 0 ? 0 : 1
  }

  /// Prints one run of a cause, and the seeds of all runs that failed alike.
  private func printFailure(_ file: String, _ group: FailureGroup) {
    Swift.print("\nFAILED \(file)" + (group.seeds.first.map { " seed \($0)" } ?? ""))
    for line in group.lines { Swift.print("  \(line)") }
    guard !group.seeds.isEmpty else { return }
    Swift.print("  replay: \(group.replay(file, options))")
    Swift.print("  explain: \(group.explain(file, options))")
    guard group.seeds.count > 1 else { return }
    Swift.print("  \(group.seeds.count) seeds failed alike: \(Self.list(group.seeds))")
  }

  /// Sorted seeds, with neighbours as ranges: `1...4, 9`.
  static func list(_ seeds: [UInt64]) -> String {
    var ranges: [ClosedRange<UInt64>] = []
    for seed in seeds {
      if let last = ranges.last, seed > 0, last.upperBound == seed - 1 {
        ranges[ranges.count - 1] = last.lowerBound...seed
      } else {
        ranges.append(seed...seed)
      }
    }
    return ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)...\($0.upperBound)" }
      .joined(separator: ", ")
  }

  /// Prints the goals that were not reached. Returns how many of them count: with few seeds, none
  /// does.
  private func printUnreached(_ file: String, _ summary: ScenarioSummary) -> Int {
    let unreached = summary.unreached
    guard !unreached.isEmpty, summary.runs > 0 else { return 0 }
    for missing in unreached {
      if summary.isJudged {
        Swift.print("\nNOT REACHED \(file): \(missing)")
      } else {
        let seeds = summary.runs == 1 ? "1 seed" : "\(summary.runs) seeds"
        Swift.print(
          "not reached with \(seeds), where \(ScenarioSummary.expectedSeeds) are expected to: \(file): \(missing)")
      }
    }
    return summary.isJudged ? unreached.count : 0
  }

  /// Prints the goals that other seeds may miss. Returns their number.
  private func printChancy(_ file: String, _ summary: ScenarioSummary) -> Int {
    for goal in summary.chancy { Swift.print("\nREACHED BY CHANCE \(file): \(goal)") }
    return summary.chancy.count
  }
}
