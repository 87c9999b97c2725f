import System

extension Scenario {
  /// Reads a scenario file. `file` is what errors call it.
  public init(parsing bytes: [UInt8], file: String) throws(ScenarioError) {
    let root = try ScenarioValue.parse(bytes, file: file)
    try root.requireKeys([
      "name", "about", "seed", "topology", "service", "people", "network", "clocks", "run", "grace", "end", "faults",
      "script",
      "expect", "sometimes", "strategy", "choices", "plant", "fails",
    ])
    guard let name = root["name"] else { throw root.error("a scenario needs a \"name\"") }
    self.name = try name.string()
    _ = try root["about"]?.string()
    if let seed = root["seed"] { self.seed = UInt64(try seed.int()) }
    for entry in try root["plant"]?.elements() ?? [] {
      let name = try entry.string()
      guard service.plant(name) else {
        throw entry.error("no bug is called \"\(name)\"\(Spelling.hint(name, among: ServiceSettings.plantable))")
      }
    }
    for entry in try root["fails"]?.elements() ?? [] { fails.append(try entry.string()) }
    if let strategy = root["strategy"] { self.strategy = try strategy.oneOf(StrategyName.self) }
    for (stream, window) in try root["choices"]?.members() ?? [] { windows[stream] = try window.window() }
    for entry in try root["sometimes"]?.elements() ?? [] { sometimes.append(try entry.ordering()) }
    if let run = root["run"] { self.run = try run.duration() }
    if let grace = root["grace"] { self.grace = try grace.duration() }
    if let end = root["end"] { self.end = try end.duration() }
    if let topology = root["topology"] { try read(topology: topology) }
    if let service = root["service"] { try readService(service) }
    if let network = root["network"] { link = try Self.link(network) }
    for entry in try root["people"]?.elements() ?? [] { people.append(try People(entry)) }
    guard Set(peopleNames + serviceNodes).count == (peopleNames + serviceNodes).count else {
      throw (root["people"] ?? root).error("two nodes have the same name")
    }
    if people.contains(where: { $0.role == .worker }), !hasBroker {
      throw (root["people"] ?? root).error("people of the role worker need a topology with broker: 1")
    }
    if people.contains(where: { [.user, .customer, .vandal].contains($0.role) }), supervisorHosts == 0 {
      throw (root["people"] ?? root).error(
        "users, customers and vandals of sessions need a topology with supervisorHosts")
    }
    if people.contains(where: { $0.role == .chat }), !hasChat {
      throw (root["people"] ?? root).error("people of the role chat need a topology with chat: 1")
    }
    for (node, rule) in try root["clocks"]?.members() ?? [] { clocks.append(try clockRule(node, rule)) }
    for entry in try root["faults"]?.elements() ?? [] { faults.append(try Fault(entry, in: self)) }
    for entry in try root["script"]?.elements() ?? [] { script.append(try step(entry)) }
    for (index, entry) in (try root["people"]?.elements() ?? []).enumerated() {
      people[index].rest = try entry["rest"]?.duration() ?? rest(of: people[index])
      if entry["rest"] == nil, isCalm {
        (people[index].missing, people[index].ending) = (service.vanishing, .seconds(5))
      }
      people[index].stillness = .seconds(isCalm ? 5 : 30) + people[index].workTime * 30
    }
    for (key, value) in try root["expect"]?.members() ?? [] {
      guard let counter = Counter(rawValue: key) else {
        let hint = Spelling.hint(key, among: Counter.allCases.map(\.rawValue))
        throw ScenarioError(file, value.positions[value.path + "#"], "unknown counter \"\(key)\"\(hint)")
      }
      expect.append((counter, try value.int(atLeast: 1)))
    }
  }

  /// Until everybody has noticed who is gone, and what that leads to is done; with sessions, until somebody else has been found for them, too.
  /// In a calm world what takes longer than a moment is waited for as it happens.
  private func rest(of people: People) -> Duration {
    isCalm ? .seconds(2) : service.vanishing + .seconds(people.role == .chat ? 10 : 15)
  }

  private mutating func read(topology: ScenarioValue) throws(ScenarioError) {
    try topology.requireKeys(["users", "chat", "broker", "supervisorHosts"])
    for key in ["users", "chat", "broker"] {
      guard try topology[key]?.int(atLeast: 1) ?? 1 == 1 else {
        throw topology[key]!.error("there is one node of each service: several over one database come later")
      }
    }
    if let hosts = topology["supervisorHosts"] { supervisorHosts = try hosts.int(atLeast: 1) }
    hasChat = topology["chat"] != nil || supervisorHosts > 0
    hasBroker = topology["broker"] != nil || supervisorHosts > 0
  }

  private mutating func readService(_ value: ScenarioValue) throws(ScenarioError) {
    try value.requireKeys(["accessTokenTtl", "refreshTokenTtl", "passwordRounds", "pingInterval", "pingTimeout"])
    if let lifetime = value["accessTokenTtl"] { service.accessTokenLifetime = try lifetime.duration() }
    if let lifetime = value["refreshTokenTtl"] { service.refreshTokenLifetime = try lifetime.duration() }
    if let interval = value["pingInterval"] { service.pingInterval = try interval.duration() }
    if let timeout = value["pingTimeout"] { service.pingTimeout = try timeout.duration() }
    if let rounds = value["passwordRounds"] { service.passwordRounds = try rounds.int(atLeast: 1) }
  }

  private static func link(_ value: ScenarioValue) throws(ScenarioError) -> LinkSetting {
    try value.requireKeys(["latency", "splits", "stalls", "stall", "window"])
    var link = LinkSetting()
    if let latency = value["latency"] { link.latency = try latency.durations() }
    if let splits = value["splits"] { link.splits = try splits.chance() }
    if let stalls = value["stalls"] { link.stalls = try stalls.chance() }
    if let stall = value["stall"] { link.stall = try stall.durations() }
    if let window = value["window"] { link.window = try window.int(atLeast: 1) }
    return link
  }

  private func clockRule(_ node: String, _ value: ScenarioValue) throws(ScenarioError) -> ClockRule {
    try require(node, value)
    try value.requireKeys(["skew", "drift"])
    let drift = value["drift"]?.value.int ?? 0
    guard abs(drift) <= 100_000 else { throw value["drift"]!.error("a drift is at most 100000 parts per million") }
    return ClockRule(node: node, skew: try value["skew"]?.signedDuration() ?? .zero, driftPartsPerMillion: drift)
  }

  private func step(_ value: ScenarioValue) throws(ScenarioError) -> ScriptStep {
    try value.requireKeys(["at", "who", "does"])
    guard let at = value["at"], let who = value["who"], let does = value["does"] else {
      throw value.error("a step needs \"at\", \"who\" and \"does\"")
    }
    let name = try who.string()
    guard let group = people.first(where: { $0.names.contains(name) }) else {
      throw who.error("nobody here is called \"\(name)\"")
    }
    let action: String
    switch group.role {
    case .account: action = try does.oneOf(Action.self).rawValue
    case .chat: action = try does.oneOf(ChatAction.self).rawValue
    case .user, .customer: action = try does.oneOf(SessionAction.self).rawValue
    case .attacker: action = try does.oneOf(AttackKind.self).rawValue
    case .vandal, .worker: throw who.error("a \(group.role) does what chance says")
    }
    return ScriptStep(at: try at.duration(), who: name, action: action)
  }

  func require(_ node: String, _ value: ScenarioValue) throws(ScenarioError) {
    guard serviceNodes.contains(node) || peopleNames.contains(node) else {
      throw value.error("\"\(node)\" is not in the topology")
    }
  }
}

extension People {
  init(_ value: ScenarioValue) throws(ScenarioError) {
    try value.requireKeys([
      "name", "count", "thinkTime", "actions", "sharedNames", "mixesNames", "sharedSessions", "patience", "cutOff",
      "slow", "slowPause", "role", "devices", "contacts", "transports",
      "users", "rest", "batch", "workTime", "failing", "rude",
    ])
    guard let name = value["name"] else { throw value.error("people need a \"name\"") }
    self.name = try name.string()
    if let count = value["count"] { self.count = try count.int(atLeast: 1) }
    if let time = value["thinkTime"] { thinkTime = try time.duration() }
    if let names = value["sharedNames"] { sharedNames = try names.int() }
    if let mixes = value["mixesNames"] { mixesNames = try mixes.bool() }
    if let sessions = value["sharedSessions"] { sharedSessions = try sessions.int() }
    if let time = value["patience"] { patience = try time.duration() }
    if let chance = value["cutOff"] { cutOff = try chance.chance() }
    if let chance = value["slow"] { slow = try chance.chance() }
    if let chance = value["rude"] { rude = try chance.chance() }
    if let time = value["slowPause"] { slowPause = try time.duration() }
    if let role = value["role"] { self.role = try role.oneOf(Role.self) }
    if let batch = value["batch"] { self.batch = try batch.int(atLeast: 1) }
    if let time = value["workTime"] { workTime = try time.duration() }
    if let chance = value["failing"] { failing = try chance.chance() }
    if let users = value["users"] { self.users = try users.int(atLeast: 1) }
    if let devices = value["devices"] { self.devices = try devices.int(atLeast: 1) }
    if let contacts = value["contacts"] { self.contacts = try contacts.int(atLeast: 1) }
    if let transports = value["transports"] {
      self.transports = []
      for entry in try transports.elements() { self.transports.append(try entry.oneOf(EngineIOClient.Transport.self)) }
      if self.transports.isEmpty { throw transports.error("at least one transport is needed") }
    }
    guard let actions = value["actions"] else { return }
    switch role {
    case .account: self.actions = try Self.weights(actions)
    case .chat: chatActions = try Self.weights(actions)
    case .attacker: attackActions = try Self.weights(actions)
    case .user, .customer, .vandal, .worker: sessionActions = try Self.weights(actions)
    }
  }

  private static func weights<A: RawRepresentable & CaseIterable>(
    _ actions: ScenarioValue
  ) throws(ScenarioError) -> [(action: A, weight: Int)] where A.RawValue == String {
    var weights: [(action: A, weight: Int)] = []
    for (key, weight) in try actions.members() {
      guard let action = A(rawValue: key) else {
        let hint = Spelling.hint(key, among: A.allCases.map(\.rawValue))
        throw ScenarioError(actions.file, actions.positions[weight.path + "#"], "unknown action \"\(key)\"\(hint)")
      }
      weights.append((action, try weight.int(atLeast: 1)))
    }
    return weights
  }
}

extension Fault {
  private static let timing = ["at", "from", "to", "every"]
  private static let kinds = ["crash", "pause", "drain", "reset", "partition", "disk", "stalls", "skew"]

  init(_ value: ScenarioValue, in scenario: Scenario) throws(ScenarioError) {
    let named = Self.kinds.filter { value[$0] != nil }
    guard named.count == 1 else {
      throw value.error("a fault is exactly one of \(Self.kinds.joined(separator: ", "))")
    }
    let subject = value[named[0]]!
    let end = try value["to"]?.duration() ?? scenario.run
    every = try value["every"]?.duration()
    if let at = value["at"] {
      guard value["from"] == nil, value["to"] == nil, value["every"] == nil else {
        throw value.error("\"at\" stands alone: a time that lasts has \"from\" and \"to\"")
      }
      from = try at.duration()
      to = from
    } else {
      from = try value["from"]?.duration() ?? .zero
      to = end
    }
    guard from <= to, to <= scenario.run else { throw value.error("a fault has to lie within the run") }
    func node() throws(ScenarioError) -> String {
      let name = try subject.string()
      try scenario.require(name, subject)
      return name
    }
    func keys(_ more: [String]) throws(ScenarioError) { try value.requireKeys(Self.timing + [named[0]] + more) }
    func restart() throws(ScenarioError) -> ClosedRange<Duration> {
      try value["restartAfter"]?.durations() ?? .milliseconds(500)...(.seconds(3))
    }
    switch named[0] {
    case "crash":
      try keys(["power", "inCommit", "restartAfter"])
      let death: SimNode.Death = try value["power"]?.bool() ?? false ? .power : .kill
      kind = .crash(
        node: try node(), death: death, inCommit: try value["inCommit"]?.bool() ?? false, restartAfter: try restart())
    case "pause":
      try keys(["for"])
      kind = .pause(node: try node(), duration: try value["for"]?.durations() ?? .seconds(1)...(.seconds(3)))
    case "drain":
      try keys(["restartAfter"])
      kind = .drain(node: try node(), restartAfter: try restart())
    case "reset":
      try keys([])
      kind = .reset(node: try node())
    case "skew":
      try keys(["by"])
      guard let by = value["by"] else { throw value.error("a skew needs \"by\"") }
      kind = .skew(node: try node(), try by.signedDuration())
    case "stalls":
      try keys([])
      kind = .link(stalls: try subject.chance())
    case "disk":
      try keys(["failingReads", "failingWrites", "failingSyncs", "rot", "slow", "full"])
      kind = .disk(node: try node(), try DiskRule(value))
    default:
      try keys(["oneWay"])
      let sides = try subject.elements()
      guard sides.count == 2 else { throw subject.error("a partition has two sides") }
      kind = .partition(
        from: try Self.side(sides[0], scenario), to: try Self.side(sides[1], scenario),
        oneWay: try value["oneWay"]?.bool() ?? false)
    }
  }

  /// Names of nodes; `ann` stands for all of ann-1, ann-2 …
  private static func side(_ value: ScenarioValue, _ scenario: Scenario) throws(ScenarioError) -> [String] {
    var names: [String] = []
    for entry in try value.elements() {
      let name = try entry.string()
      if let group = scenario.people.first(where: { $0.name == name }) {
        names += group.names
      } else {
        try scenario.require(name, entry)
        names.append(name)
      }
    }
    return names
  }
}

extension Fault.DiskRule {
  init(_ value: ScenarioValue) throws(ScenarioError) {
    failingReads = try value["failingReads"]?.chance() ?? 0
    failingWrites = try value["failingWrites"]?.chance() ?? 0
    failingSyncs = try value["failingSyncs"]?.chance() ?? 0
    rot = try value["rot"]?.chance() ?? 0
    slowness = try value["slow"]?.chance() ?? 0
    isFull = try value["full"]?.bool() ?? false
  }
}
