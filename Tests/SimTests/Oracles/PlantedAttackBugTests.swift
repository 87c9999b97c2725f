import System
import Testing

@testable import Sim

/// Shows that the oracles over attackers and the attacks find planted bugs.
@Suite("Bugs that only an attacker triggers are found")
struct PlantedAttackBugTests {
  /// The oracles that fail at the first failing seed.
  private static func found(
    _ file: String, seeds: ClosedRange<UInt64>, _ plant: (inout Scenario) -> Void
  ) throws -> Set<String> {
    var scenario = try Scenario.file(file)
    plant(&scenario)
    for seed in seeds {
      let violations = ScenarioRunner(scenario).run(seed: seed).violations
      if !violations.isEmpty { return Set(violations.map(\.oracle)) }
    }
    return []
  }

  @Test("an attacker finds a service that answers 500")
  func blunders() throws {
    let found = try Self.found("accounts/hostile-client", seeds: 1...40) { scenario in
      scenario.service.planted = [.failsOnInvalidNames]
      scenario.people.removeAll { $0.role != .attacker }
    }
    #expect(found == ["no-blunder"])
  }

  @Test("a broker that does not free the memory of clients that left before their login is found")
  func keepsStrangers() throws {
    let found = try Self.found("queues/hostile-client", seeds: 1...10) { scenario in
      scenario.service.planted = [.keepsStrangers]
      // A crash would empty the budget.
      scenario.faults = []
    }
    #expect(found == ["bounded-memory"])
  }

  @Test("an attacker finds a conversion that traps beyond its bounds")
  func trap() async {
    let ended = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = try PlantedAttackBugTests.found("queues/hostile-client", seeds: 1...10) {
        $0.service.planted = [.convertsTimesUnchecked]
      }
    }
    let message = String(decoding: ended?.standardErrorContent ?? [], as: UTF8.self)
    #expect(message.contains("planted: a time of"), "\(message)")
  }

  @Test("without the planted bugs the same runs keep their promises")
  func clean() throws {
    #expect(try Self.found("accounts/hostile-client", seeds: 1...2) { _ in } == [])
    #expect(try Self.found("queues/hostile-client", seeds: 1...2) { $0.faults = [] } == [])
  }
}
