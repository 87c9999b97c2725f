import Sim

/// Failures of one scenario that have the same cause, with the first as the example.
struct FailureGroup {
  /// The broken promises of the first failure, one a line.
  let lines: [String]
  /// The oracle that the first failure broke; nil for a planted bug that was not found.
  let oracle: String?
  /// The seeds of all of them, in order.
  private(set) var seeds: [UInt64]

  /// The failures of a scenario, by cause.
  static func all(_ summary: ScenarioSummary, deaths: [Workers.Crash]) -> [FailureGroup] {
    var groups: [(cause: String, group: FailureGroup)] = []
    for result in summary.failures {
      let cause = result.cause
      if let index = groups.firstIndex(where: { $0.cause == cause }) {
        groups[index].group.seeds.append(result.seed)
      } else {
        let lines = result.violations.map(\.description)
        groups.append(
          (cause, FailureGroup(lines: lines, oracle: result.violations.first?.oracle, seeds: [result.seed])))
      }
    }
    var all = groups.map(\.group)
    if let missed = summary.missedBug { all.append(FailureGroup(lines: [missed], oracle: nil, seeds: [])) }
    for wasKilled in [false, true] {
      let seeds = deaths.filter { $0.wasKilled == wasKilled }.map(\.seed).sorted()
      guard !seeds.isEmpty else { continue }
      let what =
        wasKilled
        ? "the process was killed in this run, perhaps for lack of memory" : "no-trap: the process died in this run"
      all.append(FailureGroup(lines: [what], oracle: wasKilled ? nil : "no-trap", seeds: seeds))
    }
    return all
  }

  /// The command that replays the first of them.
  func replay(_ file: String, _ options: SimulateCommand.Options) -> String { command("simulate", file, options) }

  /// The command that explains the first of them.
  func explain(_ file: String, _ options: SimulateCommand.Options) -> String { command("explain", file, options) }

  private func command(_ verb: String, _ file: String, _ options: SimulateCommand.Options) -> String {
    let strategy = options.strategy.map { " --strategy \($0.rawValue)" } ?? ""
    return "\(Command.program) \(verb) \(file)" + (seeds.first.map { " --seed \($0)\(strategy)" } ?? "")
  }
}
