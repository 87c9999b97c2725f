import System

/// Bursts in drawn scenarios.
extension ScenarioDraw {
  /// The people, with a chance of 0.3 of bursts. All groups have the same, so that people of
  /// different roles act at the same moments. Operators have none: too many changes of one account
  /// at once cannot be judged.
  func hurried(_ people: JSONValue) -> JSONValue {
    guard bursts.chance(0.3) else { return people }
    let burst: JSONValue = [
      "every": .string(bursts.pick(["700ms", "2s", "2.5s", "6s"])), "actions": .int(Int64(2 + bursts.choose(4))),
    ]
    return .array(
      (people.array ?? []).map { group in
        guard let role = Role(rawValue: group["role"]?.string ?? Role.account.rawValue) else { return group }
        return Role.withoutScript.contains(role) || role == .operator ? group : group.setting("bursts", burst)
      })
  }
}
