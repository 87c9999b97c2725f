@testable import Environment
@testable import Simulation
import System
import Testing

@testable import Sim

@Suite("The same seed gives the same run")
struct DeterminismTests {
  @Test("twice the same hash, other seeds other hashes, and a trace changes nothing")
  func hashes() throws {
    let runner = ScenarioRunner(try Scenario.file("accounts/crash-and-restart").shortened(to: .seconds(5)))
    var lines = 0
    let first = runner.run(seed: 1)
    #expect(runner.run(seed: 1).hash == first.hash)
    #expect(runner.run(seed: 1, RunOptions { _ in lines += 1 }).hash == first.hash)
    #expect(lines > 500)
    let hashes = Set((1...40).map { runner.run(seed: $0).hash })
    #expect(hashes.count == 40)
  }

  @Test("another node leaves the others' entropy and choices alone")
  func streams() throws {
    func draw(others: Int) throws -> ([UInt8], [Int]) {
      let world = World(seed: 3)
      for index in 0..<others {
        world.addNode("other-\(index)") { environment in
          _ = environment.entropy.bytes(100)
          return nil
        }.start()
      }
      let bytes = try world.perform(as: "me") { $0.entropy.bytes(16) }
      let stream = world.choices.stream("me")
      return (bytes, (0..<8).map { _ in stream.choose(1000) })
    }
    let alone = try draw(others: 0)
    let crowded = try draw(others: 5)
    #expect(alone.0 == crowded.0)
    #expect(alone.1 == crowded.1)
  }

  @Test("a branch is the same up to its step, and the same again with the same seed", arguments: [0, 300, 2000])
  func branches(step: Int) throws {
    var scenario = try Scenario.file("accounts/crash-and-restart").shortened(to: .seconds(5))
    func run(_ branches: [Branch]) -> (hash: UInt64, events: [String]) {
      scenario.branches = branches
      var events: [String] = []
      let result = ScenarioRunner(scenario).run(
        seed: 1, RunOptions { if $0.step < step { events.append("\($0.at) \($0.node) \($0.kind) \($0.detail)") } })
      return (result.hash, events)
    }
    let original = run([])
    let branch = run([Branch(step: step, seed: 7)])
    #expect(branch.events == original.events)
    #expect(branch.hash != original.hash)
    #expect(run([Branch(step: step, seed: 7)]).hash == branch.hash)
    #expect(run([Branch(step: step, seed: 8)]).hash != branch.hash)
    // A branch to the run's own seed is another run, since its draws begin anew.
    #expect(run([Branch(step: step, seed: 1)]).hash != original.hash || step == 0)
  }

  @Test("a branch has a form in scenario files")
  func branchText() {
    #expect(Branch("1200@7") == Branch(step: 1200, seed: 7))
    #expect(Branch(step: 1200, seed: 7).text == "1200@7")
    for text in ["", "@", "1200", "1200@", "@7", "-1@7", "1@-7", "1@7@8", "a@b", "1 @7", "99999999999@1"] {
      #expect(Branch(text) == nil, "\(text)")
    }
  }

  @Test("a restart does not repeat a node's random bytes")
  func boots() {
    final class Seen: @unchecked Sendable { var bytes: [[UInt8]] = [] }
    let seen = Seen()
    let world = World(seed: 3)
    let node = world.addNode("a") { environment in
      seen.bytes.append(environment.entropy.bytes(16))
      return nil
    }
    node.start()
    world.run(until: .seconds(1))
    node.crash(.kill)
    node.start()
    world.run(until: .seconds(2))
    #expect(seen.bytes.count == 2 && seen.bytes[0] != seen.bytes[1])
  }

  @Test("seeds give different interleavings of a race, in order gives one")
  func interleavings() throws {
    actor Counter {
      nonisolated let executor: ActorExecutor
      nonisolated var unownedExecutor: UnownedSerialExecutor { executor.unowned }
      var value = 0
      init(_ environment: Environment) { executor = environment.executor.forActor("counter") }
      func get() -> Int { value }
      func set(_ value: Int) { self.value = value }
    }
    func race(_ seed: UInt64, _ strategy: StrategyName) throws -> Int {
      try World(seed: seed, strategy: { strategy.make($0, profile: nil) }).perform { environment in
        let counter = Counter(environment)
        await withTaskGroup(of: Void.self) { group in
          for _ in 0..<4 { group.addTask { await counter.set(await counter.get() + 1) } }
        }
        return await counter.get()
      }
    }
    #expect(Set(try (0..<50).map { try race($0, .random) }).count > 1)
    #expect(Set(try (0..<10).map { try race($0, .inOrder) }).count == 1)
  }

  @Test("outside of a stream's window its draws are simple, inside they are what they were")
  func windows() throws {
    func draws(_ windows: ChoiceWindows) -> [Int] {
      let choices = World(seed: 5, windows: windows).choices
      let stream = choices.stream("test")
      let values = (2...50).map { stream.choose($0) } + [stream.chance(0.9) ? 1 : 0]
      #expect(choices.draws.map(\.count) == [50] && choices.draws[0].stream == "test")
      return values
    }
    var windows = ChoiceWindows()
    let free = draws(windows)
    windows["other"] = 0..<0
    #expect(draws(windows) == free)
    windows["test"] = 10..<20
    #expect(draws(windows) == Array(repeating: 0, count: 10) + free[10..<20] + Array(repeating: 0, count: 30))
  }

  @Test("the mean of exponential draws is the mean")
  func exponential() {
    let stream = World(seed: 1).choices.stream("test")
    let sum = (0..<20_000).reduce(0.0) { sum, _ in sum + stream.exponential(mean: .seconds(1)).inSeconds }
    #expect((0.97...1.03).contains(sum / 20_000))
    #expect(abs(naturalLogarithm(0.5) + 0.693147180559945) < 1e-14)
  }
}

extension Scenario {
  func shortened(to time: Duration) -> Scenario {
    var copy = self
    copy.run = time
    copy.faults = faults.filter { $0.to <= time || $0.every != nil }.map {
      Fault(kind: $0.kind, from: $0.from, to: min($0.to, time), every: $0.every)
    }
    return copy
  }
}
