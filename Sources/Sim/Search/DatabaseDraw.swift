import Simulation
import System

/// PostgreSQL in drawn scenarios.
extension ScenarioDraw {
  /// The share of the worlds of the User Service with PostgreSQL.
  private static let share = 0.34

  /// The scenario, with a chance of a PostgreSQL in its world, and of faults around it.
  func onServer(_ scenario: JSONValue, _ seconds: Int) -> JSONValue {
    guard servers.chance(Self.share) else { return scenario }
    let topology = (scenario["topology"] ?? .object([])).setting("database", .string(Scenario.databaseNode))
    let nodes = [Scenario.databaseNode, "users"]
    let faults = (0..<servers.choose(4)).map { _ -> JSONValue in
      if servers.chance(0.5) { return fault(nodes, Self.groups(scenario), on: nodes[0], seconds, from: servers) }
      let begin = 1 + servers.choose(max(1, seconds / 3))
      return .object(
        [.init("from", .string("\(begin)s")), .init("to", .string("\(begin + 1 + servers.choose(seconds - begin))s"))]
          + DatabaseFault.draw(servers))
    }
    return scenario.setting("topology", topology).setting(
      "faults", .array((scenario["faults"]?.array ?? []) + faults))
  }
}
