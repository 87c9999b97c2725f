import Glibc
import Real
import Sim
import System

/// The search: cases in child processes, a line of progress, failures shrunk and written down.
final class Fuzzer {
  struct Given {
    let json: JSONValue
    let nodes: [String]
    let seconds: Int
  }

  struct Options {
    var count: Int?
    var time: Duration?
    var shrinkTime: Duration = .seconds(60)
    var first: UInt64 = 0
    var jobs = 1
    var strategy: StrategyName?
    var folder = "parley-fuzz"
    var collectsAll = false
    var given: [Given] = []
  }

  private final class Case {
    let number: UInt64
    let json: JSONValue
    let strategy: StrategyName
    let file: String
    let process: pid_t
    let pipe: Int32
    var text: [UInt8] = []

    init(_ number: UInt64, _ json: JSONValue, _ strategy: StrategyName, _ file: String, seeds: ClosedRange<UInt64>) {
      self.number = number
      self.json = json
      self.strategy = strategy
      self.file = file
      Fuzzer.write(json.pretty() + "\n", to: file)
      (process, pipe) = ChildProcess.start([
        "parley", "simulate", file, "--seeds", "\(seeds.lowerBound)...\(seeds.upperBound)", "--strategy",
        strategy.rawValue, "--worker", "0/1",
      ])
    }

    /// The results that came, and whether the child died in the midst of a run, and of which seed.
    func finish() -> (results: [RunResult], diedIn: UInt64?) {
      close(pipe)
      var status: Int32 = 0
      waitpid(process, &status, 0)
      unlink(file)
      var results: [RunResult] = []
      var running: UInt64?
      for line in text.split(separator: 10) {
        switch WorkerLine(Array(line)) {
        case .begin(_, let seed): running = seed
        case .result(_, let result):
          running = nil
          results.append(result)
        case nil: continue
        }
      }
      return (results, status == 0 ? nil : running)
    }
  }

  private struct Failure {
    let oracle: String
    let promise: String
    let events: [String]
    let seed: UInt64
  }

  private let options: Options
  private let begin = EventLoop.nanoseconds
  private var running: [Case] = []
  private var next: UInt64
  private var passed = 0
  private var failed = 0
  private var simulated = 0.0
  private var counts: [Counter: Int] = [:]
  private var oracles: Set<String> = []
  private var lastLine: Int64 = 0

  init(_ options: Options) {
    self.options = options
    next = options.first
  }

  private var seconds: Double { Double(EventLoop.nanoseconds - begin) / 1e9 }

  func run() -> Int32 {
    print("scenarios from number \(options.first) on; the same again: parley fuzz --first \(options.first)")
    while hasMore || !running.isEmpty {
      while hasMore, running.count < options.jobs { startNext() }
      if let done = waitForOne() { take(done) }
      showProgress()
    }
    clearProgress()
    printCoverage()
    print("\(passed) passed, \(failed) failed")
    return failed == 0 ? 0 : 1
  }

  private var hasMore: Bool {
    if failed > 0, !options.collectsAll { return false }
    if let count = options.count { return next - options.first < UInt64(count) }
    return seconds < options.time!.inSeconds
  }

  // MARK: Cases

  private func startNext() {
    let number = next
    next += 1
    let draw = ScenarioDraw(seed: number)
    let json: JSONValue
    if options.given.isEmpty {
      json = draw.scenario(number)
    } else {
      let given = options.given[Int(number % UInt64(options.given.count))]
      json = draw.variation(of: given.json, nodes: given.nodes, seconds: given.seconds)
    }
    let strategies = StrategyName.allCases
    let strategy = options.strategy ?? strategies[Int(number / 4) % strategies.count]
    running.append(Case(number, json, strategy, "\(options.folder)/case-\(number).json5", seeds: number...number))
  }

  private func waitForOne() -> Case? {
    var descriptors = running.map { pollfd(fd: $0.pipe, events: Int16(POLLIN), revents: 0) }
    poll(&descriptors, nfds_t(descriptors.count), 250)
    var buffer = [UInt8](repeating: 0, count: 65_536)
    for (descriptor, one) in zip(descriptors, running) where descriptor.revents != 0 {
      let count = read(one.pipe, &buffer, buffer.count)
      if count > 0 {
        one.text += buffer[..<count]
      } else {
        running.removeAll { $0 === one }
        return one
      }
    }
    return nil
  }

  private func take(_ done: Case) {
    let (results, diedIn) = done.finish()
    for result in results {
      simulated += result.simulated.inSeconds
      for (counter, count) in result.counts { counts[counter, default: 0] += count }
    }
    guard let failure = Self.failure(results, diedIn, oracle: nil) else {
      if results.isEmpty {
        failed += 1
        print("\nFAILED scenario \(done.number): it could not be run")
      } else {
        passed += 1
      }
      return
    }
    failed += 1
    clearProgress()
    guard oracles.insert(failure.oracle).inserted else { return }
    report(failure, done)
  }

  private static func failure(_ results: [RunResult], _ diedIn: UInt64?, oracle: String?) -> Failure? {
    for result in results {
      for violation in result.violations where oracle == nil || violation.oracle == oracle {
        return Failure(
          oracle: violation.oracle, promise: violation.promise, events: violation.events, seed: result.seed)
      }
    }
    if let diedIn, oracle == nil || oracle == "no-trap" {
      return Failure(
        oracle: "no-trap", promise: "the system never traps", events: ["the process died in this run"], seed: diedIn)
    }
    return nil
  }

  // MARK: Failures

  private func report(_ failure: Failure, _ done: Case) {
    print("\nFAILED scenario \(done.number), seed \(failure.seed), \(done.strategy.rawValue)")
    print("  \(failure.oracle): \(failure.promise)")
    for event in failure.events { print("    \(event)") }
    var last = failure
    let file = "\(options.folder)/\(failure.oracle)-\(done.number).json5"
    let limit = EventLoop.nanoseconds + options.shrinkTime.nanoseconds
    var shrinker = Shrinker(done.json, seed: failure.seed) { [options] candidate in
      // Another shape is another run: a few seeds are tried with each.
      let seeds = last.seed...last.seed + 4
      let trial = Case(0, candidate, done.strategy, "\(options.folder)/candidate.json5", seeds: seeds)
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while case let count = read(trial.pipe, &buffer, buffer.count), count > 0 { trial.text += buffer[..<count] }
      let (results, diedIn) = trial.finish()
      guard let found = Self.failure(results, diedIn, oracle: failure.oracle) else { return nil }
      last = found
      return found.seed
    }
    Self.write(Self.text(shrinker.best.scenario, last, done.strategy, file), to: file)
    shrinker.run { EventLoop.nanoseconds > limit }
    Self.write(Self.text(shrinker.best.scenario, last, done.strategy, file), to: file)
    print("  shrunk in \(shrinker.tried) tries: \(file)")
    print("  replay: parley simulate \(file)\(Self.flag(done.strategy))")
  }

  private static func flag(_ strategy: StrategyName) -> String {
    strategy == .random ? "" : " --strategy \(strategy.rawValue)"
  }

  /// The scenario as a file, with what it shows above it.
  private static func text(_ scenario: JSONValue, _ failure: Failure, _ strategy: StrategyName, _ file: String)
    -> String
  {
    var lines = ["\(failure.oracle): \(failure.promise)"] + failure.events
    lines.append("replay: parley simulate \(file)\(flag(strategy))")
    var members = (scenario.members ?? []).filter { $0.name != "seed" }
    members.insert(.init("seed", .int(Int64(failure.seed))), at: min(1, members.count))
    return lines.flatMap { $0.split(separator: "\n") }.map { "// \($0)\n" }.joined()
      + JSONValue.object(members).pretty() + "\n"
  }

  private static func write(_ text: String, to path: String) {
    guard let file = fopen(path, "w") else {
      standardError("parley: \(path): \(String(cString: strerror(errno)))")
      exit(2)
    }
    fputs(text, file)
    fclose(file)
  }

  // MARK: Progress and coverage

  private func showProgress() {
    let now = EventLoop.nanoseconds
    let isTerminal = isatty(2) == 1
    guard now - lastLine > (isTerminal ? 200_000_000 : 10_000_000_000) else { return }
    lastLine = now
    let rate = Double(passed + failed) / max(seconds, 0.001)
    let line =
      "\(passed + failed) scenarios, \((rate * 10).rounded() / 10) a second, \(Int(simulated)) s simulated, \(counts.count) of \(Counter.allCases.count) counters reached, \(failed) failed"
    writeToStandardError(isTerminal ? "\r\u{1B}[K\(line)" : line + "\n")
  }

  private func clearProgress() { if isatty(2) == 1 { writeToStandardError("\r\u{1B}[K") } }

  /// What all runs reached together, and what none did.
  private func printCoverage() {
    let reached = Counter.allCases.filter { counts[$0, default: 0] > 0 }
    let missed = Counter.allCases.filter { counts[$0, default: 0] == 0 }
    print("reached: " + reached.map { "\($0.rawValue) \(counts[$0]!)" }.joined(separator: ", "))
    if !missed.isEmpty { print("never reached: " + missed.map(\.rawValue).joined(separator: ", ")) }
    print("\(Int(simulated)) s simulated in \(Int(seconds)) s")
  }
}
