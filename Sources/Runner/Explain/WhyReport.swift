import Glibc
import Real
import Sim
import Simulation
import System

/// `parley explain --why`: what separates the failing runs of a scenario from the passing ones.
enum WhyReport {
  private static let defaultSeeds: ClosedRange<UInt64> = 1...500

  static func run(_ json: JSONValue, _ scenario: Scenario, _ arguments: Arguments) throws(UsageError) -> Int32 {
    for flag in ["seed", "html", "time", "quick"] where arguments.has(flag) {
      throw UsageError("--why and --\(flag) exclude each other")
    }
    let seeds = try arguments.value("seeds").map { text throws(UsageError) in try SimulateCommand.seeds(text) }
    Interrupt.listen()
    let runs = compared(json, seeds ?? defaultSeeds)
    print("\(scenario.name), \(runs.count) seeds from \((seeds ?? defaultSeeds).lowerBound) on\n")
    print(Causes(runs, of: scenario).text())
    return 0
  }

  /// Runs all seeds. Of a run whose process died nothing but the failure is known, so it is left
  /// out.
  private static func compared(_ json: JSONValue, _ seeds: ClosedRange<UInt64>) -> [Causes.Run] {
    let workers = WorkerPool(Processors.count)
    var rest = seeds[...]
    var runs: [Causes.Run] = []
    let progress = Progress(total: seeds.count)
    while !Interrupt.isRequested {
      workers.fill { rest.popFirst().map { FuzzWorker.Case(json: json, seeds: $0...$0) } }
      if workers.isIdle { break }
      workers.wait { _, outcome in
        runs += outcome.results.map { ($0, !$0.violations.isEmpty) }
        progress.step()
      }
    }
    workers.stop()
    progress.clear()
    return runs.sorted { $0.result.seed < $1.result.seed }
  }
}
