@testable import Environment
@testable import Simulation
import System
import Testing

@testable import Sim

/// Toy programs of which the depth of the bug and the number of interleavings are known.
@Suite("Strategies")
struct StrategyTests {
  /// What the tasks of a toy program did, in order.
  actor Log {
    nonisolated let executor: ActorExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.unowned }
    var entries: [String] = []
    init(_ environment: Environment) { executor = environment.executor.forActor("log") }
    func note(_ entry: String) { entries.append(entry) }
  }

  final class Found: @unchecked Sendable {
    var log: Log?
  }

  /// Runs tasks that each note their steps; returns the order, and the jobs that ran.
  static func run(_ tasks: [(name: StaticString, steps: Int)], _ strategy: (Choices) -> any Strategy, seed: UInt64 = 1)
    -> (order: [String], steps: Int)
  {
    let world = World(seed: seed, strategy: strategy)
    let found = Found()
    world.addNode("toy") { environment in
      let log = Log(environment)
      found.log = log
      for (name, steps) in tasks {
        environment.executor.spawn(name) { for step in 1...steps { await log.note("\(name)\(step)") } }
      }
      return nil
    }.start()
    world.run(until: .seconds(1))
    let steps = world.scheduler.steps
    let order = try! world.perform { _ in await found.log!.entries }
    return (order, steps)
  }

  /// Whether the entries stand in this order among the others.
  static func stands(_ wanted: [String], in order: [String]) -> Bool {
    var rest = wanted[...]
    for entry in order where entry == rest.first { rest.removeFirst() }
    return rest.isEmpty
  }

  struct Toy: CustomTestStringConvertible {
    let tasks: [(name: StaticString, steps: Int)]
    /// The order that shows the bug, which d constraints between tasks make.
    let bug: [String]
    let depth: Int
    var testDescription: String { "\(bug.joined(separator: " < ")), depth \(depth)" }
  }

  static let toys = [
    Toy(tasks: [("a", 3), ("b", 3)], bug: ["b3", "a1"], depth: 1),
    Toy(tasks: [("a", 8), ("b", 2), ("c", 2)], bug: ["a4", "b1", "a5"], depth: 2),
    Toy(tasks: [("a", 4), ("b", 4)], bug: ["a2", "b2", "a3", "b3"], depth: 3),
  ]

  @Test("PCT hits a bug of depth d with a chance of at least 1 / (n·k^(d−1))", arguments: toys)
  func bound(toy: Toy) {
    let length = Self.run(toy.tasks, { _ in InOrder() }).steps
    let chains = toy.tasks.count + 1
    let bound = 1 / (Double(chains) * (1..<toy.depth).reduce(1.0) { product, _ in product * Double(length) })
    let runs: UInt64 = 4000
    let hits = (1...runs).count { seed in
      let run = Self.run(
        toy.tasks, { ProbabilisticConcurrency($0, depth: toy.depth, length: length) }, seed: seed)
      return Self.stands(toy.bug, in: run.order)
    }
    #expect(Double(hits) / Double(runs) >= bound)
    // One change fewer cannot show it.
    if toy.depth > 1 {
      let fewer = (1...runs).count { seed in
        let run = Self.run(
          toy.tasks, { ProbabilisticConcurrency($0, depth: toy.depth - 1, length: length) }, seed: seed)
        return Self.stands(toy.bug, in: run.order)
      }
      #expect(fewer == 0)
    }
  }

  @Test("the exhaustive strategy runs each interleaving once, and says that these were all", arguments: [1, 2, 3])
  func exhaustive(steps: Int) {
    let tasks: [(name: StaticString, steps: Int)] = [("a", steps), ("b", steps)]
    let counting = InOrder(profiling: true)
    _ = Self.run(tasks, { _ in counting })
    let jobs = counting.profile.length(of: "toy/a")
    #expect(jobs == counting.profile.length(of: "toy/b") && jobs > steps)
    // (2j)! / (j!·j!) interleavings of two tasks of j jobs each.
    let wanted = (1...jobs).reduce(1) { $0 * (jobs + $1) / $1 }
    #expect(Self.schedules(tasks, preemptions: nil).count == wanted)
    #expect(Self.schedules(tasks, preemptions: 0).count == 2)
    // One of the two is interrupted after any of its jobs but the last.
    #expect(Self.schedules(tasks, preemptions: 1).count == 2 * jobs)
    // All orders of what can be seen are among them.
    let seen = (1...steps).reduce(1) { $0 * (steps + $1) / $1 }
    #expect(Set(Self.schedules(tasks, preemptions: nil)).count == seen)
  }

  static func schedules(_ tasks: [(name: StaticString, steps: Int)], preemptions: Int?) -> [[String]] {
    let tree = ScheduleTree(preemptions: preemptions)
    var orders: [[String]] = []
    while let strategy = tree.next() { orders.append(run(tasks, { _ in strategy }).order) }
    return orders
  }

  @Test("a uniform walk makes interleavings more equal than a random walk")
  func uniform() {
    let tasks: [(name: StaticString, steps: Int)] = [("a", 9), ("b", 1)]
    let counting = InOrder(profiling: true)
    _ = Self.run(tasks, { _ in counting })
    // Where in a's steps b comes: ten places. A random walk has b late only seldom.
    func rarest(_ strategy: (Choices) -> any Strategy) -> Int {
      var places: [Int: Int] = [:]
      for seed in 1...2000 {
        places[Self.run(tasks, strategy, seed: UInt64(seed)).order.firstIndex(of: "b1")!, default: 0] += 1
      }
      return (0...9).map { places[$0, default: 0] }.min()!
    }
    let walk = rarest { RandomWalk($0) }
    let uniform = rarest { UniformWalk($0, profile: counting.profile) }
    #expect(uniform > 10 * max(walk, 1))
  }

  @Test(
    "a scenario's schedules differ from strategy to strategy, and each strategy repeats itself",
    arguments: StrategyName.allCases)
  func repeats(strategy: StrategyName) throws {
    let runner = ScenarioRunner(try Scenario.file("accounts/same-names").shortened(to: .seconds(2)))
    let first = runner.run(seed: 3, RunOptions(strategy: strategy))
    #expect(runner.run(seed: 3, RunOptions(strategy: strategy)).hash == first.hash)
    #expect(first.violations.isEmpty)
    let others = StrategyName.allCases.filter { $0 != strategy }
    #expect(others.allSatisfy { runner.run(seed: 3, RunOptions(strategy: $0)).hash != first.hash })
  }
}
