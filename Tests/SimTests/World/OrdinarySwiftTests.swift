import Environment
import Simulation
import Testing

/// Code that was not written for the simulator runs in it as well as it can.
@Suite("Ordinary Swift in a simulated world")
struct OrdinarySwiftTests {
  /// Adds one to its count in two steps, with a wait between them.
  private protocol Counter: Actor {
    func add(_ environment: Environment) async throws
    var count: Int { get }
  }

  private actor DefaultCounter: Counter {
    private(set) var count = 0
    func add(_ environment: Environment) async throws {
      let before = count
      try await environment.clock.sleep(for: .milliseconds(1))
      count = before + 1
    }
  }

  private actor NodeCounter: Counter {
    private let executor: ActorExecutor
    private(set) var count = 0
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.unowned }

    init(_ environment: Environment) { executor = environment.executor.forActor("counter") }

    func add(_ environment: Environment) async throws {
      let before = count
      try await environment.clock.sleep(for: .milliseconds(1))
      count = before + 1
    }
  }

  private func defects(seed: UInt64, _ body: @escaping @Sendable (Environment) async throws -> Void) throws -> [String]
  {
    let world = World(seed: seed)
    defer { world.end() }
    try world.perform { try await body($0) }
    return world.defects
  }

  @Test("an actor without an executor of the environment is a defect, reported once")
  func defaultActor() throws {
    let defects = try defects(seed: 1) { environment in
      let counter = DefaultCounter()
      for _ in 0..<3 { try await counter.add(environment) }
    }
    #expect(defects.count == 1)
    #expect(defects.first?.contains("actor DefaultCounter") == true)
  }

  @Test("an actor with an executor of the environment is none, and its lost updates are found")
  func nodeActor() throws {
    var lost = 0
    for seed in 1...20 as ClosedRange<UInt64> {
      let world = World(seed: seed)
      defer { world.end() }
      let count = try world.perform { environment in
        let counter = NodeCounter(environment)
        let tasks = (0..<2).map { _ in environment.executor.spawn("add") { try? await counter.add(environment) } }
        for task in tasks { await task.value }
        return await counter.count
      }
      #expect(world.defects.isEmpty)
      if count < 2 { lost += 1 }
    }
    #expect(lost > 10)
  }

  @Test("Task.sleep, Task.yield, Task and task groups take virtual time and the scheduler's turns")
  func virtualTime() throws {
    let world = World(seed: 1)
    defer { world.end() }
    let start = world.now
    let order = try world.perform { _ in
      try await Task.sleep(for: .seconds(1800))
      await Task.yield()
      return await withTaskGroup(of: Int.self) { group in
        for number in 0..<8 {
          group.addTask {
            try? await Task.sleep(for: .seconds(8 - number))
            return number
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
    }
    #expect(order == [7, 6, 5, 4, 3, 2, 1, 0])
    #expect(world.now - start >= .seconds(1808))
    #expect(world.now - start < .seconds(1900))
  }

  @Test("a seed gives one order to tasks that yield, another seed another")
  func yields() throws {
    func order(seed: UInt64) throws -> [Int] {
      let world = World(seed: seed)
      defer { world.end() }
      return try world.perform { _ in
        await withTaskGroup(of: Int.self) { group in
          for number in 0..<16 {
            group.addTask {
              await Task.yield()
              return number
            }
          }
          return await group.reduce(into: []) { $0.append($1) }
        }
      }
    }
    #expect(try order(seed: 1) == order(seed: 1))
    #expect(try order(seed: 1) != order(seed: 2))
  }

  @Test("a node that crashes leaves no task that sleeps")
  func crash() throws {
    let world = World(seed: 1)
    defer { world.end() }
    let node = world.addNode("sleeper") { _ in
      try await Task.sleep(for: .seconds(3600))
      return nil
    }
    node.start()
    world.run(until: .seconds(1))
    node.crash(.kill)
    world.run(until: .seconds(7200))
    #expect(world.defects.isEmpty)
  }
}
