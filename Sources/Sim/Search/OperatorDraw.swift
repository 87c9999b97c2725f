import System

/// Operators in drawn scenarios.
extension ScenarioDraw {
  /// The actions of users of the chat, with a chance of 0.3 with erasures of their accounts.
  func withErasures(_ actions: JSONValue) -> JSONValue {
    guard operators.chance(0.3), case .object(let members) = actions else { return actions }
    return .object(members + [.init("erase-user", .int(Int64(1 + operators.choose(3))))])
  }

  /// The people, with a chance of 0.4 with operators of their accounts among them.
  func operated(_ people: [JSONValue]) -> [JSONValue] {
    guard operators.chance(0.4) else { return people }
    let all = OperatorAction.allCases.filter(\.isAboutAccounts)
    let actions = all.filter { _ in operators.chance(0.7) }
    return people + [
      [
        "name": "op", "role": "operator", "count": .int(Int64(1 + operators.choose(2))),
        "thinkTime": .string(operators.pick(["100ms", "500ms", "2s"])),
        "actions": .object((actions.isEmpty ? all : actions).map { .init($0.rawValue, 1) }),
      ]
    ]
  }
}
