import Simulation
import Glibc
import Sim
import System

/// `parley simulate`: runs scenario files with many seeds, in one process or several.
enum SimulateCommand {
  static let usage = """
    parley simulate PATH… [FLAGS]

    Runs scenario files, and all files in folders, in the simulator. For each failure it prints the oracle,
    the broken promise, the seed, and the command that replays it. The last line is always
    `N passed, N failed`.

    The expectations of a scenario are for ten seeds, and scale with their number. With fewer seeds they are
    reported and do not fail. Recordings, and lessons about planted bugs, run with their own seed.
    With 100 or more, a demand that ten other seeds may miss by chance is a failure.
    """

  /// Not a strategy of a run: it runs all schedules.
  private static let exhaustive = "exhaustive"

  static let flags = [
    Flag(name: "seed", placeholder: "N", help: "one seed"),
    Flag(name: "seeds", placeholder: "A...B", help: "a range of seeds; default: the scenario's own, or 1...10"),
    Flag(name: "jobs", placeholder: "N", help: "number of processes; default: one for each core"),
    Flag(
      name: "strategy", placeholder: "S",
      help: StrategyName.list + ", \(exhaustive) (all schedules); without one the scenario's own, or random"),
    Flag(
      name: "preemptions", placeholder: "N",
      help: "with strategy exhaustive: maximum number of preemptions; default: no limit"),
    Flag(
      name: "schedules", placeholder: "N",
      help: "with strategy exhaustive: maximum number of schedules of a scenario; default 10000"),
    Flag(name: "trace", placeholder: "FILE", help: "write all events of one run as JSON lines"),
    Flag(name: "junit", placeholder: "FILE", help: "write a report in JUnit's format"),
    Flag(name: "json", placeholder: "FILE", help: "write a report as JSON"),
    Flag(
      name: "annotations", placeholder: nil,
      help: "print a workflow command (::error file=…) for each cause of failures, for GitHub's runners"),
    Flag(name: "hashes", placeholder: nil, help: "print FILE SEED HASH for each run"),
    Flag(name: "counts", placeholder: nil, help: "print the counters of all seeds of a scenario, one line for each"),
    Flag(
      name: "worker", placeholder: "K/N/D",
      help:
        "run every N-th seed from the K-th on except the first D, and print results as JSON; used by --jobs"),
    Flag(name: "cases", placeholder: nil, help: "run scenarios from standard input; used by fuzz"),
  ]

  struct Options {
    var files: [String]
    /// The requested seeds. The default is the scenario's own seed, or the first ten.
    var seeds: ClosedRange<UInt64>?
    var jobs: Int
    /// The requested strategy. The default is the scenario's own.
    var strategy: StrategyName?
    var trace: String?
    /// The files of reports.
    var junit: String?
    var json: String?
    var printsAnnotations = false
    var printsHashes = false
    var printsCounts = false
    var worker: (index: Int, count: Int, done: Int)?
  }

  static func seeds(_ options: Options, of scenario: Scenario) -> ClosedRange<UInt64> {
    guard let own = scenario.seed.map({ $0...$0 }) else { return options.seeds ?? 1...10 }
    return scenario.hasOneSeed ? own : options.seeds ?? own
  }

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    if arguments.has("cases") {
      CaseRunner.run()
      return 0
    }
    let options = try options(arguments)
    let scenarios = try ScenarioFiles.read(options.files)
    if options.trace != nil, seeds(options, of: scenarios[0].scenario).count > 1 {
      throw UsageError("--trace requires one scenario and one --seed")
    }
    if arguments.value("strategy") == exhaustive {
      return ExhaustiveReport.run(
        scenarios, options, preemptions: try arguments.int("preemptions", in: 0...1000),
        limit: try arguments.int("schedules", in: 1...Int.max) ?? 10_000)
    }
    if let worker = options.worker {
      work(scenarios, options, worker)
      return 0
    }
    return try SimulationReport.run(scenarios, options)
  }

  private static func options(_ arguments: Arguments) throws(UsageError) -> Options {
    guard !arguments.words.isEmpty else {
      throw UsageError("missing scenarios; write for example: parley simulate scenarios")
    }
    let cores = Processors.count
    var options = Options(
      files: try ScenarioFiles.find(arguments.words), jobs: try arguments.int("jobs", in: 1...256) ?? cores)
    if let seed = try arguments.seed() { options.seeds = seed...seed }
    if let text = arguments.value("seeds") { options.seeds = try seeds(text) }
    if arguments.has("seed"), arguments.has("seeds") { throw UsageError("--seed and --seeds exclude each other") }
    if arguments.value("strategy") != exhaustive {
      options.strategy = try arguments.strategy()
      for flag in ["preemptions", "schedules"] where arguments.has(flag) {
        throw UsageError("--\(flag) requires --strategy \(exhaustive)")
      }
    }
    options.trace = arguments.value("trace")
    if options.trace != nil, options.files.count > 1 {
      throw UsageError("--trace requires one scenario and one --seed")
    }
    options.junit = arguments.value("junit")
    options.json = arguments.value("json")
    options.printsAnnotations = arguments.has("annotations")
    options.printsHashes = arguments.has("hashes")
    options.printsCounts = arguments.has("counts")
    if let text = arguments.value("worker") {
      let parts = text.split(separator: "/").compactMap { Int($0) }
      guard parts.count == 3, parts[1] > 0, (0..<parts[1]).contains(parts[0]), parts[2] >= 0 else {
        throw UsageError("--worker: K/N/D")
      }
      options.worker = (parts[0], parts[1], parts[2])
    }
    return options
  }

  private static let mostSeeds: Int64 = 100_000_000

  static func seeds(_ text: String) throws(UsageError) -> ClosedRange<UInt64> {
    let ends = text.split(separator: "...", omittingEmptySubsequences: false).map { Int64($0) }
    guard ends.count == 2, let low = ends[0], let high = ends[1], low >= 0, low <= high else {
      throw UsageError("--seeds: \"\(text)\" is not a range; write for example 1...200")
    }
    guard high - low < mostSeeds else { throw UsageError("--seeds: \"\(text)\" is more than \(mostSeeds) seeds") }
    return UInt64(low)...UInt64(high)
  }

  /// Runs a share of the seeds of every scenario, and prints a line of JSON for each.
  private static func work(
    _ scenarios: [(file: String, scenario: Scenario)], _ options: Options, _ worker: (index: Int, count: Int, done: Int)
  ) {
    Interrupt.leaveToParent()
    var number = 0
    for (index, entry) in scenarios.enumerated() {
      for seed in seeds(options, of: entry.scenario) {
        defer { number += 1 }
        guard number % worker.count == worker.index, number / worker.count >= worker.done else { continue }
        WorkerLine.write(.begin(scenario: index, seed: seed))
        let result = ScenarioRunner(entry.scenario).run(seed: seed, RunOptions(strategy: options.strategy))
        WorkerLine.write(.result(scenario: index, result))
      }
    }
  }
}
