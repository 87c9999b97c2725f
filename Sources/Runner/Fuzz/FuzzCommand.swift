import Simulation
import Glibc
import Real
import Sim
import System

/// `parley fuzz`: draws scenarios, runs each in a child process, shrinks failures, and writes them
/// to files.
enum FuzzCommand {
  static let usage = """
    parley fuzz [SCENARIO…] [FLAGS]

    Draws random scenarios: the people, their actions, the faults. Varies the given scenarios instead, if there
    are any. Shrinks each failure and writes it to DIR as a scenario file, which `parley simulate` replays and
    `parley explain` explains. DIR/index.html is a summary. The last line is always `N passed, N failed`.

    \(bugs)
    """

  private static var bugs: String {
    let names = Scenario.UnknownBug.known
    guard !names.isEmpty else {
      return "This binary is built without planted bugs; --plant needs a binary built by scripts/run."
    }
    return "The bugs for --plant:\n" + names.map { "  \($0)" }.joined(separator: "\n")
  }

  static let flags = [
    Flag(name: "time", placeholder: "TIME", help: "duration; default 60s without --seeds"),
    Flag(name: "seeds", placeholder: "N", help: "number of scenarios"),
    Flag(name: "first", placeholder: "N", help: "number of the first scenario; default: from the clock"),
    Flag(name: "jobs", placeholder: "N", help: "number of processes; default: one for each core"),
    Flag(
      name: "strategy", placeholder: "S",
      help: StrategyName.list + "; default: a mix"),
    Flag(name: "out", placeholder: "DIR", help: "directory of failures; default parley-fuzz"),
    Flag(name: "dry-run", placeholder: nil, help: "print the drawn scenarios, one a line, and run none; needs --seeds"),
    Flag(name: "all", placeholder: nil, help: "continue after a failure, and collect one for each oracle"),
    Flag(
      name: "plant", placeholder: "BUG", help: "plant a bug in each drawn scenario, to test the search; repeatable",
      isRepeatable: true),
    Flag(
      name: "run-limit", placeholder: "TIME", help: "processor time after which a run counts as endless; default 30s"),
    Flag(name: "shrink-time", placeholder: "TIME", help: "maximum time to shrink a failure; default 60s"),
  ]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    var options = Fuzzer.Options()
    if arguments.has("time"), arguments.has("seeds") { throw UsageError("--time and --seeds exclude each other") }
    options.count = try arguments.int("seeds", in: 1...Int.max)
    options.time = try arguments.time("time") ?? (options.count == nil ? .seconds(60) : nil)
    options.shrinkTime = try arguments.time("shrink-time") ?? options.shrinkTime
    options.runLimit = try arguments.time("run-limit") ?? options.runLimit
    options.first = UInt64(
      try arguments.int("first", in: 0...1_000_000_000) ?? Int(EventLoop.nanoseconds / 1000 % 900_000_000))
    options.jobs = try arguments.int("jobs", in: 1...256) ?? Processors.count
    options.strategy = try arguments.strategy()
    options.folder = arguments.value("out") ?? "parley-fuzz"
    options.collectsAll = arguments.has("all")
    options.planted = arguments.values["plant"] ?? []
    for name in options.planted {
      var settings = Scenario.ServiceSettings()
      do throws(Scenario.UnknownBug) { try settings.plant(name) } catch {
        throw UsageError("--plant: \(error); `parley help fuzz` lists the bugs")
      }
    }
    if !arguments.words.isEmpty {
      for file in try ScenarioFiles.find(arguments.words) { options.given.append(try read(file)) }
    }
    if arguments.has("dry-run") {
      guard options.count != nil else { throw UsageError("--dry-run needs --seeds") }
      Fuzzer(options).printScenarios()
      return 0
    }
    if mkdir(options.folder, 0o755) != 0 {
      let reason = errno == EEXIST && ScenarioFiles.isFolder(options.folder) == false ? ENOTDIR : errno
      guard reason == EEXIST, access(options.folder, W_OK) == 0 else {
        throw UsageError("--out \(options.folder): \(String(cString: strerror(reason == EEXIST ? errno : reason)))")
      }
    }
    return Fuzzer(options).run()
  }

  private static func read(_ file: String) throws(UsageError) -> ScenarioDraw.Given {
    let (bytes, _) = try ScenarioFiles.read(file)
    guard let (json, _) = try? JSONParser.parseNotingPositions(bytes, as: .json5), let given = ScenarioDraw.Given(json)
    else { throw UsageError("\(file): not JSON5") }
    return given
  }
}
