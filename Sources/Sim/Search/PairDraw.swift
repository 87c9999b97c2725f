import Simulation
import System

/// Pairs of runs in drawn scenarios: users who act in turns, in two worlds that differ by one
/// relation.
extension ScenarioDraw {
  /// The share of drawn scenarios that are pairs.
  static let shareOfPairs = 0.05
  private static let mostTurns = 30

  /// A new pair.
  func pair(_ number: UInt64) -> JSONValue {
    let hasChat = pairs.chance(0.6)
    let hasServer = pairs.chance(0.5)
    var topology: [JSONValue.Member] = []
    if hasChat { topology.append(.init("chat", 1)) }
    if hasServer { topology.append(.init("database", .string(Scenario.databaseNode))) }
    var members: [JSONValue.Member] = [.init("name", .string("drawn \(number): pair"))]
    if !topology.isEmpty { members.append(.init("topology", .object(topology))) }
    if pairs.chance(0.2) { members.append(.init("network", otherNetwork())) }
    members.append(.init("people", [hasChat ? pairedChatters() : pairedAccounts()]))
    let turns = 5 + pairs.choose(Self.mostTurns)
    // Steps of a script that shrinking writes are within the run.
    members += [.init("turns", .int(Int64(turns))), .init("run", .string("\(turns + 5)s"))]
    if !planted.isEmpty { members.append(.init("plant", .array(planted.map { .string($0) }))) }
    let scenario = JSONValue.object(members)
    return scenario.setting("again", relation(of: scenario))
  }

  /// A variation of a pair: other turns, or another relation.
  func variation(ofPair scenario: JSONValue) -> JSONValue {
    let kept = (scenario.members ?? []).filter {
      !["expect", "sometimes", "seed", "strategy", "choices", "fails"].contains($0.name)
    }
    let varied = JSONValue.object(kept)
    return pairs.chance(0.5) ? varied.setting("again", relation(of: varied)) : varied
  }

  /// A relation that the world of a pair allows.
  private func relation(of scenario: JSONValue) -> JSONValue {
    let topology = scenario["topology"]
    let hasChat = topology?["chat"] != nil
    func single(_ service: String) -> Bool { topology?[service]?.int ?? 1 == 1 }
    var names: [WorldRelation.Name] = [.network, .restart, .restart, .bystanders, .bystanders, .tls]
    if single("users"), single("chat") { names.append(.database) }
    if topology?["database"] != nil { names += [.nodes, .nodes] }
    let name = pairs.pick(names)
    let relation: JSONValue = ["relation": .string(name.rawValue)]
    switch name {
    case .network: return relation.setting("network", otherNetwork())
    case .restart:
      let restart = relation.setting("every", .int(Int64(pairs.pick([1, 1, 3]))))
      return pairs.chance(0.5) ? restart.setting("power", true) : restart
    case .nodes:
      let several = relation.setting("users", .int(Int64(1 + pairs.choose(2))))
      return hasChat ? several.setting("chat", .int(Int64(2 + pairs.choose(2)))) : several.setting("users", 2)
    case .bystanders, .database, .tls: return relation
    }
  }

  /// A network in which no heartbeat is late.
  private func otherNetwork() -> JSONValue {
    [
      "latency": .string(pairs.pick(["100us…1ms", Self.near, Self.near, "20ms…60ms"])),
      "splits": .double(pairs.pick([0, 0.5, 0.9])), "stalls": .double(pairs.pick([0, 0.001, 0.01])),
      "stall": "200ms…800ms",
    ]
  }

  private func pairedAccounts() -> JSONValue {
    var members: [JSONValue.Member] = [
      .init("name", "ann"), .init("count", .int(Int64(1 + pairs.choose(4)))),
      .init("actions", weights(AccountAction.self)),
    ]
    if pairs.chance(0.3) { members.append(.init("sharedSessions", .int(Int64(1 + pairs.choose(4))))) }
    if pairs.chance(0.2) { members.append(.init("sharedNames", .int(Int64(1 + pairs.choose(3))))) }
    if pairs.chance(0.3) { members.append(.init("foreignNames", true)) }
    return .object(members)
  }

  private func pairedChatters() -> JSONValue {
    let transports = EngineIOClient.Transport.allCases.filter { _ in pairs.chance(0.6) }
    return [
      "name": "ann", "role": "chat", "count": .int(Int64(2 + pairs.choose(4))),
      "devices": .int(Int64(1 + pairs.choose(2))), "actions": weights(ChatAction.self),
      "transports": .array((transports.isEmpty ? [.webSocket] : transports).map { .string($0.rawValue) }),
    ]
  }

  /// A random half of the actions of a role, each with a weight.
  private func weights<A: RawRepresentable & CaseIterable>(_ type: A.Type) -> JSONValue where A.RawValue == String {
    let all = Array(A.allCases)
    let chosen = all.filter { _ in pairs.chance(0.5) }
    return .object(
      (chosen.isEmpty ? [pairs.pick(all)] : chosen).map { .init($0.rawValue, .int(Int64(1 + pairs.choose(5)))) })
  }
}
