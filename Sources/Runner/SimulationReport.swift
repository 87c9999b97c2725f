import Glibc
import Real
import Sim
import System

/// Runs simulations and tells how they went: a progress line on a terminal, then a table, the failures, the last line.
enum SimulationReport {
  typealias Entry = (file: String, scenario: Scenario)

  static func run(_ scenarios: [Entry], _ options: SimulateCommand.Options) -> Int32 {
    var summaries = scenarios.map { ScenarioSummary($0.scenario) }
    var results: [[RunResult]] = Array(repeating: [], count: scenarios.count)
    var crashed: [Workers.Crash] = []
    let begin = EventLoop.nanoseconds
    let total = scenarios.reduce(0) { $0 + SimulateCommand.seeds(options, of: $1.scenario).count }
    let progress = Progress(total: total)
    if options.jobs == 1 || options.trace != nil || total == 1 {
      for (index, entry) in scenarios.enumerated() {
        for seed in SimulateCommand.seeds(options, of: entry.scenario) {
          results[index].append(runHere(entry.scenario, seed, options))
          progress.step()
        }
      }
    } else {
      crashed = Workers.run(options) { index, result in
        results[index].append(result)
        progress.step()
      }
    }
    progress.clear()
    for index in scenarios.indices {
      results[index].sort { $0.seed < $1.seed }
      for result in results[index] { summaries[index].add(result) }
    }
    if options.printsHashes { printHashes(scenarios, results) }
    let seconds = Double(EventLoop.nanoseconds - begin) / 1e9
    if !options.printsHashes { printTable(scenarios, summaries, seconds) }
    if options.printsCounts {
      for (entry, summary) in zip(scenarios, summaries) { print("\(entry.file): \(counted(summary.counts))") }
    }
    return printFailures(scenarios, summaries, crashed, options)
  }

  private static func runHere(_ scenario: Scenario, _ seed: UInt64, _ options: SimulateCommand.Options) -> RunResult {
    let runner = ScenarioRunner(scenario)
    guard let path = options.trace else { return runner.run(seed: seed, RunOptions(strategy: options.strategy)) }
    guard let file = fopen(path, "w") else {
      standardError("parley: \(path): \(String(cString: strerror(errno)))")
      exit(2)
    }
    defer { fclose(file) }
    return runner.run(
      seed: seed, RunOptions(strategy: options.strategy) { event in fputs(event.json.text + "\n", file) })
  }

  /// Counters in words: "requests 12, successes 10".
  static func counted(_ counts: [Counter: Int]) -> String {
    Counter.allCases.filter { counts[$0, default: 0] > 0 }.map { "\($0.rawValue) \(counts[$0]!)" }
      .joined(separator: ", ")
  }

  private static func printHashes(_ scenarios: [Entry], _ results: [[RunResult]]) {
    for (entry, results) in zip(scenarios, results) {
      for result in results { print("\(entry.file) \(result.seed) \(padded(result.hash))") }
    }
  }

  private static func padded(_ hash: UInt64) -> String {
    let text = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - text.count) + text
  }

  // MARK: The table

  private static func printTable(_ scenarios: [Entry], _ summaries: [ScenarioSummary], _ seconds: Double) {
    let rows = zip(scenarios, summaries).map { entry, summary in
      [
        entry.scenario.name, "\(summary.runs)", "\(summary.runs - summary.failures.count)", short(summary.steps),
        short(summary.counts[.requests] ?? 0), DurationText.format(.seconds(Int(summary.simulated.inSeconds))),
      ]
    }
    let head = ["scenario", "seeds", "passed", "steps", "requests", "simulated"]
    let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max()! }
    for row in [head] + rows {
      let cells = row.enumerated().map { column, text in
        let space = String(repeating: " ", count: widths[column] - text.count)
        return column == 0 ? text + space : space + text
      }
      print(cells.joined(separator: "  "))
    }
    let simulated = summaries.reduce(0) { $0 + $1.simulated.inSeconds }
    let steps = summaries.reduce(0) { $0 + $1.steps }
    print(
      "\(short(steps)) steps in \(tenths(seconds)) s, \(Int(simulated / max(seconds, 0.001))) times faster than real time"
    )
  }

  private static func short(_ number: Int) -> String {
    number < 10_000 ? "\(number)" : number < 10_000_000 ? "\(number / 1000)k" : "\(number / 1_000_000)M"
  }

  private static func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

  // MARK: Failures

  private static func printFailures(
    _ scenarios: [Entry], _ summaries: [ScenarioSummary], _ crashed: [Workers.Crash],
    _ options: SimulateCommand.Options
  ) -> Int32 {
    var passed = 0
    var failed = 0
    for (entry, summary) in zip(scenarios, summaries) {
      passed += summary.runs - summary.failures.count
      failed += summary.failures.count
      for result in summary.failures {
        print("\nFAILED \(entry.file) seed \(result.seed)")
        for violation in result.violations { print("  \(violation)") }
        print("  replay: \(replay(entry.file, result.seed, options))")
      }
      for missing in summary.unreached {
        failed += 1
        print("\nFAILED \(entry.file): it did not reach what it is about: \(missing)")
      }
    }
    for crash in crashed {
      failed += 1
      let file = scenarios[crash.index].file
      let what =
        crash.wasKilled
        ? "the process was killed in this run; is there memory enough?" : "no-trap: the process died in this run"
      print("\nFAILED \(file) seed \(crash.seed)")
      print("  \(what)\n  replay: \(replay(file, crash.seed, options)) --jobs 1")
    }
    print("\(passed) passed, \(failed) failed")
    return failed == 0 ? 0 : 1
  }

  private static func replay(_ file: String, _ seed: UInt64, _ options: SimulateCommand.Options) -> String {
    "parley simulate \(file) --seed \(seed)"
      + (options.strategy.map { " --strategy \($0.rawValue)" } ?? "")
  }
}

/// A line that is written again and again, on a terminal only.
final class Progress {
  private let total: Int
  private let isTerminal = isatty(2) == 1
  private var done = 0

  init(total: Int) { self.total = total }

  func step() {
    done += 1
    if isTerminal { writeToStandardError("\r\(done) of \(total) runs") }
  }

  func clear() { if isTerminal { writeToStandardError("\r\u{1B}[K") } }
}
