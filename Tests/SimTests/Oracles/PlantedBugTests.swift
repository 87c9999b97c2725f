@testable import Environment
@testable import Simulation
import System
import Testing

@testable import Sim

/// Shows that each oracle over the User Service fails.
@Suite("Planted bugs are found")
struct PlantedBugTests {
  /// The oracles that fail at the first failing seed, and that seed.
  private func found(_ name: String, seeds: ClosedRange<UInt64> = 1...50, _ plant: (inout Scenario) -> Void) throws -> (
    Set<String>, UInt64
  ) {
    var scenario = try Scenario.file("accounts/" + name)
    plant(&scenario)
    for seed in seeds {
      let violations = ScenarioRunner(scenario).run(seed: seed).violations
      if !violations.isEmpty { return (Set(violations.map(\.oracle)), seed) }
    }
    return ([], 0)
  }

  @Test("synchronous = OFF loses acknowledged writes")
  func synchronousOff() throws {
    let (oracles, seed) = try found("failing-disk") { $0.service.planted = [.synchronousOff] }
    #expect(
      !oracles.isDisjoint(with: ["durable", "linearizable-accounts", "linearizable-sessions", "live"]),
      "seed \(seed): \(oracles)")
  }

  @Test("answering before the commit loses acknowledged writes", arguments: ["failing-disk", "split-commits"])
  func earlyAnswer(scenario: String) throws {
    let (oracles, seed) = try found(scenario) { $0.service.planted = [.answersEarly] }
    #expect(
      !oracles.isDisjoint(with: ["durable", "linearizable-accounts", "linearizable-sessions"]),
      "seed \(seed): \(oracles)")
  }

  @Test(
    "each planted bug fails its oracle",
    arguments: [
      (PlantedBug.refreshInTwoSteps, "stolen-refresh-token", "refresh-once"),
      (.sessionInTwoSteps, "racing-deletes", "linearizable-sessions"),
      (.usernamesByCase, "same-names", "unique"), (.ignoresExpiry, "clock-skew", "dead-token"),
      (.ignoresRevocation, "stolen-refresh-token", "dead-token"), (.ignoresRevocation, "operators", "dead-token"),
      (.ignoresDisabling, "operators", "linearizable-accounts"),
      (.fails, "rolling-restart", "no-unexplained-5xx"), (.hangs, "same-names", "live"),
      (.usernamesByCase, "same-names", "linearizable-accounts"),
    ])
  func planted(bug: PlantedBug, scenario: String, oracle: String) throws {
    let (oracles, seed) = try found(scenario, seeds: 1...20) { $0.service.planted = [bug] }
    #expect(oracles.contains(oracle), "seed \(seed): \(oracles)")
  }

  @Test("an acknowledged write that is missing in the end fails `durable`")
  func durable() throws {
    let token = TokenFacts.forTest(subject: "u", account: "ann")
    func operation(_ id: Int, _ request: Sim.Request, _ answer: Answer) -> Sim.Operation {
      var operation = Sim.Operation(
        id: id, person: "ann", request: request, invoked: 2 * id, invokedAt: 0, wallAtInvocation: 0)
      operation.answered = 2 * id + 1
      operation.answer = answer
      return operation
    }
    let kept = [
      operation(0, .addSession("s", token), .status(200)), operation(1, .getSessions(token), .sessions(["s"])),
    ]
    #expect(AccountOracles.durable(AccountEvidence(kept)).isEmpty)
    let lost = [operation(0, .addSession("s", token), .status(200)), operation(1, .getSessions(token), .sessions([]))]
    #expect(AccountOracles.durable(AccountEvidence(lost)).count == 1)
    let deleted = lost + [operation(2, .deleteSession("s", token), .none)]
    #expect(AccountOracles.durable(AccountEvidence(deleted)).isEmpty)
    let user = [
      operation(0, .register(email: "a@b.co", username: "Ann", password: "p"), .status(201)),
      operation(1, .login(user: "ann", password: "p", account: "ann"), .status(401)),
    ]
    #expect(AccountOracles.durable(AccountEvidence(user)).count == 1)
  }

  @Test("a task that does not unwind when its node dies is reported")
  func unwinds() {
    let world = World(seed: 1)
    let node = world.addNode("stubborn") { environment in
      environment.executor.spawn("stubborn task") {
        await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
      }
      return nil
    }
    node.start()
    world.run(until: .seconds(1))
    node.crash(.kill)
    world.run(until: .seconds(2))
    #expect(world.defects.count == 1)
    #expect(world.defects.first?.contains("stubborn task") == true)
  }
}

extension TokenFacts {
  static func forTest(subject: String, account: String) -> TokenFacts {
    let claims: JSONValue = ["sub": .string(subject), "jti": "f.1", "exp": 4_000_000_000]
    var text = Array("x.".utf8)
    Base64URL.encode(claims.bytes, to: &text)
    return TokenFacts(String(decoding: text + Array(".x".utf8), as: UTF8.self), account: account)!
  }
}
