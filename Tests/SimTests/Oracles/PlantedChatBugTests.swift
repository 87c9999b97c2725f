import System
import Testing

@testable import Sim

/// The oracles over the chat, each shown to fire.
@Suite("Planted bugs of the chat are found")
struct PlantedChatBugTests {
  private static func found(_ name: String, _ oracle: String, _ plant: (inout Scenario) -> Void) throws -> (
    seed: UInt64, others: Set<String>
  ) {
    var scenario = try Scenario.file("chat/" + name)
    plant(&scenario)
    var others: Set<String> = []
    for seed in 1...20 as ClosedRange<UInt64> {
      let oracles = ScenarioRunner(scenario).run(seed: seed).violations.map(\.oracle)
      if oracles.contains(oracle) { return (seed, others) }
      others.formUnion(oracles)
    }
    return (0, others)
  }

  @Test(
    "each planted bug trips its oracle",
    arguments: [
      (PlantedChatBug.emitsBeforeCommit, "crash-between-store-and-emit", "durable"),
      (.emitsBeforeCommit, "crash-between-store-and-emit", "one-order"),
      (.emitsInArrivalOrder, "same-message-twice", "socket-order"),
      (.leavesRoomLate, "blocks-and-leavers", "private"),
      (.clientIDInTwoSteps, "same-message-twice", "stored-once"),
      (.presenceByLastEvent, "broken-sockets", "presence"),
      (.dropsOnUpgrade, "crossing-messages", "complete"),
      (.trustsSessionsForever, "logout-elsewhere", "session-ended"),
    ])
  func planted(bug: PlantedChatBug, scenario: String, oracle: String) throws {
    let (seed, others) = try Self.found(scenario, oracle) { $0.service.plantedInChat = [bug] }
    #expect(seed > 0, "\(oracle) did not fire; others: \(others.sorted())")
  }

  @Test("synchronous = OFF in the chat loses acknowledged messages, or all of them")
  func synchronousOff() throws {
    var scenario = try Scenario.file("chat/crash-between-store-and-emit")
    scenario.service.database.synchronous = false
    let oracles = (1...10 as ClosedRange<UInt64>).lazy.map {
      Set(ScenarioRunner(scenario).run(seed: $0).violations.map(\.oracle))
    }
    #expect(oracles.contains { !$0.isDisjoint(with: ["durable", "one-order", "live"]) })
  }
}
