import Sim
import System

/// Measures the simulator itself; `scripts/bench` runs it.
actor Echo {
  nonisolated let executor: any SerialExecutor
  nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
  private var heard = 0

  init(_ environment: Environment) { executor = environment.executor.forActor("echo") }

  func hear() { heard += 1 }
}

let clock = ContinuousClock()

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

/// Runs a scenario with a few seeds; returns the seconds that took and the seconds that were simulated.
func run(_ text: String, seeds: ClosedRange<UInt64>, _ options: () -> RunOptions = { RunOptions() }) throws -> (
  took: Double, simulated: Double
) {
  let runner = ScenarioRunner(try Scenario(parsing: Array(text.utf8), file: "bench"))
  var simulated = 0.0
  let took = clock.measure {
    for seed in seeds {
      let result = runner.run(seed: seed, options())
      require(result.violations.isEmpty, "\(result.violations)")
      simulated += result.simulated.inSeconds
    }
  }
  return (took.inSeconds, simulated)
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

// The default budget of a fuzzing run: ten people, mean think time 2 s, 30 simulated seconds, faults; one of each kind.
let drawn = [
  """
  { name: "a", run: "30s", people: [{ name: "ann", count: 10, thinkTime: "2s" }],
    faults: [{ from: "4s", every: "8s", crash: "users", restartAfter: "100ms…1s" }] }
  """,
  """
  { name: "c", topology: { chat: 1 }, run: "30s", people: [{ name: "ann", role: "chat", count: 10, thinkTime: "2s" }],
    faults: [{ from: "4s", every: "8s", crash: "chat", restartAfter: "100ms…1s" }] }
  """,
  """
  { name: "s", topology: { supervisorHosts: 2 }, run: "30s",
    people: [{ name: "cora", role: "customer", count: 3, users: 2, thinkTime: "2s" }, { name: "ann", role: "user", count: 7, thinkTime: "2s" }],
    faults: [{ from: "4s", every: "8s", crash: "manager", restartAfter: "100ms…1s" }] }
  """,
]
var spent = 0.0
for text in drawn { spent += try run(text, seeds: 1...20).took }
print("fuzzing_runs_per_second_on_one_core \(Int(60 / spent))")

let plain = try run(drawn[1], seeds: 1...40).took
let traced = try run(drawn[1], seeds: 1...40) {
  let record = RunRecord()
  return RunOptions { record.note($0) }
}
print("trace_costs_percent \(Int((traced.took / plain - 1) * 100))")
