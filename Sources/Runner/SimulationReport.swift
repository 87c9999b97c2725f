import Simulation
import Glibc
import Real
import Sim
import System

/// Runs simulations and reports the results: a progress line on a terminal, then a table, the
/// failures and the last line.
enum SimulationReport {
  typealias Entry = (file: String, scenario: Scenario)

  static func run(_ scenarios: [Entry], _ options: SimulateCommand.Options) throws(UsageError) -> Int32 {
    let trace = try options.trace.map { path throws(UsageError) in try OutputFile(path) }
    Interrupt.listen()
    var summaries = scenarios.map { ScenarioSummary($0.scenario) }
    var results: [[RunResult]] = Array(repeating: [], count: scenarios.count)
    var crashed: [Workers.Crash] = []
    let begin = EventLoop.nanoseconds
    let total = scenarios.reduce(0) { $0 + SimulateCommand.seeds(options, of: $1.scenario).count }
    let progress = Progress(total: total)
    if options.jobs == 1 || options.trace != nil || total == 1 {
      for (index, entry) in scenarios.enumerated() {
        for seed in SimulateCommand.seeds(options, of: entry.scenario) where !Interrupt.isRequested {
          results[index].append(run(entry.scenario, seed, options, trace))
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
    if options.seeds != nil { noteOwnSeeds(scenarios) }
    if Interrupt.isRequested { print("interrupted after \(results.reduce(0) { $0 + $1.count }) of \(total) runs") }
    let files = ResultFiles(
      scenarios: scenarios, summaries: summaries, results: results, deaths: crashed, options: options)
    if options.printsAnnotations { for line in files.annotations { print(line) } }
    let code = FailureReport(scenarios, summaries, crashed, options).print()
    try trace?.close()
    if let path = options.junit { try OutputFile.write(files.junit, to: path) }
    if let path = options.json { try OutputFile.write(files.json.text + "\n", to: path) }
    return Interrupt.isRequested ? max(code, 1) : code
  }

  private static func run(
    _ scenario: Scenario, _ seed: UInt64, _ options: SimulateCommand.Options, _ trace: OutputFile?
  ) -> RunResult {
    let sink = trace.map { file in { (event: TraceEvent) in file.write(event.json.text + "\n") } }
    return ScenarioRunner(scenario).run(seed: seed, RunOptions(strategy: options.strategy, sink: sink))
  }

  private static func noteOwnSeeds(_ scenarios: [Entry]) {
    let count = scenarios.count { $0.scenario.hasOneSeed }
    guard count > 0 else { return }
    print("\(count) of the scenarios \(count == 1 ? "is" : "are") about one seed, and ran with that one alone")
  }

  /// Counters in words, such as "requests 12, successes 10".
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
}

/// A line that is rewritten in place, on a terminal only.
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
