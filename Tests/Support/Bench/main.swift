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
