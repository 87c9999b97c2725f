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
      printFailures(entry.file, summary)
      printDeaths(entry.file, crashed.filter { $0.index == index })
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

  /// One run for each cause, with the seeds of all runs that failed alike.
  private func printFailures(_ file: String, _ summary: ScenarioSummary) {
    var causes: [(cause: String, runs: [RunResult])] = []
    for result in summary.failures {
      let cause = result.cause
      if let index = causes.firstIndex(where: { $0.cause == cause }) {
        causes[index].runs.append(result)
      } else {
        causes.append((cause, [result]))
      }
    }
    for (_, runs) in causes {
      Swift.print("\nFAILED \(file) seed \(runs[0].seed)")
      for violation in runs[0].violations { Swift.print("  \(violation)") }
      finish(file, runs.map(\.seed))
    }
    if let missed = summary.missedBug {
      Swift.print("\nFAILED \(file)\n  \(missed)")
    }
  }

  private func printDeaths(_ file: String, _ deaths: [Workers.Crash]) {
    for wasKilled in [false, true] {
      let seeds = deaths.filter { $0.wasKilled == wasKilled }.map(\.seed).sorted()
      guard !seeds.isEmpty else { continue }
      let what =
        wasKilled
        ? "the process was killed in this run, perhaps for lack of memory" : "no-trap: the process died in this run"
      Swift.print("\nFAILED \(file) seed \(seeds[0])\n  \(what)")
      finish(file, seeds)
    }
  }

  private func finish(_ file: String, _ seeds: [UInt64]) {
    let strategy = options.strategy.map { " --strategy \($0.rawValue)" } ?? ""
    Swift.print("  replay: \(Command.program) simulate \(file) --seed \(seeds[0])\(strategy)")
    Swift.print("  explain: \(Command.program) explain \(file) --seed \(seeds[0])\(strategy)")
    guard seeds.count > 1 else { return }
    Swift.print("  \(seeds.count) seeds failed alike: \(Self.list(seeds))")
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
