import System

/// Low limits in drawn scenarios. With those of real use no run would reach them.
extension ScenarioDraw {
  /// The scenario, with a chance of 0.4 of a broker that keeps little in memory.
  func limited(_ scenario: JSONValue, _ nodes: [String]) -> JSONValue {
    guard nodes.contains("broker"), limits.chance(0.4) else { return scenario }
    let service = scenario["service"] ?? .object([])
    return scenario.setting("service", service.setting("pagingBound", .int(limits.pick([0, 100, 2000]))))
  }
}
