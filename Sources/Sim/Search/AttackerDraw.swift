import System

/// Attackers among the people of drawn scenarios.
extension ScenarioDraw {
  /// The scenario, with a chance of 0.4 with an attacker among the users.
  func attacked(_ scenario: JSONValue, _ kind: String) -> JSONValue {
    guard attacks.chance(0.4) else { return scenario }
    return scenario.removing("atRest").setting(
      "people", .array((scenario["people"]?.array ?? []) + [attacker(of: kind)]))
  }

  /// An attacker with all possible kinds of attacks, or some of them.
  private func attacker(of kind: String) -> JSONValue {
    let doors: [ConnectionKind] =
      switch kind {
      case "accounts": [.http]
      case "chat": [.http, .sockets]
      case "queues": [.http, .amqp]
      default: ConnectionKind.allCases
      }
    let chosen = doors.filter { _ in attacks.chance(0.7) }
    return [
      "name": "eve", "role": "attacker", "thinkTime": .string(attacks.pick(["200ms", "500ms", "1s", "2s"])),
      "actions": .object((chosen.isEmpty ? doors : chosen).map { .init($0.rawValue, 1) }),
    ]
  }
}
