import Simulation
import System

/// Draws whole scenarios, as the JSON of their files: a random subset of what people can do and of what can go wrong, with random
/// intensities (swarm testing: Groce et al., ISSTA 2012). A part that is left out makes room for the others to meet.
public struct ScenarioDraw {
  private let stream: ChoiceStream
  /// Of its own, so that attackers change nothing else of a drawing.
  let attacks: ChoiceStream
  private let planted: [String]

  /// A drawing that is a function of the seed. Bugs that are planted are planted in each scenario.
  public init(seed: UInt64, planted: [String] = []) {
    self.planted = planted
    let choices = Choices(seed: seed, hash: RunHash())
    stream = choices.stream("draw")
    attacks = choices.stream("draw/attacks")
  }

  // MARK: Whole scenarios

  /// A scenario of its own.
  public func scenario(_ number: UInt64) -> JSONValue {
    let kind = stream.pick([
      "accounts", "accounts", "chat", "chat", "chat", "sessions", "sessions", "sessions", "sessions", "queues",
    ])
    var members: [JSONValue.Member] = [.init("name", .string("drawn \(number): \(kind)"))]
    let nodes: [String]
    var faults: [JSONValue] = []
    var (isCrowd, areLeavers, isLying) = (false, false, false)
    switch kind {
    case "accounts":
      nodes = ["users"]
      members.append(.init("people", .array(accounts())))
    case "chat":
      nodes = ["chat", "chat", "users"]
      members.append(.init("topology", ["chat": 1]))
      areLeavers = stream.chance(0.1)
      members.append(.init("people", .array(areLeavers ? Self.leavers : chatters())))
    case "queues":
      nodes = ["broker"]
      members.append(.init("topology", ["broker": 1]))
      // All along, with much to write: a log that was never synced has to be copied, cut off in the middle, before it shows.
      isLying = stream.chance(0.4)
      members.append(.init("people", .array(workers(busy: isLying))))
      if isLying {
        faults.append(["from": "1s", "disk": "broker", "failingSyncs": .double(stream.pick([0.1, 0.4, 0.4]))])
        faults.append(powerLosses(of: "broker", from: "1s", inCommit: 0.9))
      }
    default:
      isCrowd = stream.chance(0.1)
      let hosts = isCrowd ? 2 : 1 + stream.choose(3)
      nodes = ["broker", "manager", "chat", "customers", "users"] + (1...hosts).map { "supervisor-\($0)" }
      members.append(.init("topology", ["supervisorHosts": .int(Int64(hosts))]))
      members.append(.init("people", .array(sessionPeople(crowded: isCrowd))))
      // What seemed to have failed, and was done, again and again.
      if !isCrowd, stream.chance(0.05) {
        faults.append(["from": "1s", "disk": "manager", "failingSyncs": .double(stream.pick([0.1, 0.4]))])
      }
    }
    if kind == "chat" || kind == "sessions" { members.append(.init("service", heartbeats())) }
    // What those meet has to meet them alone.
    let isPlain = isCrowd || areLeavers || isLying
    if stream.chance(isPlain ? 0.2 : 0.5) { members.append(.init("network", network())) }
    var seconds = duration(of: members.last { $0.name == "people" }!.value)
    if isLying {
      seconds = max(seconds, 15)
    } else if areLeavers {
      faults += ["chat", "users"].map { ["from": "2s", "every": "4s", "pause": .string($0), "for": "1s…3s"] }
      seconds = 15
    } else if isCrowd {
      let (script, fault, end) = standstill()
      members.append(.init("script", script))
      faults.append(fault)
      seconds = max(seconds, end)
      // With people who think fast it would be a long run.
    } else if kind == "chat" || kind == "sessions", seconds >= 10, stream.chance(0.4) {
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
    members.append(.init("run", .string("\(seconds)s")))
    let people = Self.groups(JSONValue.object(members))
    members.append(.init("faults", .array(faults + self.faults(nodes, people, seconds, most: isPlain ? 1 : 4))))
    if !planted.isEmpty { members.append(.init("plant", .array(planted.map { .string($0) }))) }
    return isPlain ? .object(members) : attacked(.object(members), kind)
  }

  /// Actions of all people together in a drawn scenario. More of them in one run say less than as many in several: each run begins with
  /// other people, faults and orders.
  private static let actions = 150.0

  /// How many seconds people act: the more slowly they think, the longer.
  private func duration(of people: JSONValue) -> Int {
    let rate = (people.array ?? []).reduce(0.0) { sum, group in
      let pause = group["thinkTime"]?.string.flatMap(DurationText.parse)?.inSeconds ?? 1
      return sum + Double(group["count"]?.int ?? 1) / pause
    }
    return max(5, min(30, Int(Self.actions / max(rate, 0.1)))) + stream.choose(5)
  }

  /// A scenario to vary.
  public struct Given {
    let json: JSONValue
    let nodes: [String]
    let people: [String]
    let seconds: Int

    /// Reads it; nil when it is none.
    public init?(_ json: JSONValue) {
      guard let scenario = try? Scenario(parsing: Array(json.text.utf8), file: "given") else { return nil }
      self.json = json
      nodes = scenario.serviceNodes
      people = ScenarioDraw.groups(json)
      seconds = max(4, Int(scenario.run.components.seconds))
    }
  }

  /// A given scenario with other intensities and more that goes wrong.
  public func variation(of given: Given) -> JSONValue {
    let (scenario, nodes, seconds) = (given.json, given.nodes, given.seconds)
    guard case .object(var members) = scenario else { return scenario }
    members.removeAll {
      ["expect", "sometimes", "seed", "strategy", "choices", "fails", "grace", "end"].contains($0.name)
        || $0.name == "script" && stream.chance(0.3)
    }
    for (index, member) in members.enumerated() {
      switch member.name {
      case "people": members[index].value = .array((member.value.array ?? []).map(varied))
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
    return .object(members)
  }

  private func varied(_ people: JSONValue) -> JSONValue {
    guard case .object(var members) = people else { return people }
    members.removeAll { $0.name == "thinkTime" && stream.chance(0.5) }
    if !members.contains(where: { $0.name == "thinkTime" }) { members.append(.init("thinkTime", thinkTime())) }
    return .object(members)
  }

  /// Faults that variations of variations keep.
  private static let mostFaults = 6

  // MARK: People

  private func thinkTime() -> JSONValue { .string(stream.pick(["50ms", "150ms", "400ms", "1s", "3s"])) }

  /// Each action with an even chance to be there, and a weight.
  private func actions<A: RawRepresentable & CaseIterable>(
    _ type: A.Type, without excluded: [String] = [], always: String
  ) -> JSONValue where A.RawValue == String {
    var members = [JSONValue.Member(always, .int(Int64(1 + stream.choose(10))))]
    for action in A.allCases
    where action.rawValue != always && !excluded.contains(action.rawValue) && stream.chance(0.5) {
      members.append(.init(action.rawValue, .int(Int64(1 + stream.choose(5)))))
    }
    return .object(members)
  }

  private func accounts() -> [JSONValue] {
    var members: [JSONValue.Member] = [
      .init("name", "ann"), .init("count", .int(Int64(2 + stream.choose(8)))), .init("thinkTime", thinkTime()),
      .init("actions", actions(AccountAction.self, always: "login")),
    ]
    if stream.chance(0.3) { members.append(.init("sharedSessions", .int(Int64(1 + stream.choose(4))))) }
    if stream.chance(0.3) { members.append(.init("cutOff", .double(0.2))) }
    if stream.chance(0.2) { members.append(.init("slow", .double(0.3))) }
    return [.object(members)]
  }

  private func chatters() -> [JSONValue] {
    [
      rude([
        "name": "ann", "role": "chat", "count": .int(Int64(2 + stream.choose(5))),
        "devices": .int(Int64(1 + stream.choose(3))), "thinkTime": thinkTime(),
        "transports": .array(transports()), "actions": actions(ChatAction.self, always: "send-direct"),
      ])
    ]
  }

  /// The people, in a share of the scenarios rude.
  private func rude(_ people: JSONValue) -> JSONValue {
    guard case .object(let members) = people, stream.chance(0.3) else { return people }
    return .object(members + [.init("rude", .double(stream.pick([0.05, 0.2])))])
  }

  /// People whose sessions end at the User Service all the time, while they connect with them.
  private static let leavers: [JSONValue] = [
    [
      "name": "ann", "role": "chat", "count": 4, "devices": 2, "thinkTime": "80ms",
      "actions": ["delete-session": 4, "vanish": 8, "send-direct": 1],
    ]
  ]

  private func transports() -> [JSONValue] {
    let chosen = EngineIOClient.Transport.allCases.filter { _ in stream.chance(0.6) }
    return (chosen.isEmpty ? EngineIOClient.Transport.allCases : chosen).map { .string($0.rawValue) }
  }

  /// A few people who think as they like, or many who think slowly: with those there is always somebody who needs somebody else.
  private func sessionPeople(crowded: Bool) -> [JSONValue] {
    // Much that is said has to be heard.
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

  private static let crowd = 6

  private func workers(busy: Bool) -> [JSONValue] {
    [
      [
        "name": "work", "role": "worker", "count": .int(Int64(1 + stream.choose(3))),
        "thinkTime": .string(stream.pick(busy ? ["150ms", "400ms"] : ["150ms", "400ms", "1s"])),
        "batch": .int(busy ? 100 : stream.pick([1, 5, 20, 100])),
        "workTime": .string(stream.pick(busy ? ["1ms", "20ms"] : ["1ms", "20ms", "200ms", "1s"])),
        "failing": .double(stream.pick([0, 0.1, 0.4])),
      ]
    ]
  }

  /// One or two users of sessions go for good; there are always two.
  private func departures(within seconds: Int) -> JSONValue {
    .array(
      (1...1 + stream.choose(2)).map { number in
        ["at": .string("\(1 + stream.choose(seconds - 1))s"), "who": .string("ann-\(number)"), "does": "depart"]
      })
  }

  /// Two people do something that two services have to tell each other, and cannot, for longer than either may believe in what it
  /// knows. A supervisor that hears and is not heard does as before, beside the one that has taken its place.
  private func unheard(
    _ action: String, by other: String, from node: String
  ) -> (script: JSONValue, fault: JSONValue, end: Int) {
    let begin = 2 + stream.choose(4)
    let end = begin + 9 + stream.choose(5)
    let steps = (1...2).map { number -> JSONValue in
      ["at": .string("\(begin + 1 + stream.choose(3))s"), "who": .string("ann-\(number)"), "does": .string(action)]
    }
    let partition: JSONValue = [
      "from": .string("\(begin)s"), "to": .string("\(end)s"), "partition": [[.string(node)], [.string(other)]],
      "oneWay": .bool(node != "chat" || stream.chance(0.2)),
    ]
    return (.array(steps), partition, end + 2)
  }

  /// A host stands still for longer than it is waited for, and wakes up to what is its successor's: users go and come back all the time.
  private func standstill() -> (script: JSONValue, fault: JSONValue, end: Int) {
    let begin = 2 + stream.choose(3)
    let steps = (1...Self.crowd).flatMap { number in
      (0..<10).map { _ in (at: (begin * 10 + 55 + stream.choose(35)) * 100, who: "ann-\(number)") }
    }
    let script = steps.sorted { ($0.at, $0.who) < ($1.at, $1.who) }.map { step -> JSONValue in
      ["at": .string("\(step.at)ms"), "who": .string(step.who), "does": "disconnect"]
    }
    return (
      .array(script), ["at": .string("\(begin)s"), "pause": "supervisor-1", "for": "7s…9s"], begin + 12
    )
  }

  // MARK: Faults

  /// Shorter than by default, so that somebody who vanishes is noticed while others act, and a run comes to rest sooner.
  private func heartbeats() -> JSONValue {
    stream.pick([
      ["pingInterval": "2s", "pingTimeout": "2s"], ["pingInterval": "5s", "pingTimeout": "3s"],
      ["pingInterval": "8s", "pingTimeout": "6s"],
    ])
  }

  private func network() -> JSONValue {
    [
      "splits": .double(stream.pick([0.1, 0.5, 0.9])), "stalls": .double(stream.pick([0.001, 0.01, 0.05])),
      "latency": .string(stream.pick(["100us…1ms", "1ms…20ms", "20ms…200ms"])),
    ]
  }

  /// Often all of them strike the same node: what one of them leaves behind meets the next.
  private func faults(_ nodes: [String], _ people: [String], _ seconds: Int, most: Int) -> [JSONValue] {
    let focus = stream.chance(0.4) ? stream.pick(nodes) : nil
    return (0..<stream.choose(most + 1)).flatMap { _ -> [JSONValue] in
      let node = focus ?? stream.pick(nodes)
      let drawn = fault(nodes, people, on: node, seconds)
      // What came while it stood still is all there when it goes on, and the connection is not.
      if drawn["pause"] != nil, stream.chance(0.4) {
        let every = JSONValue.string("\(1 + stream.choose(2))s")
        return [drawn, ["from": drawn["from"]!, "every": every, "reset": .string(node)]]
      }
      // What a sync that failed has left on the disk is seen when the power goes.
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

  private static func groups(_ scenario: JSONValue) -> [String] {
    (scenario["people"]?.array ?? []).compactMap { $0["name"]?.string }
  }

  /// Who a node talks to: to cut it off from anybody else would change nothing.
  private static func peers(of name: String, _ nodes: [String], _ people: [String]) -> [String] {
    let peers =
      switch name {
      case "users": ["chat", "customers"]
      case "broker": nodes.filter { $0 != "users" && $0 != "broker" }
      case "chat", "customers": ["broker", "users"]
      default: ["broker"]
      }
    let there = peers.filter(nodes.contains)
    return there.isEmpty ? people : there
  }

  private func fault(_ nodes: [String], _ people: [String], on name: String, _ seconds: Int) -> JSONValue {
    let begin = 1 + stream.choose(max(1, seconds / 3))
    var members: [JSONValue.Member] = [.init("from", .string("\(begin)s"))]
    let again = JSONValue.Member("every", .string("\(1 + stream.choose(max(2, seconds / 3)))s"))
    // Longer than a lease and what is allowed for its end, once: who was cut off comes back as one that was replaced.
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
