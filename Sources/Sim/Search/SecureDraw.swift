import System

/// TLS in drawn scenarios.
extension ScenarioDraw {
  /// The share of the worlds with TLS. Small, since its handshakes take most of the time of a run.
  private static let share = 0.08

  /// The scenario, with a small chance of TLS in its world and of new certificates while it runs.
  func secured(_ scenario: JSONValue, _ nodes: [String], _ seconds: Int) -> JSONValue {
    guard secrets.chance(Self.share) else { return scenario }
    let topology = scenario["topology"] ?? .object([])
    let secure = scenario.setting("topology", topology.setting("tls", true))
    guard secrets.chance(0.5) else { return secure }
    let node = JSONValue.string(secrets.pick(nodes))
    let fault: JSONValue =
      secrets.chance(0.5)
      ? ["from": "1s", "every": "2s", "certificate": node]
      : ["from": "1s", "to": .string("\(max(2, seconds / 2))s"), "certificate": node, "lifetime": "500ms"]
    return secure.setting("faults", .array((secure["faults"]?.array ?? []) + [fault]))
  }
}
