@testable import Environment
import System
import Testing

@testable import Real
@testable import Sim

extension ConformanceTests {
  @Test("a sleep takes its time, and can be cancelled", arguments: Kind.allCases)
  func clock(kind: Kind) throws {
    try withNode(kind) { environment in
      let begin = environment.clock.now
      try await environment.clock.sleep(for: .milliseconds(30))
      #expect(environment.clock.now - begin >= .milliseconds(30))
      let sleeper = environment.executor.spawn("sleeper") {
        for _ in 1...2 {
          await #expect(throws: CancellationError.self) { try await environment.clock.sleep(for: .seconds(3600)) }
        }
      }
      try await environment.clock.sleep(for: .milliseconds(5))
      sleeper.cancel()
      await sleeper.value
      try await environment.clock.sleep(until: begin)
    }
  }

  /// Records the results of work outside any task. Used on the node's thread.
  private final class Told: @unchecked Sendable {
    var lines: [String] = []
  }

  private actor Listener {
    let executor: ActorExecutor
    private(set) var heard: [Int] = []
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.unowned }

    init(_ environment: Environment) { executor = environment.executor.forActor("listener") }

    func hear(_ number: Int) { heard.append(number) }

    /// The result of work; 0 for a failure.
    func hear(_ result: Result<Int, any Error>) { heard.append((try? result.get()) ?? 0) }
  }

  @Test("posted work runs on its actor, soon but not at once", arguments: Kind.allCases)
  func post(kind: Kind) throws {
    try withNode(kind) { environment in
      let listener = Listener(environment)
      let told = Told()
      for number in 1...3 {
        environment.executor.post(to: listener) { $0.hear(number) }
        environment.executor.post { told.lines.append("\(number)") }
      }
      #expect(told.lines.isEmpty)
      while await listener.heard.count < 3 || told.lines.count < 3 {
        try await environment.clock.sleep(for: .milliseconds(1))
      }
      // The simulator may run them in any order, an event loop in the order of the calls.
      #expect(await listener.heard.sorted() == [1, 2, 3])
      #expect(told.lines.sorted() == ["1", "2", "3"])
      if kind == .real { #expect(await listener.heard == [1, 2, 3]) }
    }
  }

  @Test("blocking work runs on another thread in order, and its errors are passed on", arguments: Kind.allCases)
  func offload(kind: Kind) throws {
    struct Failed: Error, Equatable {}
    try withNode(kind) { environment in
      let product = try await environment.executor.offload(.compute) { 6 * 7 }
      #expect(product == 42)
      await #expect(throws: Failed.self) { try await environment.executor.offload(.disk) { throw Failed() } }
      let listener = Listener(environment)
      environment.executor.offload(.compute, for: listener, { 6 * 7 }) { $0.hear($1) }
      while await listener.heard.isEmpty { try await environment.clock.sleep(for: .milliseconds(1)) }
      environment.executor.offload(.disk, for: listener, { () throws -> Int in throw Failed() }) { $0.hear($1) }
      while await listener.heard.count < 2 { try await environment.clock.sleep(for: .milliseconds(1)) }
      #expect(await listener.heard == [42, 0])
    }
  }
}
