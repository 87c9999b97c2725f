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
      // Clients of the broker are trusted as services are. Half of the callers are not.
      default: calls.chance(0.5) ? ConnectionKind.allCases : [.http, .sockets]
      }
    return [
      "name": "cal", "role": "caller", "count": .int(Int64(1 + calls.choose(most))),
      "devices": .int(Int64(1 + calls.choose(3))),
      "thinkTime": .string(calls.pick(["50ms", "150ms", "400ms"])),
      "actions": .object(kinds.map { .init($0.rawValue, .int(Int64(1 + calls.choose(4)))) }),
    ]
  }

  /// Whether the services are compared with restarted ones. That takes longer than most runs, so
  /// for other people than callers it is rare. Clients of the broker leave messages that a restart
  /// loses, and sessions that only they believe in.
  func endsAtRest(_ nodes: [String], _ people: JSONValue, _ kind: String) -> Bool {
    let hasClients = (people.array ?? []).contains {
      $0["role"] == "caller" && ($0["actions"]?["amqp"] != nil || $0["actions"]?["queues"] != nil)
    }
    guard !hasClients || !nodes.contains("broker") else { return false }
    return kind == "calls" || calls.chance(0.1)
  }
}
