import Simulation
import System

/// PostgreSQL in drawn scenarios.
extension ScenarioDraw {
  /// The share of the worlds of the User Service, and of those of the Chat Service, with
  /// PostgreSQL.
  private static let share = 0.34

  /// The share of the worlds with supervised sessions. A run of them takes several times as long.
  private static let shareOfSessions = 0.12

  /// The share of the chats over PostgreSQL with several nodes.
  private static let shareOfSeveral = 0.5

  /// The scenario, with a chance of a PostgreSQL in its world, of a second node of the User
  /// Service and of several nodes of the Chat Service, and with one to three faults around them.
  /// Few worlds have a PostgreSQL, and without a fault of it they show little.
  func onServer(_ scenario: JSONValue, _ seconds: Int) -> JSONValue {
    let hasSessions = scenario["topology"]?["supervisorHosts"] != nil
    guard servers.chance(hasSessions ? Self.shareOfSessions : Self.share) else { return scenario }
    var topology = (scenario["topology"] ?? .object([])).setting("database", .string(Scenario.databaseNode))
    let count = 1 + servers.choose(2)
    if count > 1 { topology = topology.setting("users", .int(Int64(count))) }
    let hasChat = scenario["topology"]?["chat"] != nil || hasSessions
    let nodes =
      [Scenario.databaseNode] + Scenario.usersNodes(count) + (hasChat ? [Scenario.chatNode] : [])
      + (hasSessions ? [Scenario.managerNode, Scenario.customersNode] : [])
    let faults = (0..<1 + servers.choose(3)).map { _ -> JSONValue in
      if servers.chance(0.5) {
        let node = servers.chance(0.5) ? nodes[0] : servers.pick(nodes)
        return fault(nodes, Self.groups(scenario), on: node, seconds, from: servers)
      }
      let begin = 1 + servers.choose(max(1, seconds / 3))
      return .object(
        [.init("from", .string("\(begin)s")), .init("to", .string("\(begin + 1 + servers.choose(seconds - begin))s"))]
          + DatabaseFault.draw(servers))
    }
    return nearServer(
      severalChats(
        scenario.setting("topology", topology).setting("faults", .array((scenario["faults"]?.array ?? []) + faults)),
        seconds))
  }

  /// The scenario with a chance of a second and a third node of its Chat Service, and of faults of
  /// the nodes.
  private func severalChats(_ scenario: JSONValue, _ seconds: Int) -> JSONValue {
    guard let topology = scenario["topology"], topology["chat"] != nil || topology["supervisorHosts"] != nil,
      chats.chance(Self.shareOfSeveral)
    else { return scenario }
    let nodes = Scenario.chatNodes(2 + chats.choose(2))
    let all = Scenario.usersNodes(Int(topology["users"]?.int ?? 1)) + nodes + [Scenario.databaseNode]
    let faults = (0..<chats.choose(4)).map { _ in
      fault(all, Self.groups(scenario), on: chats.pick(nodes), seconds, from: chats)
    }
    let several = scenario.setting("topology", topology.setting("chat", .int(Int64(nodes.count))))
      .setting("faults", .array((scenario["faults"]?.array ?? []) + faults))
    guard topology["supervisorHosts"] != nil, case .object(let members) = several else { return several }
    // Which node consumes the messages for users at rest, and which ones wait for that, is open.
    return .object(members.filter { $0.name != "atRest" })
  }

  /// The scenario with a near network if its Chat Service uses a PostgreSQL, and a nearer one if
  /// its User Manager does. A transaction of the chat takes about eight round trips, a commit of
  /// the manager several for each message, and the next one waits for it.
  func nearServer(_ scenario: JSONValue) -> JSONValue {
    guard let topology = scenario["topology"], topology["database"] != nil else { return scenario }
    let network = scenario["network"] ?? .object([])
    if topology["supervisorHosts"] != nil {
      return scenario.setting("network", network.setting("latency", .string(Self.nearest)))
    }
    guard topology["chat"] != nil, network["latency"]?.string == Self.far else { return scenario }
    return scenario.setting("network", network.setting("latency", .string(Self.near)))
  }
}
