import System

extension UserGroup {
  /// The keys of all groups.
  private static let commonKeys = ["name", "count", "role", "thinkTime", "actions", "patience", "rest"]
  /// The other keys of each role.
  private static let keys: [Role: [String]] = [
    .account: ["bursts", "sharedNames", "mixesNames", "foreignNames", "sharedSessions", "cutOff", "slow", "slowPause"],
    .chat: ["bursts", "devices", "contacts", "transports", "rude", "recover"],
    .user: ["bursts", "transports", "rude"],
    .customer: ["bursts", "users"],
    .attacker: ["bursts"],
    .caller: ["bursts", "devices", "transports"],
    .operator: ["bursts"],
    .worker: ["batch", "workTime", "failing", "limits", "methods"],
  ]

  /// Reads a group. A wrong value is noted, and the default stays.
  init(_ value: ScenarioValue) {
    value.read("role", into: &role) { try $0.oneOf(Role.self) }
    Self.checkKeys(value, role)
    if value.value.members != nil, value["name"] == nil { value.note("people need a \"name\"") }
    value.read("name", into: &name) { try Self.name($0) }
    value.read("count", into: &count) { try $0.int(Bounds.people) }
    value.read("thinkTime", into: &thinkTime) { try $0.duration(Bounds.interval) }
    bursts = value.read("bursts") { Bursts($0) }
    value.read("sharedNames", into: &sharedNames) { try $0.int(Bounds.shared) }
    value.read("mixesNames", into: &mixesNames) { try $0.bool() }
    value.read("foreignNames", into: &foreignNames) { try $0.bool() }
    value.read("sharedSessions", into: &sharedSessions) { try $0.int(Bounds.shared) }
    value.read("patience", into: &patience) { try $0.duration(Bounds.interval) }
    value.read("cutOff", into: &cutOff) { try $0.chance() }
    value.read("slow", into: &slow) { try $0.chance() }
    value.read("slowPause", into: &slowPause) { try $0.duration(Bounds.pause) }
    value.read("rude", into: &rude) { try $0.chance() }
    value.read("recover", into: &recover) { try $0.chance() }
    value.read("batch", into: &batch) { try $0.int(Bounds.each) }
    value.read("workTime", into: &workTime) { try $0.duration(Bounds.pause) }
    value.read("failing", into: &failing) { try $0.chance() }
    value.read("limits", into: &limits) { try $0.bool() }
    value.read("methods", into: &methods) { try $0.bool() }
    value.read("users", into: &users) { try $0.int(Bounds.each) }
    value.read("devices", into: &devices) { try $0.int(Bounds.each) }
    value.read("contacts", into: &contacts) { try $0.int(Bounds.each) }
    if value["transports"] != nil {
      transports = value.list("transports").compactMap { $0.read { try $0.oneOf(EngineIOClient.Transport.self) } }
      if transports.isEmpty { value["transports"]?.note("at least one transport is needed") }
    }
    guard let weighted = value["actions"] else { return }
    if bursts != nil, weighted.value == .object([]) {
      value["bursts"]?.note("users who follow only the script have no bursts")
    }
    switch role {
    case .account: actions = weights(value)
    case .chat: chatActions = weights(value)
    case .attacker, .caller: connectionActions = weights(value)
    case .user: userActions = weights(value)
    case .customer: customerActions = weights(value)
    case .operator: operatorActions = weights(value)
    case .vandal, .worker: _ = weights(value) as [(action: CustomerAction, weight: Int)]
    }
  }

  private static func checkKeys(_ value: ScenarioValue, _ role: Role) {
    value.requireKeys(commonKeys + Role.allCases.flatMap { keys[$0] ?? [] })
    for member in value.value.members ?? [] {
      let roles = Role.allCases.filter { keys[$0]?.contains(member.name) ?? false }
      guard !roles.isEmpty, !roles.contains(role) else { continue }
      let named = roles.map(\.rawValue).joined(separator: " or ")
      value.note(key: member.name, "\"\(member.name)\" is for people of the role \(named)")
    }
  }

  /// A name that fits in a URL, in an email address and in the name of a queue.
  private static func name(_ value: ScenarioValue) throws(ScenarioError) -> String {
    let name = try value.string()
    let bytes = Array(name.utf8)
    let letters = UInt8(ascii: "a")...UInt8(ascii: "z")
    let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
    func isLetter(_ byte: UInt8) -> Bool { letters ~= byte | 0x20 }
    guard Bounds.name.contains(bytes.count), isLetter(bytes[0]), bytes[bytes.count - 1] != UInt8(ascii: "-"),
      bytes.allSatisfy({ isLetter($0) || digits ~= $0 || $0 == UInt8(ascii: "-") })
    else {
      throw value.error(
        "\"\(name)\" cannot be a name: names have 1 to \(Bounds.name.upperBound) ASCII letters, digits and hyphens,"
          + " a letter first and no hyphen last")
    }
    return name
  }

  private func weights<A: RawRepresentable>(_ value: ScenarioValue) -> [(action: A, weight: Int)]
  where A.RawValue == String {
    value.table("actions").compactMap { key, weight in
      guard role.actions.contains(key), let action = A(rawValue: key) else {
        value["actions"]?.note(key: key, role.unknown(key))
        return nil
      }
      return weight.read { try $0.int(Bounds.weight) }.map { (action, $0) }
    }
  }
}

extension Bursts {
  fileprivate init(_ value: ScenarioValue) {
    value.requireKeys(["every", "actions"])
    value.read("every", into: &every) { try $0.duration(Bounds.interval) }
    value.read("actions", into: &actions) { try $0.int(Bounds.burst) }
  }
}
