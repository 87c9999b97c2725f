import System
import Testing

@testable import Sim

/// Shows that each oracle over the Chat Service fails.
@Suite("Planted bugs of the Chat Service are found")
struct PlantedChatBugTests {
  private static func found(_ name: String, _ oracle: String, _ plant: (inout Scenario) -> Void) throws -> (
    seed: UInt64, others: Set<String>
  ) {
    var scenario = try Scenario.file("chat/" + name)
    plant(&scenario)
    var others: Set<String> = []
    for seed in 1...60 as ClosedRange<UInt64> {
      let oracles = ScenarioRunner(scenario).run(seed: seed).violations.map(\.oracle)
      if oracles.contains(oracle) { return (seed, others) }
      others.formUnion(oracles)
    }
    return (0, others)
  }

  @Test(
    "each planted bug fails its oracle",
    arguments: [
      (PlantedBug.emitsBeforeCommit, "crash-between-store-and-emit", "durable"),
      (.emitsBeforeCommit, "crash-between-store-and-emit", "one-order"),
      (.emitsInArrivalOrder, "same-message-twice", "socket-order"),
      (.leavesRoomLate, "blocks-and-leavers", "private"),
      (.clientIDInTwoSteps, "same-message-twice", "stored-once"),
      (.presenceByLastEvent, "broken-sockets", "presence"),
      (.dropsOnUpgrade, "crossing-messages", "complete"),
      (.trustsSessionsForever, "logout-elsewhere", "session-ended"),
      (.admitsTwice, "rude-devices", "socket-order"),
      (.admitsTwice, "rude-devices", "presence"),
    ])
  func planted(bug: PlantedBug, scenario: String, oracle: String) throws {
    let (seed, others) = try Self.found(scenario, oracle) { $0.service.planted = [bug] }
    #expect(seed > 0, "\(oracle) did not fire; others: \(others.sorted())")
  }

  @Test(
    "a 503 is explained by a fault, by a request that timed out during a delay, or by delays for most of the time-out",
    arguments: [
      // In milliseconds: the request, the faults, the delays between the services.
      (10_000...10_010, [], [], false), (10_000...10_010, [9_000...10_000], [], true),
      (10_000...10_010, [], [9_000...10_000], false), (10_000...10_010, [], [7_000...9_400], false),
      (10_000...10_010, [], [7_000...9_600], true), (10_000...10_010, [], [1_000...4_900], false),
      // Overlapping delays count once, consecutive ones together.
      (10_000...10_010, [], [7_000...8_500, 7_100...8_600, 7_200...8_700], false),
      (10_000...10_010, [], [6_000...7_500, 8_000...9_500], true),
      (10_000...15_000, [], [], false), (10_000...15_000, [], [12_000...12_300], true),
      (10_000...15_000, [], [4_000...9_900], false),
    ] as [(ClosedRange<Int64>, [ClosedRange<Int64>], [ClosedRange<Int64>], Bool)])
  func refusals(
    question: ClosedRange<Int64>, faults: [ClosedRange<Int64>], heldUp: [ClosedRange<Int64>], isExplained: Bool
  ) {
    func time(_ range: ClosedRange<Int64>) -> ClosedRange<Int64> {
      range.lowerBound * 1_000_000...range.upperBound * 1_000_000
    }
    func isFine(_ status: Int) -> Bool {
      let history = ChatHistory(now: { 0 })
      let asked = time(question)
      history.calls = [
        ServiceCall(
          person: "ann", what: "GET /getContacts",
          interval: Interval(
            invoked: 0, answered: 1, invokedAt: asked.lowerBound, answeredAt: asked.upperBound), status: status)
      ]
      return ChatOracles.unexplained(
        ChatEvidence(history, disturbances: faults.map(time), delays: heldUp.map(time))
      ).isEmpty
    }
    #expect(isFine(503) == isExplained)
    #expect(!isFine(500) && isFine(200))
  }

  @Test("synchronous = OFF in the Chat Service loses acknowledged messages")
  func synchronousOff() throws {
    var scenario = try Scenario.file("chat/crash-between-store-and-emit")
    scenario.service.planted = [.synchronousOff]
    let oracles = (1...10 as ClosedRange<UInt64>).lazy.map {
      Set(ScenarioRunner(scenario).run(seed: $0).violations.map(\.oracle))
    }
    #expect(oracles.contains { !$0.isDisjoint(with: ["durable", "one-order", "live"]) })
  }
}
