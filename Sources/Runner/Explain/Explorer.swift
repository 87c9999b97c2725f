import Environment
import Sim
import Simulation
import System

/// The runs that a person explores, and what the pages of `parley explore` ask of them.
actor Explorer {
  /// The most runs that are kept.
  private static let mostRuns = 64

  private let environment: Environment
  private let serialExecutor: ActorExecutor
  /// Without the part that a number follows, such as `explored/name-`.
  private let files: String
  private var runs: [ExploredRun]
  /// Whether a branch is being made. One person explores, so the others wait for nothing.
  private var isBranching = false
  /// The secret in the URL. Loopback is shared by all users of the machine, so it gives no access.
  nonisolated let key: String

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment, _ run: ExploredRun, files: String) {
    self.environment = environment
    self.files = files
    runs = [run]
    key = Hex.encode(environment.entropy.bytes(16))
    serialExecutor = environment.executor.forActor("explorer")
  }

  /// Random bytes, for secrets.
  nonisolated func randomBytes(_ count: Int) -> [UInt8] { environment.entropy.bytes(count) }

  private func run(_ number: Int64) throws -> ExploredRun {
    guard runs.indices.contains(Int(number)) else { throw HTTPFailure(404, "there is no run \(number)") }
    return runs[Int(number)]
  }

  /// The page of a run.
  func page(_ number: Int64, nonce: String) throws -> String {
    let run = try run(number)
    let live = DiagramPage.Live(
      run: Int(number), steps: run.steps, runs: runs.map { ($0.title, $0.verdict) }, changes: run.changes,
      nonce: nonce)
    return DiagramPage.text(run.scenario, seed: run.seed, run.story, nil, run.record, live: live)
  }

  /// The state of the world at a step of a run.
  func moment(_ number: Int64, step: Int64) async throws -> JSONValue {
    let run = try run(number)
    let (json, seed) = (run.json, run.seed)
    return try await attempt { () throws(UsageError) in try Replay().look(json, seed: seed, after: Int(step)) }
  }

  /// Makes a branch of a run, writes its file and returns its number.
  func branch(_ number: Int64, _ branch: NewBranch) async throws -> JSONValue {
    let run = try run(number)
    guard branch.step <= run.steps else { throw HTTPFailure(400, "the run has \(run.steps) steps") }
    guard !isBranching else { throw HTTPFailure(409, "another branch is being made") }
    guard runs.count < Self.mostRuns else {
      throw HTTPFailure(409, "there are \(runs.count) runs; start again to go on")
    }
    isBranching = true
    defer { isBranching = false }
    let path = "\(files)\(runs.count).json5"
    let made = try await attempt { () throws(UsageError) in
      let made = try run.branch(branch)
      try OutputFile.write("// \(branch.title); \(made.verdict).\n\(made.json.pretty())\n", to: path)
      return made
    }
    runs.append(made)
    return [
      "run": .int(Int64(runs.count - 1)), "file": .string(path), "verdict": .string(made.verdict),
    ]
  }

  /// Runs children outside of the loop, which serves other requests meanwhile.
  private func attempt<R: Sendable>(_ work: @escaping @Sendable () throws(UsageError) -> R) async throws -> R {
    do {
      return try await environment.executor.offload(.compute, work)
    } catch let error as UsageError {
      throw HTTPFailure(400, error.message)
    }
  }
}
