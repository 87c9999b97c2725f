@testable import Environment
@testable import Simulation
import Synchronization
import Testing

@Suite("Gates")
struct GateTests {
  /// The order of events in a test.
  private final class Notes: Sendable {
    private let lines = Mutex<[String]>([])
    var all: [String] { lines.withLock { $0 } }
    func add(_ line: String) { lines.withLock { $0.append(line) } }
  }

  /// An actor whose tasks wait at a gate.
  private actor Waiting {
    private let environment: Environment
    private let serialExecutor: ActorExecutor
    private let gate = Gate()
    private var isReady = false
    nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

    init(_ environment: Environment) {
      self.environment = environment
      serialExecutor = environment.executor.forActor("waiting")
    }

    func wait(_ name: String, until deadline: Instant? = nil, _ notes: Notes) async {
      let isOpened =
        if let deadline { await gate.wait(until: deadline, in: environment) } else { await gate.wait(in: environment) }
      notes.add("\(name) \(isOpened)")
    }

    func waitUntilReady(before deadline: Instant) async -> Bool {
      while !isReady, await gate.wait(until: deadline, in: environment) {}
      return isReady
    }

    func open(ready: Bool = false) {
      isReady = ready
      gate.open()
    }
  }

  @Test("opening resumes all waiting tasks once, and no later one")
  func opening() throws {
    let notes = Notes()
    let world = World(seed: 1)
    try world.perform { environment in
      let waiting = Waiting(environment)
      let deadline = environment.clock.now + .seconds(10)
      let tasks = ["a", "b"].map { name in
        environment.executor.spawn("waiter") { await waiting.wait(name, until: deadline, notes) }
      }
      try await environment.clock.sleep(for: .seconds(1))
      #expect(notes.all.isEmpty)
      await waiting.open()
      for task in tasks { await task.value }
      #expect(notes.all.sorted() == ["a true", "b true"])
      #expect(environment.clock.now < deadline)
      await waiting.open()
      await waiting.wait("c", until: deadline, notes)
      #expect(notes.all.last == "c false")
    }
    #expect(notes.all.count == 3)
    world.end()
  }

  @Test("a wait ends at its deadline, and at once if that has passed")
  func deadline() throws {
    let notes = Notes()
    let world = World(seed: 2)
    try world.perform { environment in
      let waiting = Waiting(environment)
      let begin = environment.clock.now
      await waiting.wait("a", until: begin + .milliseconds(250), notes)
      #expect(environment.clock.now - begin == .milliseconds(250))
      await waiting.wait("b", until: begin, notes)
      #expect(environment.clock.now - begin == .milliseconds(250))
    }
    #expect(notes.all == ["a false", "b false"])
    world.end()
  }

  @Test("a waiting task checks its condition again after each opening")
  func condition() throws {
    let world = World(seed: 3)
    try world.perform { environment in
      let waiting = Waiting(environment)
      let begin = environment.clock.now
      environment.executor.spawn("opener") {
        for second in 1...3 {
          try? await environment.clock.sleep(until: begin + .seconds(second))
          await waiting.open(ready: second == 3)
        }
      }
      #expect(await waiting.waitUntilReady(before: begin + .seconds(10)))
      #expect(environment.clock.now - begin == .seconds(3))
    }
    world.end()
  }

  @Test("a wait without a deadline ends when its node dies, and the task unwinds")
  func death() {
    let notes = Notes()
    let world = World(seed: 4)
    let node = world.addNode("node") { environment in
      let waiting = Waiting(environment)
      environment.executor.spawn("waiter") { await waiting.wait("a", notes) }
      return nil
    }
    node.start()
    world.run(until: .seconds(5))
    #expect(notes.all.isEmpty)
    node.crash(.kill)
    world.run(until: .seconds(6))
    #expect(notes.all == ["a false"])
    #expect(world.defects.isEmpty)
    world.end()
  }
}
