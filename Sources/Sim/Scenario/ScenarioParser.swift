import Environment
import Simulation
import System

extension Scenario {
  /// Reads a scenario file. Errors name it `file`. All errors of the file are reported together. -
  /// Throws: `ScenarioError`.
  public init(parsing bytes: [UInt8], file: String) throws(ScenarioError) {
    let root = try ScenarioValue.parse(bytes, file: file)
    root.requireKeys([
      "name", "about", "seed", "topology", "service", "people", "network", "clocks", "run", "grace", "end",
      "atRest", "splitDiskWork", "faults", "script", "expect", "sometimes", "strategy", "choices", "branches", "picks",
      "plant", "fails",
    ])
    if root.value.members != nil, root["name"] == nil { root.note("a scenario needs a \"name\"") }
    root.read("name", into: &name) { try Self.title($0) }
    _ = root.read("about") { try $0.string() }
    seed = root.read("seed") { UInt64(try $0.int(Bounds.seed)) }
    root.read("strategy", into: &strategy) { try $0.oneOf(StrategyName.self) }
    for (stream, window) in root.table("choices") { windows[stream] = window.read { try $0.window() } }
    branches = root.list("branches").compactMap { $0.read { try $0.branch() } }
    picks = root.list("picks").compactMap { $0.read { try $0.pick() } }
    root.read("run", into: &run) { try $0.duration(Bounds.run) }
    root.read("grace", into: &grace) { try $0.duration(Bounds.run) }
    end = root.read("end") { try $0.duration(Bounds.run) }
    root.read("atRest", into: &atRest) { try $0.bool() }
    root.read("splitDiskWork", into: &splitsDiskWork) { try $0.bool() }
    if let topology = root["topology"] { read(topology: topology) }
    if let service = root["service"] { readService(service) }
    for entry in root.list("plant") { plant(entry) }
    if let network = root["network"] { link = Self.link(network) }
    people = root.list("people").map(UserGroup.init)
    checkPeople(root)
    if atRest, people.contains(where: { $0.role == .attacker }) {
      root["atRest"]?.note("attackers leave things behind: they are judged by what a service holds for them")
    }
    for (node, rule) in root.table("clocks") {
      if let rule = clockRule(node, rule) { clocks.append(rule) }
    }
    let (scenario, nodes, run) = (self, nodeNames, run)
    faults = root.list("faults").compactMap { $0.read { try Fault($0, among: nodes, run: run) } }
    if !hasTLS, faults.contains(where: { $0.kind is CertificateFault }) {
      root["faults"]?.note("a certificate needs a topology with tls: true")
    }
    script = root.list("script").compactMap { $0.read { try scenario.step($0) } }
    setRest(root)
    readDemands(root)
    try root.document.throwErrors()
  }

  private static func title(_ value: ScenarioValue) throws(ScenarioError) -> String {
    let text = try value.string()
    guard Bounds.title.contains(text.utf8.count), text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
      throw value.error("a name has 1 to \(Bounds.title.upperBound) bytes, and no control characters")
    }
    return text
  }

  private mutating func plant(_ value: ScenarioValue) {
    guard let name = value.read({ try $0.string() }) else { return }
    do throws(UnknownBug) { try service.plant(name) } catch { value.note(error.description) }
  }

  /// Notes errors about the groups of users together.
  private func checkPeople(_ root: ScenarioValue) {
    guard let place = root["people"] else { return }
    guard people.reduce(0, { $0 + $1.count }) <= Bounds.people.upperBound else {
      return place.note("there are more than \(Bounds.people.upperBound) users")
    }
    // Accounts are unique without regard to case.
    var names: Set<String> = Set(serviceNodes + [Self.operatorNode])
    for name in peopleNames where !name.isEmpty && !names.insert(name.lowercased()).inserted {
      place.note("two nodes have the same name")
    }
    func has(_ roles: Role...) -> Bool { people.contains { roles.contains($0.role) } }
    let wantsLetters = people.contains {
      $0.role == .operator && $0.operatorActions.contains { !$0.action.isAboutAccounts }
    }
    if wantsLetters, supervisorHosts == 0 {
      place.note("operators have dead letters only in a topology with supervisorHosts")
    }
    if has(.worker), !hasBroker { place.note("people of the role worker need a topology with broker: 1") }
    if has(.user, .customer, .vandal), supervisorHosts == 0 {
      place.note("users, customers and vandals of sessions need a topology with supervisorHosts")
    }
    if has(.chat), !hasChat { place.note("people of the role chat need a topology with chat: 1") }
  }

  /// Sets how long users wait for everything to come to rest, which depends on the faults.
  private mutating func setRest(_ root: ScenarioValue) {
    for (index, entry) in root.list("people").enumerated() {
      people[index].usersNodes = usersNodes
      people[index].chatNodes = chatNodes
      let needed = rest(of: people[index])
      people[index].rest = entry.read("rest") { try $0.duration(Bounds.pause) } ?? needed
      if people[index].rest < needed, people[index].role.looksAtRest { restsBriefly = true }
      if entry["rest"] == nil, isCalm {
        (people[index].missing, people[index].ending) = (service.vanishing, .seconds(5))
      }
      people[index].stillness = .seconds(isCalm ? 5 : 30) + people[index].workTime * 30
    }
  }

  /// Time until the services have noticed every user who has gone and have reacted; with supervised
  /// sessions, until they have assigned other users. In a calm world users wait for what takes
  /// longer when it happens: see `Rendezvous.notice`.
  private func rest(of people: UserGroup) -> Duration {
    isCalm ? .seconds(2) : service.vanishing + .seconds(people.role == .chat ? 10 : 15)
  }

  /// Reads the demands on the runs of the scenario.
  private mutating func readDemands(_ root: ScenarioValue) {
    for entry in root.list("fails") {
      if let oracle = entry.read({ try $0.string() }) { fails.append(oracle) }
    }
    let events = Counter.allCases.map(\.rawValue) + faults.map(\.label)
    for entry in root.list("sometimes") {
      if let pair = entry.read({ try $0.ordering(among: events) }) { sometimes.append(pair) }
    }
    for (key, value) in root.table("expect") {
      guard let counter = Counter(rawValue: key) else {
        let hint = Spelling.hint(key, among: Counter.allCases.map(\.rawValue))
        root["expect"]?.note(key: key, "unknown counter \"\(key)\"\(hint)")
        continue
      }
      if let least = value.read({ try $0.int(Bounds.count) }) { expect.append((counter, least)) }
    }
  }

  // MARK: The world

  private mutating func read(topology: ScenarioValue) {
    topology.requireKeys(["users", "chat", "broker", "supervisorHosts", "tls", "database", "managers"])
    if topology.read("broker", { try $0.int(1...Int64.max) }) ?? 1 != 1 {
      topology["broker"]?.note("only one broker is supported")
    }
    topology.read("users", into: &usersCount) { try $0.int(Bounds.nodes) }
    topology.read("chat", into: &chatCount) { try $0.int(Bounds.nodes) }
    topology.read("supervisorHosts", into: &supervisorHosts) { try $0.int(Bounds.hosts) }
    topology.read("managers", into: &managersCount) { try $0.int(Bounds.nodes) }
    topology.read("tls", into: &hasTLS) { try $0.bool() }
    if let database = topology.read("database", { try $0.oneOf(DatabaseKind.self) }) {
      hasDatabaseServer = database == .postgreSQL
    }
    if usersCount > 1, !hasDatabaseServer {
      topology["users"]?.note("several nodes of the User Service need database: \"postgresql\"")
    }
    if managersCount > 1, !hasDatabaseServer || supervisorHosts == 0 {
      topology["managers"]?.note(
        "several nodes of the User Manager need database: \"postgresql\" and supervisor hosts")
    }
    if chatCount > 1, !hasDatabaseServer {
      topology["chat"]?.note("several nodes of the Chat Service need database: \"postgresql\"")
    }
    hasChat = topology["chat"] != nil || topology["supervisorHosts"] != nil
    hasBroker = topology["broker"] != nil || topology["supervisorHosts"] != nil
  }

  private mutating func readService(_ value: ScenarioValue) {
    value.requireKeys([
      "accessTokenTtl", "refreshTokenTtl", "passwordRounds", "pingInterval", "pingTimeout", "pagingBound",
      "endedSessionRetention", "maximumEndedSessions", "limits",
    ])
    value.read("accessTokenTtl", into: &service.accessTokenLifetime) { try $0.duration(Bounds.lifetime) }
    value.read("refreshTokenTtl", into: &service.refreshTokenLifetime) { try $0.duration(Bounds.lifetime) }
    value.read("pingInterval", into: &service.pingInterval) { try $0.duration(Bounds.interval) }
    value.read("pingTimeout", into: &service.pingTimeout) { try $0.duration(Bounds.interval) }
    value.read("passwordRounds", into: &service.passwordRounds) { try $0.int(Bounds.rounds) }
    value.read("pagingBound", into: &service.pagingBound) { try $0.int(Bounds.memory) }
    service.endedSessions.age = value.read("endedSessionRetention") { try $0.duration(Bounds.lifetime) }
    service.endedSessions.number = value.read("maximumEndedSessions") { try $0.int(Bounds.count) }
    if let limits = value["limits"] { service.limits = WorkLimits(limits) }
  }

  private static func link(_ value: ScenarioValue) -> LinkSetting {
    value.requireKeys(["latency", "splits", "stalls", "stall", "window"])
    var link = LinkSetting()
    value.read("latency", into: &link.latency) { try $0.durations(Bounds.pause) }
    value.read("splits", into: &link.splits) { try $0.chance() }
    value.read("stalls", into: &link.stalls) { try $0.chance() }
    value.read("stall", into: &link.stall) { try $0.durations(Bounds.pause) }
    value.read("window", into: &link.window) { try $0.int(Bounds.window) }
    return link
  }

  private func clockRule(_ node: String, _ value: ScenarioValue) -> ClockRule? {
    guard value.read({ try nodeNames.require(node, $0) }) != nil else { return nil }
    value.requireKeys(["skew", "drift"])
    return ClockRule(
      node: node, skew: value.read("skew") { try $0.signedDuration(Bounds.skew) } ?? .zero,
      driftPartsPerMillion: Int64(value.read("drift") { try $0.int(Bounds.drift) } ?? 0))
  }

  /// The names of all nodes.
  var nodeNames: NodeNames {
    NodeNames(all: serviceNodes + peopleNames, groups: people.map { ($0.name, $0.names) })
  }

  // MARK: The script

  private func step(_ value: ScenarioValue) throws(ScenarioError) -> ScriptStep {
    value.requireKeys(["at", "who", "does", "to"])
    guard let at = value["at"], let who = value["who"], let does = value["does"] else {
      throw value.error("a step needs \"at\", \"who\" and \"does\"")
    }
    let time = try at.duration(Bounds.pause)
    guard time < run else { throw at.error("a step must be within the run") }
    let name = try who.string()
    guard let group = people.first(where: { $0.names.contains(name) }) else {
      throw who.error("there is no user called \"\(name)\"\(Spelling.hint(name, among: peopleNames))")
    }
    guard !Role.withoutScript.contains(group.role) else {
      throw who.error("a \(group.role) has no script")
    }
    let action = try does.string()
    guard group.role.actions.contains(action) else { throw does.error(group.role.unknown(action)) }
    return ScriptStep(at: time, who: name, action: action, to: try target(value, of: action, by: name, in: group))
  }

  /// Reads the target of a step: another user of the group, or the creator of a group.
  private func target(
    _ step: ScenarioValue, of action: String, by name: String, in group: UserGroup
  ) throws(ScenarioError) -> String? {
    guard let value = step["to"] else { return nil }
    let to = try value.string()
    guard group.role == .chat, let action = ChatAction(rawValue: action), action.target != .nobody else {
      throw value.error("\(action) takes no \"to\"")
    }
    if action.target == .creator {
      let creators = people.filter { $0.role == .chat }.compactMap(\.names.first)
      guard creators.contains(to) else {
        throw value.error("\"\(to)\" has created no group; \(creators.joined(separator: ", ")) create one each")
      }
    } else if to == name || !group.names.contains(to) {
      let others = group.names.filter { $0 != name }
      throw value.error("\"\(to)\" is not another user of the group of \(name)\(Spelling.hint(to, among: others))")
    }
    return to
  }
}

/// What the User Service keeps its tables in.
private enum DatabaseKind: String, CaseIterable {
  case sqlite
  case postgreSQL = "postgresql"
}

extension ScenarioValue {
  /// Reads a branch: `"1200@7"`.
  fileprivate func branch() throws(ScenarioError) -> Branch {
    guard let branch = Branch(try string()) else {
      throw error("a branch is a number of steps and a seed, for example \"1200@7\"")
    }
    return branch
  }

  /// Reads a pick: `"1200@2"`.
  fileprivate func pick() throws(ScenarioError) -> Pick {
    guard let pick = Pick(try string()) else {
      throw error("a pick is a number of steps and the place of a job, for example \"1200@2\"")
    }
    return pick
  }

  /// Reads an event and another one soon after it: `"crash chat, messages-stored"`.
  fileprivate func ordering(among known: [String]) throws(ScenarioError) -> Orderings.Pair {
    let parts = try string().split(separator: ", ").map(String.init)
    guard parts.count == 2, parts[0] != parts[1] else {
      throw error("an ordering is two different events, for example \"crash chat, messages-stored\"")
    }
    for part in parts where !known.contains(part) {
      throw error("unknown event \"\(part)\"\(Spelling.hint(part, among: known))")
    }
    return Orderings.Pair(parts[0], parts[1])
  }
}

extension WorkLimits {
  /// Reads limits by their names. A wrong value is noted, and the limit stays standard.
  fileprivate init(_ value: ScenarioValue) {
    self.init()
    value.requireKeys(WorkLimit.allCases.map(\.rawValue))
    for limit in WorkLimit.allCases {
      value.read(limit.rawValue, into: &self[limit]) { try $0.int(Int64(limit.row.least)...Int64(limit.standard)) }
    }
  }
}
