import System
import Testing

@testable import Sim

@Suite("Targets of script steps")
struct TargetTests {
  /// The users that received each message in a run.
  private func hearers(_ script: String, seed: UInt64) throws -> [String: Set<String>] {
    let text = """
      { name: "x", run: "6s", topology: { chat: 1 },
        people: [{ name: "ann", role: "chat", count: 4, actions: {}, transports: ["webSocket"] }], script: [\(script)] }
      """
    let record = RunRecord()
    let scenario = try Scenario(parsing: Array(text.utf8), file: "f")
    let result = ScenarioRunner(scenario).run(seed: seed, RunOptions { record.note($0) })
    #expect(result.violations.isEmpty)
    var hearers: [String: Set<String>] = [:]
    for arrow in record.arrows {
      for message in arrow.messages where message.name == "new_message" {
        hearers[message.payload?["content"]?.string ?? "", default: []].insert(arrow.to)
      }
    }
    return hearers
  }

  @Test("a script's message goes to its target under every seed", arguments: [1, 2, 3] as [UInt64])
  func direct(seed: UInt64) throws {
    let heard = try hearers(
      """
      { at: "3s", who: "ann-1", does: "send-direct", to: "ann-3" },
      { at: "4s", who: "ann-1", does: "send-direct", to: "ann-2" },
      { at: "4s", who: "ann-3", does: "send-direct", to: "ann-4" }
      """, seed: seed)
    #expect(heard["ann-1/1"] == ["ann-1", "ann-3"])
    #expect(heard["ann-1/2"] == ["ann-1", "ann-2"])
    #expect(heard["ann-3/1"] == ["ann-3", "ann-4"])
  }

  @Test("a script's message to a group is received by its members")
  func group() throws {
    let heard = try hearers(
      """
      { at: "3s", who: "ann-1", does: "remove-member", to: "ann-2" },
      { at: "3500ms", who: "ann-3", does: "send-group", to: "ann-1" }
      """, seed: 1)
    #expect(heard["ann-3/1"]?.isSuperset(of: ["ann-1", "ann-3"]) == true)
  }
}
