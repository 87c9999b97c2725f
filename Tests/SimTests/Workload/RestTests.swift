import System
import Testing

@testable import Sim

@Suite("What simulated people do, and how long their worlds come to rest")
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
    "a calm world waits for who has gone without a word to be missed, and for nobody else",
    arguments: 1...8 as ClosedRange<UInt64>)
  func silence(seed: UInt64) throws {
    let script = "{ at: '2s', who: 'bob-1', does: 'vanish' }"
    let polling = try simulated("count: 2, actions: {}, transports: ['polling']", script, seed: seed)
    #expect(polling > .seconds(45), "heartbeats come every 25 s and may take 20 s")
    // The end of a connection is seen. Whether somebody goes for the end, and how, is chance's.
    let socket = try simulated("count: 2, actions: {}, transports: ['webSocket']", script, seed: seed)
    #expect(socket < .seconds(30))
  }

  @Test("somebody who chats alone has nobody to write to, to block or to leave")
  func alone() throws {
    _ = try simulated("count: 1, thinkTime: '20ms'", "", seed: 1)
  }
}
