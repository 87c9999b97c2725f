import Simulation
import Glibc
import Real
import Sim
import System

/// The search: cases in child processes, a progress line, and failures that are shrunk and written
/// to files.
///
/// A scenario that shows a new ordering of events is kept. Half of the later scenarios are
/// variations of kept ones.
final class Fuzzer {
  struct Options {
    var count: Int?
    var time: Duration?
    var shrinkTime: Duration = .seconds(60)
    /// The processor time after which a run counts as endless.
    var runLimit = FuzzWorker.defaultRunLimit
    var first: UInt64 = 0
    var jobs = 1
    var strategy: StrategyName?
    var folder = "parley-fuzz"
    var collectsAll = false
    var given: [ScenarioDraw.Given] = []
    var planted: [String] = []
  }

  private let options: Options
  private let begin = EventLoop.nanoseconds
  private let workers: WorkerPool
  private var next: UInt64
  private var passed = 0
  private var simulated = 0.0
  private var coverage = FuzzCoverage()
  private var failures: [FuzzFailure] = []
  /// Cases that failed like an earlier one, or could not be run.
  private var others = 0
  /// The scenarios that showed a new ordering.
  private var kept: [ScenarioDraw.Given] = []
  private static let keptAtMost = 200
  private var samples: [FuzzSample] = []
  /// Whether a file could not be written.
  private var isIncomplete = false
  private var lastLine: Int64 = 0

  init(_ options: Options) {
    self.options = options
    next = options.first
    workers = WorkerPool(options.jobs, runLimit: options.runLimit)
  }

  private var seconds: Double { Double(EventLoop.nanoseconds - begin) / 1e9 }
  private var failed: Int { failures.count + others }

  func run() -> Int32 {
    Interrupt.listen()
    print("scenarios starting with number \(options.first)")
    while !Interrupt.isRequested, hasMore || !workers.isIdle {
      workers.fill { hasMore ? nextCase() : nil }
      workers.wait(take)
      showProgress()
    }
    workers.stop()
    note()
    clearProgress()
    if Interrupt.isRequested { print("interrupted") }
    for line in coverage.report { print(line) }
    print("\(Int(simulated)) s simulated in \(Int(seconds)) s")
    let page = "\(options.folder)/index.html"
    write(FuzzPage.text(samples, coverage, failures), to: page)
    print("summary: \(page)")
    print("\(passed) passed, \(failed) failed")
    return isIncomplete ? 2 : failed == 0 ? 0 : 1
  }

  /// Prints the drawn scenarios, one a line, and runs none. Kept ones are not varied, since no run
  /// shows which to keep.
  func printScenarios() {
    while hasMore { print(nextCase().json.text) }
  }

  private func write(_ text: String, to path: String) {
    do throws(UsageError) {
      try OutputFile.write(text, to: path)
    } catch {
      isIncomplete = true
      standardError("parley: \(error.message)")
    }
  }

  private var hasMore: Bool {
    if failed > 0, !options.collectsAll { return false }
    if let count = options.count { return next - options.first < UInt64(count) }
    return seconds < options.time!.inSeconds
  }

  // MARK: Cases

  private func nextCase() -> FuzzWorker.Case {
    let number = next
    next += 1
    let draw = ScenarioDraw(seed: number, planted: options.planted)
    let json: JSONValue
    if !kept.isEmpty, number % 2 == 1 {
      json = draw.variation(of: kept[Int(number / 2 % UInt64(kept.count))])
    } else if !options.given.isEmpty {
      json = draw.variation(of: options.given[Int(number / 2 % UInt64(options.given.count))])
    } else {
      json = draw.scenario(number)
    }
    let strategies = StrategyName.allCases
    let strategy = options.strategy ?? strategies[Int(number / 4) % strategies.count]
    return FuzzWorker.Case(
      number: number, json: json.setting("strategy", .string(strategy.rawValue)), seeds: number...number)
  }

  private func take(_ one: FuzzWorker.Case, _ outcome: FuzzWorker.Outcome) {
    var showsNew = false
    for result in outcome.results {
      simulated += result.simulated.inSeconds
      if coverage.add(result) > 0 { showsNew = true }
    }
    if showsNew, let given = ScenarioDraw.Given(one.json) {
      if kept.count == Self.keptAtMost { kept.removeFirst() }
      kept.append(given)
    }
    if let refusal = outcome.refusal {
      others += 1
      print("\nFAILED scenario \(one.number): it could not run: \(refusal)")
    } else if let broken = FuzzFailure.Broken(outcome, goal: nil) {
      clearProgress()
      if failures.contains(where: { $0.broken.oracle == broken.oracle }) {
        others += 1
      } else {
        failures.append(report(broken, one))
      }
    } else {
      passed += 1
    }
  }

  // MARK: Failures

  private func report(_ broken: FuzzFailure.Broken, _ one: FuzzWorker.Case) -> FuzzFailure {
    print("\nFAILED scenario \(one.number), seed \(broken.run.seed), \(one.json["strategy"]?.string ?? "")")
    print("  \(broken.oracle): \(broken.promise)")
    for event in broken.events { print("    \(event)") }
    var failure = FuzzFailure(broken, one, file: "\(options.folder)/\(broken.oracle)-\(one.number).json5")
    write(failure.text, to: failure.file)
    failure.shrink(for: options.shrinkTime, jobs: options.jobs, runLimit: options.runLimit)
    write(failure.text, to: failure.file)
    let run = failure.broken.run
    print(
      "  shrunk from \(failure.stepsBefore) to \(run.steps) steps, \(failure.deedsBefore) to \(run.deeds) actions and faults, in \(failure.tried) tries, \(Int(failure.seconds)) s: \(failure.file)"
    )
    print("  replay: \(Command.program) simulate \(failure.file)")
    print("  explain: \(Command.program) explain \(failure.file)")
    return failure
  }

  // MARK: Progress

  private func note() {
    samples.append(
      FuzzSample(
        seconds: seconds, runs: passed + failed, simulated: simulated, orderings: coverage.count, failures: failed))
  }

  private func showProgress() {
    if seconds - (samples.last?.seconds ?? -1) >= 1 { note() }
    let now = EventLoop.nanoseconds
    let isTerminal = isatty(2) == 1
    guard now - lastLine > (isTerminal ? 200_000_000 : 10_000_000_000) else { return }
    lastLine = now
    let rate = Double(passed + failed) / max(seconds, 0.001)
    let line =
      "\(passed + failed) scenarios, \((rate * 10).rounded() / 10) a second, \(Int(simulated)) s simulated, \(coverage.count) orderings seen, \(failed) failed"
    writeToStandardError(isTerminal ? "\r\u{1B}[K\(line)" : line + "\n")
  }

  private func clearProgress() { if isatty(2) == 1 { writeToStandardError("\r\u{1B}[K") } }
}

/// The state of a search at a moment.
struct FuzzSample {
  let seconds: Double
  let runs: Int
  let simulated: Double
  let orderings: Int
  let failures: Int
}
