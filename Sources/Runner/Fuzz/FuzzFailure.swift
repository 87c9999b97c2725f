import Simulation
import Glibc
import Real
import Sim
import System

/// A failure that was found, shrunk, and written as a scenario file that replays it.
struct FuzzFailure {
  /// A run that broke a promise.
  struct Broken {
    let oracle: String
    let promise: String
    let events: [String]
    let run: RunResult

    /// The first violation in the outcome of a case that matches.
    init?(_ outcome: FuzzWorker.Outcome, goal: FuzzWorker.Goal?) {
      for result in outcome.results where goal?.isMet(by: result) ?? true {
        for violation in result.violations where goal == nil || violation.oracle == goal!.oracle {
          self.oracle = violation.oracle
          promise = violation.promise
          events = violation.events
          run = result
          return
        }
      }
      if let seed = outcome.stuckIn, goal == nil || goal!.oracle == "ends" {
        self.oracle = "ends"
        promise = "every run ends"
        events = ["the run used up its processor time and had not ended"]
        run = RunResult(diedWith: seed)
        return
      }
      guard let seed = outcome.diedIn, goal == nil || goal!.oracle == "no-trap" else { return nil }
      self.oracle = "no-trap"
      promise = "the system never traps"
      events = ["the process died in this run"]
      run = RunResult(diedWith: seed)
    }
  }

  private(set) var broken: Broken
  private(set) var scenario: JSONValue
  let file: String
  let stepsBefore: Int
  let deedsBefore: Int
  private(set) var tried = 0
  private(set) var seconds = 0.0

  init(_ broken: Broken, _ one: FuzzWorker.Case, file: String) {
    self.broken = broken
    scenario = one.json
    self.file = file
    stepsBefore = broken.run.steps
    deedsBefore = broken.run.deeds
  }

  /// Shrinks the scenario for a limited time, on several processes.
  mutating func shrink(for time: Duration, jobs: Int, runLimit: Duration) {
    let begin = EventLoop.nanoseconds
    let limit = begin + time.nanoseconds
    let workers = (0..<jobs).map { _ in FuzzWorker(runLimit: runLimit) }
    let (oracle, file) = (broken.oracle, file)
    var last = broken
    let failing = Shrinker.Failing(scenario: scenario, run: broken.run)
    let isOver = { EventLoop.nanoseconds > limit || Interrupt.isRequested }
    var shrinker = Shrinker(failing, oracle: oracle, isOver: isOver) { candidates in
      Self.firstFailing(candidates, workers, oracle: oracle, until: limit).map { index, found in
        last = found
        // After an interruption, the smallest failure so far is kept.
        do throws(UsageError) {
          try OutputFile.write(Self.text(candidates[index].scenario, found, file), to: file)
        } catch {
          standardError("parley: \(error.message)")
        }
        return (index, Shrinker.Failing(scenario: candidates[index].scenario, run: found.run))
      }
    }
    shrinker.run()
    scenario = shrinker.best.scenario
    broken = last
    tried = shrinker.tried
    seconds = Double(EventLoop.nanoseconds - begin) / 1e9
  }

  /// Tries one candidate on each worker. The first candidate that fails, by position, is taken. The
  /// first round is tried even after the time limit, unless interrupted.
  private static func firstFailing(
    _ candidates: ArraySlice<Shrinker.Candidate>, _ workers: [FuzzWorker], oracle: String, until limit: Int64
  ) -> (Int, Broken)? {
    func goal(_ candidate: Shrinker.Candidate) -> FuzzWorker.Goal {
      .init(oracle: oracle, maximumSteps: candidate.maximumSteps)
    }
    guard !Interrupt.isRequested else { return nil }
    var rest = candidates
    repeat {
      let batch = rest.prefix(workers.count)
      rest = rest.dropFirst(workers.count)
      for (worker, candidate) in zip(workers, batch) {
        worker.start(.init(json: candidate.scenario, seeds: candidate.seeds, goal: goal(candidate)))
      }
      var found: (Int, Broken)?
      for (worker, index) in zip(workers, batch.indices) {
        var outcome: FuzzWorker.Outcome?
        while outcome == nil {
          guard !Interrupt.isRequested else { return nil }
          outcome = worker.isReadable(within: 250) ? worker.receive()?.1 : worker.stopIfStuck()?.1
        }
        if found == nil, let broken = Broken(outcome!, goal: goal(candidates[index])) { found = (index, broken) }
      }
      if let found { return found }
    } while !rest.isEmpty && EventLoop.nanoseconds < limit
    return nil
  }

  /// The scenario file, with a comment about the failure.
  var text: String { Self.text(scenario, broken, file) }

  private static func text(_ scenario: JSONValue, _ broken: Broken, _ file: String) -> String {
    var lines = ["\(broken.oracle): \(broken.promise)"] + broken.events
    lines.append("replay: parley simulate \(file)")
    var members = (scenario.members ?? []).filter { $0.name != "seed" && $0.name != "strategy" }
    members.insert(.init("seed", .int(Int64(broken.run.seed))), at: min(1, members.count))
    if scenario["plant"] != nil { members.append(.init("fails", [.string(broken.oracle)])) }
    if let strategy = scenario["strategy"], strategy.string != StrategyName.random.rawValue {
      members.insert(.init("strategy", strategy), at: min(2, members.count))
    }
    return lines.flatMap { $0.split(separator: "\n") }.map { "// \($0)\n" }.joined()
      + JSONValue.object(members).pretty() + "\n"
  }
}
