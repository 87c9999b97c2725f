import Simulation
import System

/// Draws whole scenarios as JSON: a random subset of the actions and the faults, with random
/// intensities (swarm testing: Groce et al., ISSTA 2012). With some parts left out, the others meet
/// more often.
public struct ScenarioDraw {
  let stream: ChoiceStream
  /// A stream of its own, so that attackers change nothing else of a drawn scenario.
  let attacks: ChoiceStream
  /// The same for callers.
  let calls: ChoiceStream
  private let disks: ChoiceStream
  /// The same for operators.
  let operators: ChoiceStream
  /// The same for TLS.
  let secrets: ChoiceStream
  /// The same for PostgreSQL.
  let servers: ChoiceStream
  /// The same for several nodes of the Chat Service.
  let chats: ChoiceStream
  /// The same for limits of services and of names.
  let limits: ChoiceStream
  /// The same for work limits.
  let work: ChoiceStream
  /// The same for bursts.
  let bursts: ChoiceStream
  /// The same for the retention of what has ended.
  let retentions: ChoiceStream
  /// The same for sockets that are recovered.
  let recoveries: ChoiceStream
  /// The same for pairs of runs.
  let pairs: ChoiceStream
  let planted: [String]

  /// Makes a generator for a seed. Each scenario plants the bugs `planted`.
  public init(seed: UInt64, planted: [String] = []) {
    self.planted = planted
    let choices = Choices(seed: seed, hash: RunHash())
    stream = choices.stream("draw")
    attacks = choices.stream("draw/attacks")
    calls = choices.stream("draw/calls")
    disks = choices.stream("draw/disks")
    operators = choices.stream("draw/operators")
    secrets = choices.stream("draw/tls")
    servers = choices.stream("draw/postgresql")
    chats = choices.stream("draw/chats")
    limits = choices.stream("draw/limits")
    work = choices.stream("draw/work")
    bursts = choices.stream("draw/bursts")
    retentions = choices.stream("draw/retention")
    recoveries = choices.stream("draw/recoveries")
    pairs = choices.stream("draw/pairs")
  }

  // MARK: Whole scenarios

  /// A special situation in a drawn scenario. It gets few other faults.
  private enum Situation {
    case none
    /// Some session always needs a user.
    case crowd
    /// Sessions end while users connect with them.
    case leavers
    /// A disk does not keep what it confirms.
    case lyingDisk
  }

  /// The beginning of a scenario: its members, the nodes where faults strike, and faults.
  private struct Beginning {
    var members: [JSONValue.Member] = []
    var people: JSONValue = []
    var nodes: [String] = []
    var faults: [JSONValue] = []
    var situation = Situation.none
  }

  /// A new scenario.
  public func scenario(_ number: UInt64) -> JSONValue {
    if pairs.chance(Self.shareOfPairs) { return pair(number) }
    let kind =
      calls.chance(0.15)
      ? "calls"
      : stream.pick([
        "accounts", "accounts", "chat", "chat", "chat", "sessions", "sessions", "sessions", "sessions", "queues",
        "queues",
      ])
    let drawn = beginning(kind)
    let isSpecial = drawn.situation != .none
    var members = [JSONValue.Member("name", .string("drawn \(number): \(kind)"))] + drawn.members
    var faults = drawn.faults
    if kind == "chat" || kind == "sessions" || kind == "calls" { members.append(.init("service", heartbeats())) }
    if stream.chance(isSpecial ? 0.2 : 0.5) { members.append(.init("network", network())) }
    let people = isSpecial ? drawn.people : hurried(kind == "calls" ? drawn.people : called(drawn.people, kind))
    members.append(.init("people", people))
    var seconds = duration(of: people)
    switch drawn.situation {
    case .lyingDisk: seconds = max(seconds, 15)
    case .leavers:
      faults += ["chat", "users"].map { ["from": "2s", "every": "4s", "pause": .string($0), "for": "1s…3s"] }
      seconds = 15
    case .crowd:
      let (script, fault, end) = standstill()
      members.append(.init("script", script))
      faults.append(fault)
      seconds = max(seconds, end)
    case .none where kind == "chat" || kind == "sessions":
      // With users who act fast it would be a long run.
      if seconds >= 10, stream.chance(0.4) {
        let (script, fault, end) =
          kind == "chat"
          ? unheard("delete-session", by: "users", from: "chat")
          : unheard("depart", by: "broker", from: stream.pick(["chat", "supervisor-1"]))
        members.append(.init("script", script))
        faults.append(fault)
        seconds = max(seconds, end)
      } else if kind == "sessions", stream.chance(0.5) {
        members.append(.init("script", departures(within: seconds)))
      }
    case .none: break
    }
    members.append(.init("run", .string("\(seconds)s")))
    let names = Self.groups(JSONValue.object(members))
    faults += self.faults(drawn.nodes, names, seconds, most: isSpecial ? 1 : 4)
    members.append(.init("faults", .array(faults)))
    if disks.chance(0.25) { members.append(.init("splitDiskWork", true)) }
    if endsAtRest(drawn.nodes, people, kind) { members.append(.init("atRest", true)) }
    if !planted.isEmpty { members.append(.init("plant", .array(planted.map { .string($0) }))) }
    var scenario = isSpecial || kind == "calls" ? .object(members) : attacked(.object(members), kind)
    if ["accounts", "chat", "sessions"].contains(kind) { scenario = onServer(scenario, seconds) }
    scenario = forgetful(limited(scenario, drawn.nodes), drawn.nodes)
    return secured(isSpecial ? scenario : lowered(scenario, drawn.nodes), drawn.nodes, seconds)
  }

  private func beginning(_ kind: String) -> Beginning {
    var drawn = Beginning()
    switch kind {
    case "accounts":
      drawn.nodes = ["users"]
      drawn.people = .array(accounts())
    case "chat":
      drawn.nodes = ["chat", "chat", "users"]
      drawn.members.append(.init("topology", ["chat": 1]))
      if stream.chance(0.1) { drawn.situation = .leavers }
      drawn.people = .array((drawn.situation == .leavers ? Self.leavers : chatters()).map(recovering))
    case "calls":
      let (topology, nodes) = calledTopology()
      drawn.nodes = nodes
      if let topology { drawn.members.append(.init("topology", topology)) }
      drawn.people = [callers(of: nodes == ["broker"] ? "queues" : kind, most: 4)]
    case "queues":
      drawn.nodes = ["broker"]
      drawn.members.append(.init("topology", ["broker": 1]))
      // An unsynced log shows only when it is copied, and cut off in the middle.
      let isLying = stream.chance(0.4)
      if isLying { drawn.situation = .lyingDisk }
      drawn.people = .array(workers(busy: isLying))
      if isLying {
        drawn.faults = [
          ["from": "1s", "disk": "broker", "failingSyncs": .double(stream.pick([0.1, 0.4, 0.4]))],
          powerLosses(of: "broker", from: "1s", inCommit: 0.9),
        ]
      }
    default:
      let isCrowd = stream.chance(0.1)
      if isCrowd { drawn.situation = .crowd }
      let hosts = isCrowd ? 2 : 1 + stream.choose(3)
      drawn.nodes = ["broker", "manager", "chat", "customers", "users"] + (1...hosts).map { "supervisor-\($0)" }
      drawn.members.append(.init("topology", ["supervisorHosts": .int(Int64(hosts))]))
      drawn.people = .array(sessionPeople(crowded: isCrowd))
      // Many commits that seem to fail and did not.
      if !isCrowd, stream.chance(0.05) {
        drawn.faults.append(["from": "1s", "disk": "manager", "failingSyncs": .double(stream.pick([0.1, 0.4]))])
      }
    }
    return drawn
  }

  /// Actions of all users together in a drawn scenario. Several short runs find more than a long
  /// one, since each begins with other users, faults and orders.
  private static let actions = 150.0

  /// How many seconds users act. Users who act rarely act for longer.
  private func duration(of people: JSONValue) -> Int {
    let rate = (people.array ?? []).reduce(0.0) { sum, group in
      let burst = group["bursts"].flatMap { bursts in
        bursts.time("every").map { Double(bursts["actions"]?.int ?? 1) / $0.inSeconds }
      }
      return sum + Double(group["count"]?.int ?? 1) * (1 / (group.time("thinkTime")?.inSeconds ?? 1) + (burst ?? 0))
    }
    return max(5, min(30, Int(Self.actions / max(rate, 0.1)))) + stream.choose(5)
  }

  /// A scenario to vary.
  public struct Given {
    let json: JSONValue
    let nodes: [String]
    let people: [String]
    let seconds: Int

    /// Reads a scenario; nil if it is invalid.
    public init?(_ json: JSONValue) {
      guard let scenario = try? Scenario(parsing: Array(json.text.utf8), file: "given") else { return nil }
      self.json = json
      nodes = scenario.serviceNodes
      people = ScenarioDraw.groups(json)
      seconds = max(4, Int(scenario.run.components.seconds))
    }
  }

  /// A variation of a given scenario, with other intensities and more faults.
  public func variation(of given: Given) -> JSONValue {
    let (scenario, nodes, seconds) = (given.json, given.nodes, given.seconds)
    guard case .object(var members) = scenario else { return scenario }
    if scenario["again"] != nil { return variation(ofPair: scenario) }
    members.removeAll {
      ["expect", "sometimes", "seed", "strategy", "choices", "fails", "grace", "end"].contains($0.name)
        || $0.name == "script" && stream.chance(0.3)
    }
    for (index, member) in members.enumerated() {
      switch member.name {
      case "people": members[index].value = hurried(.array((member.value.array ?? []).map(varied)))
      case "network" where stream.chance(0.5): members[index].value = network()
      default: continue
      }
    }
    let kept = (scenario["faults"]?.array ?? []).filter { _ in stream.chance(0.7) }.prefix(Self.mostFaults)
    members.removeAll { $0.name == "faults" }
    members.append(.init("faults", .array(kept + faults(nodes, given.people, seconds, most: 2))))
    if !planted.isEmpty, scenario["plant"] == nil {
      members.append(.init("plant", .array(planted.map { .string($0) })))
    }
    return secured(nearServer(lowered(.object(members), nodes)), nodes, seconds)
  }

  private func varied(_ people: JSONValue) -> JSONValue {
    guard case .object(var members) = people else { return people }
    members.removeAll { $0.name == "thinkTime" && stream.chance(0.5) }
    if !members.contains(where: { $0.name == "thinkTime" }) { members.append(.init("thinkTime", thinkTime())) }
    return .object(members)
  }

  /// The most faults that a variation keeps.
  private static let mostFaults = 6

  // MARK: Faults

  /// Heartbeats shorter than the default: an abandoned socket is noticed while others act, and the
  /// run comes to rest sooner.
  private func heartbeats() -> JSONValue {
    stream.pick([
      ["pingInterval": "2s", "pingTimeout": "2s"], ["pingInterval": "5s", "pingTimeout": "3s"],
      ["pingInterval": "8s", "pingTimeout": "6s"],
    ])
  }

  private func network() -> JSONValue {
    [
      "splits": .double(stream.pick([0.1, 0.5, 0.9])), "stalls": .double(stream.pick([0.001, 0.01, 0.05])),
      "latency": .string(stream.pick(["100us…1ms", Self.near, Self.far])),
    ]
  }

  /// Often all faults strike the same node, so that the effects of one meet the next.
  private func faults(_ nodes: [String], _ people: [String], _ seconds: Int, most: Int) -> [JSONValue] {
    let focus = stream.chance(0.4) ? stream.pick(nodes) : nil
    return (0..<stream.choose(most + 1)).flatMap { _ -> [JSONValue] in
      let node = focus ?? stream.pick(nodes)
      let drawn = fault(nodes, people, on: node, seconds, from: stream)
      // When the node resumes, the data that came meanwhile is there and the connection is not.
      if drawn["pause"] != nil, stream.chance(0.4) {
        let every = JSONValue.string("\(1 + stream.choose(2))s")
        return [drawn, ["from": drawn["from"]!, "every": every, "reset": .string(node)]]
      }
      // A loss of power shows what a failed sync has left on the disk.
      guard drawn["failingSyncs"] != nil, stream.chance(0.5) else { return [drawn] }
      return [drawn, powerLosses(of: node, from: drawn["from"]!, inCommit: 0.5)]
    }
  }

  private func powerLosses(of node: String, from begin: JSONValue, inCommit chance: Double) -> JSONValue {
    [
      "from": begin, "every": .string("\(1 + stream.choose(3))s"), "crash": .string(node), "power": true,
      "inCommit": .bool(stream.chance(chance)),
    ]
  }

  /// Latencies of a network within a data centre, within a region, and across the world.
  static let (nearest, near, far) = ("100us…2ms", "1ms…20ms", "20ms…200ms")

  static func groups(_ scenario: JSONValue) -> [String] {
    (scenario["people"]?.array ?? []).compactMap { $0["name"]?.string }
  }

  /// The nodes that a node talks to. A partition from any other one would change nothing.
  private static func peers(of name: String, _ nodes: [String], _ people: [String]) -> [String] {
    let peers =
      switch name {
      case "users":
        ["chat", "customers", Scenario.databaseNode] + nodes.filter { $0.hasPrefix(Scenario.chatNode + "-") }
      case Scenario.databaseNode:
        nodes.filter { name in
          [Scenario.usersNode, Scenario.chatNode].contains { name.hasPrefix($0) }
            || [Scenario.managerNode, Scenario.customersNode].contains(name)
        }
      case _ where name.hasPrefix(Scenario.usersNode): [Scenario.databaseNode]
      case "broker": nodes.filter { $0 != "users" && $0 != "broker" }
      case _ where name.hasPrefix(Scenario.chatNode): ["broker", "users", Scenario.databaseNode]
      case Scenario.customersNode: ["broker", "users", Scenario.databaseNode]
      case Scenario.managerNode: ["broker", Scenario.databaseNode]
      default: ["broker"]
      }
    let there = peers.filter(nodes.contains)
    return there.isEmpty ? people : there
  }

  func fault(
    _ nodes: [String], _ people: [String], on name: String, _ seconds: Int, from stream: ChoiceStream
  ) -> JSONValue {
    let begin = 1 + stream.choose(max(1, seconds / 3))
    var members: [JSONValue.Member] = [.init("from", .string("\(begin)s"))]
    let again = JSONValue.Member("every", .string("\(1 + stream.choose(max(2, seconds / 3)))s"))
    // Once, and longer than a lease with its end: a node that was cut off returns after it was
    // replaced.
    let longest = seconds - begin
    let lasting =
      longest > 8 && stream.chance(0.5)
      ? JSONValue.Member("to", .string("\(begin + 8 + stream.choose(min(8, longest - 8)))s")) : nil
    let restart = JSONValue.Member("restartAfter", .string(stream.pick(["10ms…200ms", "100ms…2s", "1s…6s", "4s…12s"])))
    let draw = FaultDraw(
      stream: stream, node: name, peers: Self.peers(of: name, nodes, people), every: again, to: lasting,
      restartAfter: restart)
    members += stream.pick(Fault.kinds.flatMap { $0.draws })(draw)
    return .object(members)
  }
}
