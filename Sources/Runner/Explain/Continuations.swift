import Glibc
import Real
import Sim
import Simulation
import System

/// Estimates when a failure of a run became inevitable, by continuations of it in child processes.
/// See `Likelihood`.
final class Continuations {
  private let json: JSONValue
  private let seed: UInt64
  private let oracle: String
  private let limit: Duration
  private let workers = WorkerPool(Processors.count)
  private let begin = EventLoop.nanoseconds
  private(set) var likelihood: Likelihood
  /// The continuations that have not been started.
  private var waiting: [Branch] = []
  private var lastLine: Int64 = 0
  private(set) var runs = 0

  /// Continues the run of a scenario with a seed, which broke `oracle` and took `steps` steps.
  init(_ json: JSONValue, seed: UInt64, steps: Int, oracle: String, limit: Duration) {
    self.json = json
    self.seed = seed
    self.oracle = oracle
    self.limit = limit
    likelihood = Likelihood(steps: steps)
  }

  private var seconds: Double { Double(EventLoop.nanoseconds - begin) / 1e9 }
  /// Whether time ran out before the estimate was complete.
  private(set) var isCutShort = false

  /// Runs continuations until the estimate is complete or the time is up.
  func run() {
    Interrupt.listen()
    while !Interrupt.isRequested {
      if seconds > limit.inSeconds {
        isCutShort = true
        break
      }
      refill()
      workers.fill { waiting.popLast().map(start) }
      if workers.isIdle { break }
      workers.wait(take)
      showProgress()
    }
    workers.stop()
    if isatty(2) == 1 { writeToStandardError("\r\u{1B}[K") }
  }

  /// The next request depends on all answers to the one before.
  private func refill() {
    guard waiting.isEmpty, workers.isIdle, let request = likelihood.next else { return }
    waiting = request.seeds.reversed().map { Branch(step: request.step, seed: $0) }
  }

  private func start(_ branch: Branch) -> FuzzWorker.Case {
    let branches = (json["branches"]?.array ?? []) + [.string(branch.text)]
    return FuzzWorker.Case(
      number: UInt64(branch.step), json: json.setting("branches", .array(branches)), seeds: seed...seed)
  }

  private func take(_ one: FuzzWorker.Case, _ outcome: FuzzWorker.Outcome) {
    runs += 1
    let goal = FuzzWorker.Goal(oracle: oracle, maximumSteps: .max)
    likelihood.add(Int(one.number), failed: FuzzFailure.Broken(outcome, goal: goal) != nil)
  }

  private func showProgress() {
    let now = EventLoop.nanoseconds
    guard isatty(2) == 1, now - lastLine > 200_000_000 else { return }
    lastLine = now
    let share = Int(min(1, seconds / max(0.001, limit.inSeconds)) * 100)
    writeToStandardError("\r\u{1B}[K\(runs) continuations, \(likelihood.points.count) steps, \(share) % of the time")
  }
}
