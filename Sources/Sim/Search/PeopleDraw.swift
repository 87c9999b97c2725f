import Simulation
import System

/// People in drawn scenarios.
extension ScenarioDraw {
  func thinkTime() -> JSONValue { .string(stream.pick(["50ms", "150ms", "400ms", "1s", "3s"])) }

  /// A random half of the actions, each with a weight.
  func actions<A: RawRepresentable & CaseIterable>(
    _ type: A.Type, without excluded: [String] = [], always: String
  ) -> JSONValue where A.RawValue == String {
    var members = [JSONValue.Member(always, .int(Int64(1 + stream.choose(10))))]
    for action in A.allCases
    where action.rawValue != always && !excluded.contains(action.rawValue) && stream.chance(0.5) {
      members.append(.init(action.rawValue, .int(Int64(1 + stream.choose(5)))))
    }
    return .object(members)
  }

  func accounts() -> [JSONValue] {
    var members: [JSONValue.Member] = [
      .init("name", "ann"), .init("count", .int(Int64(2 + stream.choose(8)))), .init("thinkTime", thinkTime()),
      .init("actions", actions(AccountAction.self, always: "login")),
    ]
    if stream.chance(0.3) { members.append(.init("sharedSessions", .int(Int64(1 + stream.choose(4))))) }
    if stream.chance(0.3) { members.append(.init("cutOff", .double(0.2))) }
    if stream.chance(0.2) { members.append(.init("slow", .double(0.3))) }
    if limits.chance(0.3) { members.append(.init("foreignNames", true)) }
    return operated([.object(members)])
  }

  func chatters() -> [JSONValue] {
    [
      rude([
        "name": "ann", "role": "chat", "count": .int(Int64(2 + stream.choose(5))),
        "devices": .int(Int64(1 + stream.choose(3))), "thinkTime": thinkTime(),
        "transports": .array(transports()),
        "actions": withErasures(actions(ChatAction.self, without: ["erase-user"], always: "send-direct")),
      ])
    ]
  }

  /// The group, with a chance of 0.3 of rude users.
  func rude(_ people: JSONValue) -> JSONValue {
    guard case .object(let members) = people, stream.chance(0.3) else { return people }
    return .object(members + [.init("rude", .double(stream.pick([0.05, 0.2])))])
  }

  /// Users whose sessions end at the User Service while they connect with them.
  static let leavers: [JSONValue] = [
    [
      "name": "ann", "role": "chat", "count": 4, "devices": 2, "thinkTime": "80ms",
      "actions": ["delete-session": 4, "vanish": 8, "send-direct": 1],
    ]
  ]

  func transports() -> [JSONValue] {
    let chosen = EngineIOClient.Transport.allCases.filter { _ in stream.chance(0.6) }
    return (chosen.isEmpty ? EngineIOClient.Transport.allCases : chosen).map { .string($0.rawValue) }
  }

  /// A few users and customers at any pace, or a crowd at a slow pace, in which some session always
  /// needs a user.
  func sessionPeople(crowded: Bool) -> [JSONValue] {
    // Many messages have to be relayed.
    let isTalk = crowded && stream.chance(0.5)
    return [
      [
        "name": "cora", "role": "customer", "count": .int(Int64(crowded ? 3 : 1 + stream.choose(3))),
        "users": .int(Int64(crowded ? 2 : 1 + stream.choose(3))),
        "thinkTime": crowded ? "1s" : thinkTime(),
        "actions": isTalk ? ["say": 1] : actions(CustomerAction.self, always: "say"),
      ],
      rude([
        "name": "ann", "role": "user", "count": .int(Int64(crowded ? Self.crowd : 2 + stream.choose(5))),
        "thinkTime": crowded ? "1s" : thinkTime(),
        "transports": .array(transports()),
        // Users depart by the script. At random all would be gone soon.
        "actions": isTalk ? ["say": 1] : actions(SupervisedUserAction.self, without: ["depart"], always: "say"),
      ]),
    ]
  }

  static let crowd = 6
}
