import Glibc
import Real
import Sim

/// `parley simulate --strategy exhaustive`: runs the schedules of a scenario one after the other,
/// up to a limit.
enum ExhaustiveReport {
  static func run(
    _ scenarios: [SimulationReport.Entry], _ options: SimulateCommand.Options, preemptions: Int?, limit: Int
  ) -> Int32 {
    var passed = 0
    var failed = 0
    for entry in scenarios {
      let runner = ScenarioRunner(entry.scenario)
      for seed in SimulateCommand.seeds(options, of: entry.scenario) {
        let begin = EventLoop.nanoseconds
        let search = runner.explore(seed: seed, preemptions: preemptions, limit: limit) { number, result in
          if result.violations.isEmpty {
            passed += 1
          } else {
            failed += 1
            print("\nFAILED \(entry.file) seed \(seed), schedule \(number)")
            for violation in result.violations { print("  \(violation)") }
          }
          return failed == 0
        }
        let bound = preemptions.map { ", at most \($0) preemptions" } ?? ""
        let seconds = Double(EventLoop.nanoseconds - begin) / 1e9
        let outcome =
          search.isCovered ? "the whole space was covered" : failed > 0 ? "stopped at a failure" : "the space is larger"
        print(
          "\(entry.scenario.name), seed \(seed)\(bound): \(search.schedules) schedules in \((seconds * 10).rounded() / 10) s; \(outcome)"
        )
      }
    }
    print("\(passed) passed, \(failed) failed")
    return failed == 0 ? 0 : 1
  }
}
