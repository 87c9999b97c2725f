import Environment
import Simulation
import Sim
import System

/// Measures the speed of the simulator. `scripts/bench` runs it.
actor Echo {
  nonisolated let executor: ActorExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.unowned }
  private var heard = 0

  init(_ environment: Environment) { executor = environment.executor.forActor("echo") }

  func hear() { heard += 1 }
}

let clock = ContinuousClock()

print("reference_hashing_steps_per_second \(Int(Reference.best { Reference.hashing() }))")

let world = World(seed: 1)
for name in 0..<8 {
  world.addNode("node-\(name)") { environment in
    let echoes = (0..<8).map { _ in Echo(environment) }
    await withTaskGroup(of: Void.self) { group in
      for start in 0..<8 {
        group.addTask { for round in 0..<20_000 { await echoes[(start + round) % 8].hear() } }
      }
    }
    return nil
  }.start()
}
let took = clock.measure { world.run(until: .seconds(1)) }
print("scheduler_steps_per_second \(Int(Double(world.scheduler.steps) / took.inSeconds))")

let scenario = try Scenario(
  parsing: Array("{ name: 'hour', run: '1h', people: [{ name: 'p', count: 100, thinkTime: '5s' }] }".utf8), file: "hour"
)
let hour = clock.now
let result = ScenarioRunner(scenario).run(seed: 1)
let seconds = (clock.now - hour).inSeconds
print("times_faster_than_real_time \(Int(result.simulated.inSeconds / seconds))")
print("simulated_requests_per_second \(Int(Double(result.counts[.requests] ?? 0) / seconds))")

let worlds = 200
let setUp = clock.measure {
  for seed in 0..<UInt64(worlds) {
    let world = World(seed: seed)
    world.addNode("users") { environment in
      var options = UserServiceOptions()
      options.address = SocketAddress(host: "users", port: 8001)
      return try await UserService.start(environment, options)
    }.start()
    for person in 0..<100 { world.addNode("p\(person)") { _ in nil }.start() }
    world.run(until: .seconds(1)) { world.node("users")!.isServing }
  }
}
print("world_set_up_milliseconds \((setUp.inSeconds * 100_000 / Double(worlds)).rounded() / 100)")
// Must come after the first world, which configures SQLite: SQLite cannot be configured after its
// first use.
print("reference_commits_per_second \(Int(Reference.best { Reference.commits() }))")

/// Runs a scenario with each seed. Returns the elapsed and the simulated seconds. The fastest of
/// several rounds counts for each run, since the machine is shared.
func run(
  _ text: String, seeds: ClosedRange<UInt64>, rounds: Int = 3, _ options: () -> RunOptions = { RunOptions() }
) throws -> (took: Double, simulated: Double) {
  let runner = ScenarioRunner(try Scenario(parsing: Array(text.utf8), file: "bench"))
  var (took, simulated) = (0.0, 0.0)
  for seed in seeds {
    var best = Double.infinity
    for round in 0..<rounds {
      let begin = clock.now
      let result = runner.run(seed: seed, options())
      best = min(best, (clock.now - begin).inSeconds)
      require(result.violations.isEmpty, "\(result.violations)")
      if round == 0 { simulated += result.simulated.inSeconds }
    }
    took += best
  }
  return (took, simulated)
}

let chatting = try run(
  """
  { name: "chatting", topology: { chat: 1 }, run: "60s", network: { stalls: 0.01 },
    people: [{ name: "ann", role: "chat", count: 50, devices: 1, thinkTime: "5s" }],
    faults: [{ from: "10s", every: "15s", crash: "chat", restartAfter: "100ms…1s" }, { from: "10s", every: "10s", reset: "chat" }] }
  """, seeds: 1...3)
print("chat_times_faster_than_real_time \(Int(chatting.simulated / chatting.took))")

let sessions = try run(
  """
  { name: "sessions", topology: { supervisorHosts: 3 }, run: "60s",
    people: [{ name: "cora", role: "customer", count: 10, users: 2, thinkTime: "5s" }, { name: "ann", role: "user", count: 22, thinkTime: "5s" }],
    faults: [{ from: "10s", every: "20s", crash: "supervisor-1" }] }
  """, seeds: 1...3)
print("sessions_times_faster_than_real_time \(Int(sessions.simulated / sessions.took))")

// The default size of a fuzzing run: ten people, mean think time 2 s, 30 simulated seconds, faults.
// One run of each kind. The heartbeats are those that `fuzz` draws, since they determine how long a
// run waits at its end for lost peers to be noticed.
let drawn = [
  """
  { name: "a", run: "30s", people: [{ name: "ann", count: 10, thinkTime: "2s" }],
    faults: [{ from: "4s", every: "8s", crash: "users", restartAfter: "100ms…1s" }] }
  """,
  """
  { name: "c", topology: { chat: 1 }, run: "30s", service: { pingInterval: "5s", pingTimeout: "3s" },
    people: [{ name: "ann", role: "chat", count: 10, thinkTime: "2s" }],
    faults: [{ from: "4s", every: "8s", crash: "chat", restartAfter: "100ms…1s" }] }
  """,
  """
  { name: "s", topology: { supervisorHosts: 2 }, run: "30s", service: { pingInterval: "5s", pingTimeout: "3s" },
    people: [{ name: "cora", role: "customer", count: 3, users: 2, thinkTime: "2s" }, { name: "ann", role: "user", count: 7, thinkTime: "2s" }],
    faults: [{ from: "4s", every: "8s", crash: "manager", restartAfter: "100ms…1s" }] }
  """,
]
var spent = 0.0
for text in drawn { spent += try run(text, seeds: 1...20).took }
print("fuzzing_runs_per_second_on_one_core \(Int(60 / spent))")

/// Returns by how many percent a run takes longer with an option. The minimum of several rounds in
/// turns counts.
func cost(of text: String, seeds: ClosedRange<UInt64>, with: () -> RunOptions, without: () -> RunOptions) throws -> Int
{
  var best = (with: Double.infinity, without: Double.infinity)
  for _ in 0..<5 {
    best.without = min(best.without, try run(text, seeds: seeds, rounds: 1, without).took)
    best.with = min(best.with, try run(text, seeds: seeds, rounds: 1, with).took)
  }
  return Int(((best.with / best.without - 1) * 100).rounded())
}

let hashes = try cost(of: drawn[1], seeds: 1...10, with: { RunOptions() }) {
  var options = RunOptions()
  options.isHashed = false
  return options
}
print("hashes_cost_percent \(hashes)")
let traced = try cost(
  of: drawn[1], seeds: 1...10,
  with: {
    let record = RunRecord()
    return RunOptions { record.note($0) }
  }, without: { RunOptions() })
print("trace_costs_percent \(traced)")

// A typical candidate of shrinking: a small world for ten simulated seconds.
let candidate = try run(
  """
  { name: "candidate", run: "10s", people: [{ name: "ann", count: 3, thinkTime: "2s" }],
    faults: [{ at: "4s", crash: "users", restartAfter: "100ms…1s" }] }
  """, seeds: 1...300)
print("candidates_per_second_on_one_core \(Int(300 / candidate.took))")

/// A register, the usual example of a linearizable object.
enum Register: SequentialModel {
  enum Input {
    case write(Int)
    case read(Int)
  }
  static let initial = 0
  static func step(_ state: Int, _ input: Input) -> Int? {
    switch input {
    case .write(let value): value
    case .read(let value): state == value ? state : nil
    }
  }
}

// 100 keys with 100 operations each, four of them concurrent.
let checking = clock.measure {
  for _ in 0..<100 {
    let history = (0..<100).map { index -> HistoryEntry<Register.Input> in
      let input = index % 5 == 4 ? Register.Input.read(index - 1) : .write(index)
      return HistoryEntry(invoked: 10 * index, answered: 10 * index + 35, input: input, operation: index)
    }
    require(Linearizability<Register>.check(history) == .linearizable, "the history is not linearizable")
  }
}
print("linearizability_of_10000_operations_milliseconds \(Int(checking.inSeconds * 1000))")
