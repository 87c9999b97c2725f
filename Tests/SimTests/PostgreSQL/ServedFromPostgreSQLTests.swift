@testable import Environment
@testable import Simulation
import System
import Testing

@testable import Sim

@Suite("Scenarios over PostgreSQL")
struct ServedFromPostgreSQLTests {
  private func scenario(_ more: String) throws -> Scenario {
    let text = """
      {
        name: "x", topology: { database: "postgresql" }, run: "10s",
        people: [{ name: "ann", count: 5, thinkTime: "100ms", patience: "5s" }], \(more)
      }
      """
    return try Scenario(parsing: Array(text.utf8), file: "x")
  }

  @Test("the promises hold, and the same seed gives the same run")
  func calm() throws {
    let runner = ScenarioRunner(try scenario("expect: {}"))
    let (one, two) = (runner.run(seed: 5), runner.run(seed: 5))
    #expect(one.violations.isEmpty)
    #expect(one.hash == two.hash)
    #expect(one.counts[Counter.unavailable, default: 0] == 0)
    #expect(one.counts[Counter.successes, default: 0] > 50)
  }

  @Test(
    "each fault strikes, and the promises hold",
    arguments: [
      "serializationFailures: 0.2", "deadlocks: 0.2", "timeouts: 0.1", "lostCommits: 0.3", "readOnly: true",
      "slowCommits: '100ms…300ms'",
    ])
  func faults(_ effect: String) throws {
    let fault = "faults: [{ from: '1s', database: 'postgresql', \(effect) }]"
    let result = ScenarioRunner(try scenario(fault)).run(seed: 3)
    #expect(result.violations.isEmpty)
    #expect(result.strikes == [1])
    if !effect.hasPrefix("slow"), !effect.hasPrefix("read") {
      #expect(result.counts[Counter.databaseErrors, default: 0] > 5)
    }
  }

  @Test("new connections are refused while the server is full")
  func full() throws {
    let faults = """
      faults: [{ from: '3s', to: '5s', database: 'postgresql', full: true }, { at: '3100ms', reset: 'postgresql' }]
      """
    let result = ScenarioRunner(try scenario(faults)).run(seed: 3)
    #expect(result.violations.isEmpty)
    #expect(result.counts[Counter.databaseErrors, default: 0] > 0)
    #expect(result.counts[Counter.unavailable, default: 0] > 0)
  }

  @Test("a 503 needs an outage of the database around it")
  func unexplained() {
    var operation = Operation(
      id: 0, person: "ann", request: .login(user: "ann", password: "p", account: "ann"), invoked: 0,
      invokedAt: 100, wallAtInvocation: 0)
    (operation.answered, operation.answeredAt, operation.answer) = (1, 200, .status(503))
    func breaches(_ outages: [ClosedRange<Int64>]) -> Int {
      AccountOracles.unexplained(AccountEvidence([operation], outages: outages)).count
    }
    #expect(breaches([]) == 1)
    #expect(breaches([0...99, 201...300]) == 1)
    #expect(breaches([150...160]) == 0)
    operation.answer = .status(500)
    #expect(breaches([150...160]) == 1)
  }
}
