import Environment
import Simulation
import System

/// How the second world of a pair differs from the first. What clients are answered, and what they
/// can read in the end, must not.
enum WorldRelation: Sendable {
  /// Other latencies, and other splits of the bytes.
  case network(LinkSetting)
  /// All services restart after every few turns, while nothing happens.
  case restart(turns: Int, SimNode.Death)
  /// Users who have nothing to do with the others act between their turns.
  case bystanders
  /// Another number of nodes of the User Service and of the Chat Service.
  case nodes(users: Int, chat: Int)
  /// The tables are in PostgreSQL instead of files, or the other way round.
  case database
  /// All connections use TLS, or none does.
  case tls

  /// The names in scenario files.
  enum Name: String, CaseIterable {
    case network, restart, bystanders, nodes, database, tls
  }

  /// What is different in the second world, in words.
  var sentence: String {
    switch self {
    case .network: "another network"
    case .restart(let turns, let death):
      "a restart (\(death.rawValue)) of all services after \(turns == 1 ? "every turn" : "every \(turns) turns")"
    case .bystanders: "unrelated users beside them"
    case .nodes(let users, let chat): "users: \(users) and chat: \(chat) nodes"
    case .database: "the other database"
    case .tls: "TLS the other way round"
    }
  }
}

extension Scenario {
  /// The most turns that are drawn.
  static let mostTurns: ClosedRange<Int64> = 0...1000
  /// The name of the users who are only in the second world.
  static let bystander = "bystander"

  /// The roles whose users can act in turns.
  static let rolesWithTurns: Set<Role> = [.account, .chat]

  /// The world of the second run; nil unless the scenario asks for one.
  var other: Scenario? {
    guard let relation = again else { return nil }
    var other = self
    other.again = nil
    switch relation {
    case .network(let link): other.link = link
    case .restart(let turns, let death): other.restarts = (turns, death)
    case .bystanders: other.hasBystanders = true
    case .nodes(let users, let chat): (other.usersCount, other.chatCount) = (users, chat)
    case .database: other.hasDatabaseServer.toggle()
    case .tls: other.hasTLS.toggle()
    }
    for index in other.people.indices {
      (other.people[index].usersNodes, other.people[index].chatNodes) = (other.usersNodes, other.chatNodes)
    }
    return other
  }

  /// The users who have nothing to do with the others: of their kind, under names of their own.
  var bystanders: [UserGroup] {
    guard hasBystanders, var group = people.first(where: { $0.role == .chat }) ?? people.first else { return [] }
    group.name = Self.bystander
    group.count = group.role == .chat ? 2 : 1
    // They share nothing with the others.
    (group.sharedNames, group.sharedSessions) = (0, 0)
    return [group]
  }

  // MARK: Parsing

  /// Reads `turns` and `again`.
  mutating func readTurns(_ root: ScenarioValue) {
    turns = root.read("turns") { try $0.int(Self.mostTurns) }
    if turns != nil {
      // The order of the turns decides what happens, and not how long they take.
      if root["grace"] == nil { grace = .seconds(86_400) }
      if people.contains(where: { !Self.rolesWithTurns.contains($0.role) }) {
        root["turns"]?.note("only people of the roles account and chat act in turns")
      }
      for index in people.indices {
        (people[index].missing, people[index].ending) = (service.vanishing, .seconds(5))
        people[index].rest = .seconds(2)
        people[index].patience = Self.endlessPatience
      }
    }
    guard let value = root["again"] else { return }
    again = value.read { try relation($0) }
    if turns == nil { value.note("a second run needs \"turns\": otherwise the schedule decides what happens") }
    if !faults.isEmpty { value.note("a second run cannot be compared if there are faults") }
    if end != nil { value.note("a second run cannot be compared if it ends early") }
    if people.contains(where: { $0.cutOff > 0 || $0.slow > 0 || $0.rude > 0 }) {
      value.note("a second run cannot be compared if requests are cut off or slow, or people are rude")
    }
    if peopleNames.contains(where: { $0.lowercased().hasPrefix(Self.bystander) }) {
      value.note("\"\(Self.bystander)\" is the name of users of the second run")
    }
  }

  /// In a world without faults every request is answered. A user who gave up before would not know
  /// what it did.
  private static let endlessPatience: Duration = .seconds(3600)

  private func relation(_ value: ScenarioValue) throws(ScenarioError) -> WorldRelation {
    guard let kind = value["relation"] else { throw value.error("a second run needs a \"relation\"") }
    func need(_ keys: String...) { value.requireKeys(["relation"] + keys) }
    switch try kind.oneOf(WorldRelation.Name.self) {
    case .network:
      need("network")
      guard let network = value["network"] else { throw value.error("another network needs \"network\"") }
      return .network(Self.link(network))
    case .restart:
      need("every", "power")
      let turns = value.read("every") { try $0.int(Bounds.each) } ?? 1
      let isPower = value.read("power") { try $0.bool() } ?? false
      return .restart(turns: turns, isPower ? .power : .kill)
    case .bystanders:
      need()
      return .bystanders
    case .nodes:
      need("users", "chat")
      guard hasDatabaseServer else { throw kind.error("several nodes need database: \"postgresql\"") }
      let users = value.read("users") { try $0.int(Bounds.nodes) } ?? usersCount
      let chat = value.read("chat") { try $0.int(Bounds.nodes) } ?? chatCount
      if value["chat"] != nil, !hasChat { throw kind.error("there is no Chat Service") }
      return .nodes(users: users, chat: chat)
    case .database:
      need()
      guard usersCount == 1, chatCount == 1 else { throw kind.error("several nodes need PostgreSQL") }
      return .database
    case .tls:
      need()
      return .tls
    }
  }
}
