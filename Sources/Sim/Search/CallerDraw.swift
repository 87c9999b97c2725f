import System

/// Callers in drawn scenarios.
extension ScenarioDraw {
  /// The people, with a chance of 0.3 with callers among them.
  func called(_ people: JSONValue, _ kind: String) -> JSONValue {
    guard calls.chance(0.3) else { return people }
    return .array((people.array ?? []) + [callers(of: kind, most: 2)])
  }

  /// The topology of a scenario with callers alone, and the nodes where faults strike.
  func calledTopology() -> (topology: JSONValue?, nodes: [String]) {
    switch calls.choose(6) {
    case 0: (nil, ["users"])
    case 1, 2: (["chat": 1], ["chat", "chat", "users"])
    case 3: (["broker": 1], ["broker"])
    default: (["supervisorHosts": 1], ["broker", "manager", "chat", "customers", "users", "supervisor-1"])
    }
  }

  /// A group of callers.
  func callers(of kind: String, most: Int) -> JSONValue {
    let kinds: [ConnectionKind] =
      switch kind {
      case "accounts": [.http]
      case "queues": [.http, .amqp]
      case "chat", "sessions": [.http, .sockets]
      // Half of the callers are no clients of the broker.
      default: calls.chance(0.5) ? ConnectionKind.allCases : [.http, .sockets]
      }
    return [
      "name": "cal", "role": "caller", "count": .int(Int64(1 + calls.choose(most))),
      "devices": .int(Int64(1 + calls.choose(3))),
      "thinkTime": .string(calls.pick(["50ms", "150ms", "400ms"])),
      "actions": .object(kinds.map { .init($0.rawValue, .int(Int64(1 + calls.choose(4)))) }),
    ]
  }

  /// Whether the services are compared with restarted ones: where callers are alone, without a broker.
  /// In other worlds the comparison reports what nobody has explained yet.
  func endsAtRest(_ nodes: [String], _ kind: String) -> Bool { kind == "calls" && !nodes.contains("broker") }
}
