import System
import Testing

@testable import Sim

@Suite("Bursts")
struct BurstTests {
  @Test("the users of all groups with the same bursts act at the same moments, without a pause")
  func moments() throws {
    let scenario = try Scenario(
      parsing: Array(
        """
        { name: 'x', run: '5s', topology: { chat: 1 }, people: [
            { name: 'ann', count: 3, thinkTime: '20h', bursts: { every: '2s', actions: 4 } },
            { name: 'bob', role: 'chat', count: 2, thinkTime: '20h', bursts: { every: '2s', actions: 2 },
              actions: { 'read-history': 1 } },
          ] }
        """.utf8), file: "x")
    let stage = ScenarioRunner(scenario).stage(seed: 1, RunOptions())
    stage.play()
    let tally = stage.histories.tally
    func times(_ who: String) -> [Duration] { tally.acts.filter { $0.who == who }.map(\.at) }
    for who in ["ann-1", "ann-2", "ann-3", "bob-1", "bob-2"] {
      let actions = who.hasPrefix("ann") ? 4 : 2
      let times = times(who)
      try #require(times.count == 2 * actions, "\(who): \(times)")
      #expect(times[0] == .seconds(2) && times[actions] == .seconds(4), "\(who): \(times)")
      #expect(times[actions - 1] < .seconds(3), "\(who): \(times)")
    }
    #expect(tally.counts[.bursts] == 10)
    stage.world.end()
  }

  @Test("a script of the actions has no bursts, and a smaller scenario has fewer actions in one or no bursts")
  func shrinking() {
    let scenario: JSONValue = [
      "name": "x", "people": [["name": "ann", "bursts": ["every": "2s", "actions": 3]]],
    ]
    let written = scenario.scripted(as: [Act(at: .seconds(2), who: "ann", action: "login")])
    #expect(written["people"]?.array?[0]["bursts"] == nil)
    let smaller = scenario.smallerScenarios.joined().map { $0["people"]!.array![0]["bursts"] }
    #expect(smaller.contains(nil) && smaller.contains(["every": "2s", "actions": 2]))
  }

  @Test("three of ten drawn worlds have bursts, at the same moments for all groups")
  func draws() {
    var hurried = 0
    for number in 1...200 as ClosedRange<UInt64> {
      let people = ScenarioDraw(seed: number).scenario(number)["people"]?.array ?? []
      let bursts = people.compactMap { $0["bursts"] }
      hurried += bursts.isEmpty ? 0 : 1
      #expect(Set(bursts.map(\.text)).count <= 1)
    }
    #expect((30...70).contains(hurried), "\(hurried) of 200")
  }
}
