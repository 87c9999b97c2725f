@testable import Environment
@testable import Simulation
import System
import Testing

@testable import Sim

@Suite("Acknowledgements that simulated clients wait for")
struct AcknowledgementTests {
  @Test(
    "a client that polls keeps an acknowledgement that arrives before its request is answered",
    arguments: [1, 2, 3, 4, 5] as [UInt64])
  func early(seed: UInt64) throws {
    let text = """
      { name: "x", run: "20s", topology: { chat: 1 }, network: { latency: "1ms…20ms" },
        people: [{ name: "ann", role: "chat", count: 3, thinkTime: "200ms", actions: { "send-direct": 1 },
          transports: ["polling"] }] }
      """
    let result = ScenarioRunner(try Scenario(parsing: Array(text.utf8), file: "f")).run(seed: seed)
    #expect(result.violations.isEmpty)
    // In a world without faults every message is acknowledged at once.
    #expect(result.counts[.messagesStored, default: 0] > 100)
    #expect(result.counts[.resends, default: 0] == 0)
    let refused = result.counts[.messagesRefused, default: 0]
    #expect(result.counts[.messages] == result.counts[.messagesStored, default: 0] + refused)
  }

  @Test("an acknowledgement is kept for its waiter, and the end of a socket ends all other waits")
  func kept() throws {
    let world = World(seed: 1, isHashed: false)
    defer { world.end() }
    let answers = try world.perform { environment in
      let pending = PendingAcknowledgements()
      let expected = (0..<3).map { _ in PendingAcknowledgements.Expected() }
      for (id, one) in expected.enumerated() { pending.expect(one, of: Int64(id)) }
      pending.answer(0, "early")
      pending.answer(7, "nobody expects it")
      pending.endAll()
      pending.answer(1, "late")
      let late = PendingAcknowledgements.Expected()
      pending.expect(late, of: 3)
      var answers: [JSONValue?] = []
      for one in expected + [late] { answers.append(await one.wait(patience: .seconds(1), environment)) }
      return answers
    }
    #expect(answers == ["early", nil, nil, nil])
  }
}
