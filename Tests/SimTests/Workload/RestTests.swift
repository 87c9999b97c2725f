import System
import Testing

@testable import Sim

@Suite("Simulated users, and how their worlds come to rest")
struct RestTests {
  private func simulated(_ people: String, _ script: String, seed: UInt64) throws -> Duration {
    let scenario = try Scenario(
      parsing: Array(
        """
        { name: 'x', run: '6s', topology: { chat: 1 }, network: { latency: '1ms…5ms' },
          people: [{ name: 'bob', role: 'chat', \(people) }], script: [\(script)] }
        """.utf8), file: "x")
    let result = ScenarioRunner(scenario).run(seed: seed)
    #expect(result.violations.isEmpty, "\(result.violations)")
    return result.simulated
  }

  @Test(
    "a calm world waits for the heartbeats to miss an abandoned socket, and for nothing else",
    arguments: 1...8 as ClosedRange<UInt64>)
  func silence(seed: UInt64) throws {
    let script = "{ at: '2s', who: 'bob-1', does: 'vanish' }"
    let polling = try simulated("count: 2, actions: {}, transports: ['polling']", script, seed: seed)
    #expect(polling > .seconds(45), "heartbeats come every 25 s and may take 20 s")
    // The server sees the end of a connection. Whether and how a user leaves at the end is random.
    let socket = try simulated("count: 2, actions: {}, transports: ['webSocket']", script, seed: seed)
    #expect(socket < .seconds(30))
  }

  @Test("a single chat user has no friend to write to, to block or to leave")
  func alone() throws {
    _ = try simulated("count: 1, thinkTime: '20ms'", "", seed: 1)
  }
}
