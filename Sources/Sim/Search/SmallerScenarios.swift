import System

/// The scenarios that are one step smaller than a scenario.
extension JSONValue {
  /// Smaller scenarios by kind. Those that make further attempts cheaper come first.
  var smallerScenarios: [[JSONValue]] {
    [shorterRuns, fewerTurns, fewerPeople, fewerHosts, plainerWorlds, smallerPeople, earlierFaults, rounderTimes]
  }

  /// Smaller scenarios that mostly need another seed: without a fault, without a part of the
  /// script, and all the others.
  var smallerWithLuck: [JSONValue] { plainerSchedules + fewerFaults + shorterScripts + smallerScenarios.joined() }

  /// The scenario with jobs in order. Without random schedules a smaller scenario is mostly the
  /// same run.
  var plainerSchedules: [JSONValue] {
    self["strategy"] == "in-order" ? [] : [setting("strategy", "in-order")]
  }

  /// Much smaller scenarios, the smallest first: a quarter of the users and the time, with no
  /// fault, one or all, in a plain world or in this one; then half.
  var leaps: [JSONValue] {
    ([4, 2] as [Int64]).flatMap { part -> [JSONValue] in
      let smaller = fraction(part)
      let worlds = smaller.plainest == smaller ? [smaller] : [smaller.plainest, smaller]
      let faults = part == 4 && elements("faults").count > 1 ? smaller.elements("faults") : []
      return worlds.flatMap { world in
        [world.removing("faults")] + faults.map { world.setting("faults", [$0]) } + [world]
      }
    }.filter { $0 != self }
  }

  /// The scenario with one part of `part` of the users, the hosts and the time.
  private func fraction(_ part: Int64) -> JSONValue {
    func share(_ whole: Int64) -> Int64 { (whole + part - 1) / part }
    var smaller = self
    for (index, group) in elements("people").enumerated() {
      smaller = smaller.keeping(Array(1...Int(share(group["count"]?.int ?? 1))), of: index)
      for name in ["devices", "users"] {
        guard let number = group[name]?.int else { continue }
        let fewer = smaller.elements("people")[index].setting(name, .int(share(number)))
        smaller = smaller.replacing("people", at: index, with: fewer)
      }
    }
    if let hosts { smaller = smaller.keepingHosts(share(hosts)) }
    guard let run = time("run"), run > .seconds(1) else { return smaller }
    let shorter = max(.seconds(1), run / Int(part))
    return smaller.quickened(to: .milliseconds(shorter.nanoseconds / 1_000_000))
  }

  private func elements(_ name: String) -> [JSONValue] { self[name]?.array ?? [] }

  private func replacing(_ name: String, at index: Int, with element: JSONValue) -> JSONValue {
    var array = elements(name)
    array[index] = element
    return setting(name, .array(array))
  }

  private var shorterRuns: [JSONValue] {
    guard let run = time("run") else { return [] }
    let parts = [run / 2, run * 3 / 4, run - .seconds(1)].map { Duration.milliseconds($0.nanoseconds / 1_000_000) }
      .filter { $0 >= .milliseconds(100) }
    return parts.map { shortened(to: $0) } + parts.prefix(1).map { quickened(to: $0) }
  }

  /// The scenario without one user, or without a whole group.
  private var fewerPeople: [JSONValue] {
    var found: [JSONValue] = []
    for (index, group) in elements("people").enumerated() {
      let (name, count) = (group["name"]?.string ?? "", Int(group["count"]?.int ?? 1))
      if elements("people").count > 1 {
        var rest = elements("people")
        rest.remove(at: index)
        let names = Set(Self.names(name, count))
        let script = elements("script").filter { step in
          !names.contains(step["who"]?.string ?? "") && !names.contains(step["to"]?.string ?? "")
        }
        found.append(setting("people", .array(rest)).settingList("script", script))
      }
      guard count > 1 else { continue }
      if count > 3 { found.append(keeping(Array((1...count).prefix(count / 2)), of: index)) }
      for left in 1...count { found.append(keeping((1...count).filter { $0 != left }, of: index)) }
    }
    return found
  }

  /// The scenario with fewer drawn turns, or with fewer restarts between turns.
  private var fewerTurns: [JSONValue] {
    guard let turns = self["turns"]?.int, turns > 0 else { return [] }
    let fewer = [0, turns / 2, turns * 3 / 4, turns - 1].filter { $0 < turns }.map { setting("turns", .int($0)) }
    guard let again = self["again"], let every = again["every"]?.int, every < turns else { return fewer }
    return fewer + [setting("again", again.setting("every", .int(every * 2)))]
  }

  private static func names(_ name: String, _ count: Int) -> [String] {
    count == 1 ? [name] : (1...count).map { "\(name)-\($0)" }
  }

  /// The scenario with only these users of a group, renamed to the names of a smaller group.
  private func keeping(_ numbers: [Int], of index: Int) -> JSONValue {
    let group = elements("people")[index]
    let name = group["name"]?.string ?? ""
    let new = Self.names(name, numbers.count)
    let renamed = Dictionary(uniqueKeysWithValues: zip(numbers, new).map { ("\(name)-\($0)", $1) })
    let script = elements("script").compactMap { step -> JSONValue? in
      var step = step
      for role in ["who", "to"] {
        guard let person = step[role]?.string, person.hasPrefix(name + "-") else { continue }
        guard let left = renamed[person] else { return nil }
        step = step.setting(role, .string(left))
      }
      return step
    }
    return replacing("people", at: index, with: group.setting("count", .int(Int64(numbers.count))))
      .settingList("script", script)
  }

  private var smallerPeople: [JSONValue] {
    elements("people").enumerated().flatMap { index, people in
      Self.smaller(people).map { replacing("people", at: index, with: $0) }
    }
  }

  private static func smaller(_ people: JSONValue) -> [JSONValue] {
    var found: [JSONValue] = []
    for name in ["devices", "users"] {
      guard let count = people[name]?.int, count > 1 else { continue }
      if count > 3 { found.append(people.setting(name, .int(count / 2))) }
      found.append(people.setting(name, .int(count - 1)))
    }
    // Fewer actions in the same time.
    if let time = people.time("thinkTime"), time < .seconds(4) {
      found.append(people.setting("thinkTime", .string(DurationText.format(time * 3))))
    }
    if let actions = people["actions"]?.members, actions.count > 1 {
      for index in actions.indices {
        var fewer = actions
        fewer.remove(at: index)
        found.append(people.setting("actions", .object(fewer)))
      }
    }
    if let transports = people["transports"]?.array {
      // WebSocket sends the least for the same events. Otherwise one transport alone.
      if transports != ["webSocket"] { found.append(people.setting("transports", ["webSocket"])) }
      if transports.count > 1 { found += transports.map { people.setting("transports", [$0]) } }
    }
    if let batch = people["batch"]?.int, batch > 1 {
      found += [1, batch / 2].map { people.setting("batch", .int($0)) }
    }
    if let time = people["workTime"], time != "1ms" { found.append(people.setting("workTime", "1ms")) }
    for name in ["slow", "cutOff", "sharedSessions", "sharedNames", "failing", "rude", "recover"]
    where people[name] != nil {
      found.append(people.removing(name))
    }
    if let bursts = people["bursts"] {
      found.append(people.removing("bursts"))
      if let count = bursts["actions"]?.int, count > 2 {
        found.append(people.setting("bursts", bursts.setting("actions", .int(count - 1))))
      }
    }
    return found
  }

  private var fewerHosts: [JSONValue] {
    guard let hosts, hosts > 1 else { return [] }
    return [keepingHosts(hosts - 1)]
  }

  /// The scenario without faults, or without one. The promise may break without it under another
  /// seed.
  private var fewerFaults: [JSONValue] {
    let faults = elements("faults")
    guard (1...8).contains(faults.count) else { return [] }
    return [removing("faults")]
      + faults.indices.dropFirst(faults.count == 1 ? 1 : 0).map { index in
        settingList("faults", faults.indices.filter { $0 != index }.map { faults[$0] })
      }
  }

  /// The scenario without a half, a quarter or an eighth of its script.
  private var shorterScripts: [JSONValue] {
    let steps = elements("script")
    return [2, 4, 8].filter { $0 <= steps.count }.flatMap { parts in
      (0..<parts).map { part in
        let gone = steps.count * part / parts..<steps.count * (part + 1) / parts
        return settingList("script", Array(steps[..<gone.lowerBound] + steps[gone.upperBound...]))
      }
    }
  }

  private var hosts: Int64? { self["topology"]?["supervisorHosts"]?.int }

  /// The scenario with fewer hosts. Faults of removed hosts strike the first one.
  private func keepingHosts(_ count: Int64) -> JSONValue {
    guard let topology = self["topology"], let hosts else { return self }
    let gone = Set((1...max(1, hosts)).dropFirst(Int(count)).map { "supervisor-\($0)" })
    let faults = elements("faults").map { $0.mapStrings { gone.contains($0) ? "supervisor-1" : $0 } }
    return setting("topology", topology.setting("supervisorHosts", .int(count))).settingList("faults", faults)
  }

  private func mapStrings(_ change: (String) -> String) -> JSONValue {
    switch self {
    case .string(let text): .string(change(text))
    case .array(let elements): .array(elements.map { $0.mapStrings(change) })
    case .object(let members): .object(members.map { .init($0.name, $0.value.mapStrings(change)) })
    default: self
    }
  }

  /// The scenario with a good network, with right clocks, and with quick heartbeats so that an
  /// abandoned socket is noticed soon, or default ones if no socket is abandoned.
  private var plainerWorlds: [JSONValue] {
    let quick: JSONValue = ["pingInterval": "2s", "pingTimeout": "2s"]
    let hasSockets = self["topology"]?["chat"] != nil || self["topology"]?["supervisorHosts"] != nil
    let plainer =
      ["network", "clocks", "splitDiskWork"].filter { self[$0] != nil }.map { removing($0) } + withoutTLS
      + withoutServer
      + ["pagingBound", "endedSessionRetention", "maximumEndedSessions"].filter { self["service"]?[$0] != nil }.map {
        setting("service", self["service"]!.removing($0))
      }
      + standardLimits
    guard hasSockets else { return plainer }
    if (try? Scenario(parsing: Array(text.utf8), file: ""))?.needsHeartbeats == false {
      return plainer + (self["service"] != nil ? [removing("service")] : [])
    }
    let limits = self["service"]?["limits"]
    let quickest = limits.map { quick.setting("limits", $0) } ?? quick
    return plainer + (self["service"] != quickest ? [setting("service", quickest)] : [])
  }

  /// The scenario with all work limits as usual, and with one of them.
  private var standardLimits: [JSONValue] {
    guard let service = self["service"], let limits = service["limits"]?.members, !limits.isEmpty else { return [] }
    let fewer = limits.count == 1 ? [] : limits.map { service["limits"]!.removing($0.name) }
    return [setting("service", service.removing("limits"))]
      + fewer.map { setting("service", service.setting("limits", $0)) }
  }

  /// The scenario without TLS, if it has it.
  private var withoutTLS: [JSONValue] {
    guard let topology = self["topology"], topology["tls"] == true else { return [] }
    let faults = elements("faults").filter { $0[CertificateFault.key] == nil }
    return [setting("topology", topology.removing("tls")).settingList("faults", faults)]
  }

  /// The scenario with the accounts in a file, if they are in PostgreSQL.
  private var withoutServer: [JSONValue] {
    guard let topology = self["topology"], topology["database"] != nil else { return [] }
    let count = Int(Bounds.nodes.upperBound)
    if topology["users"] != nil {
      return [alone(topology.removing("users"), without: Scenario.usersNodes(count).dropFirst())]
    }
    if let nodes = topology["chat"]?.int, nodes > 1 {
      return [alone(topology.setting("chat", 1), without: Scenario.chatNodes(count).dropFirst())]
    }
    let node = JSONValue.string(Scenario.databaseNode)
    let faults = elements("faults").filter { fault in
      fault[DatabaseFault.key] == nil && !(fault.members ?? []).contains { $0.value == node }
        && fault["partition"]?.array?.contains { $0.array?.contains(node) ?? false } != true
    }
    return [setting("topology", topology.removing("database")).settingList("faults", faults)]
  }

  /// The scenario with a topology without some nodes, and without the faults of those.
  private func alone(_ topology: JSONValue, without others: ArraySlice<String>) -> JSONValue {
    let faults = elements("faults").filter { fault in !others.contains { fault.text.contains("\"\($0)\"") } }
    return setting("topology", topology).settingList("faults", faults)
  }

  private var plainest: JSONValue { plainerWorlds.last?.plainest ?? self }

  /// The scenario with rounder times, which are easier to read.
  private var rounderTimes: [JSONValue] {
    [100, 10, 1].map { rounded(to: .milliseconds($0)) }.filter { $0 != self }
  }

  /// The scenario with earlier faults and quicker restarts, so that the run can end earlier.
  private var earlierFaults: [JSONValue] {
    elements("faults").enumerated().flatMap { index, fault in
      let soon = JSONValue.string("10ms…200ms")
      let sooner =
        (fault["restartAfter"] ?? soon) == soon
        ? [] : [replacing("faults", at: index, with: fault.setting("restartAfter", soon))]
      return sooner
        + ["at", "from"].flatMap { name -> [JSONValue] in
          guard let time = fault.time(name), time > .seconds(1) else { return [] }
          return [time / 2, time - .seconds(1)].map { earlier in
            let whole = Duration.seconds(max(1, earlier.components.seconds))
            return replacing("faults", at: index, with: fault.setting(name, .string(DurationText.format(whole))))
          }
        }
    }
  }
}

/// Random actions and strikes written out.
extension JSONValue {
  /// The scenario with exactly these actions. Users of roles without a script act as before.
  func scripted(as acts: [Act]) -> JSONValue {
    let people = self["people"]?.array ?? []
    func hasScript(_ group: JSONValue) -> Bool {
      group["role"]?.string.flatMap(Role.init).map { !Role.withoutScript.contains($0) } ?? true
    }
    let isLoose = people.contains { $0["actions"] != .object([]) && hasScript($0) }
    guard isLoose else { return self }
    let quiet = people.map { group in
      hasScript(group) ? group.setting("actions", .object([])).removing("thinkTime").removing("bursts") : group
    }
    let steps = acts.map { act -> JSONValue in
      let step: JSONValue = [
        "at": .string(Self.time(act.at)), "who": .string(act.who), "does": .string(act.action),
      ]
      return act.to.map { step.setting("to", .string($0)) } ?? step
    }
    return setting("people", .array(quiet)).settingList("script", steps)
  }

  /// The scenario with faults at exactly these times.
  func struck(as times: [(fault: Int, at: Duration)]) -> JSONValue {
    let faults = self["faults"]?.array ?? []
    guard faults.contains(where: { $0["every"] != nil }) else { return self }
    var exact: [JSONValue] = []
    for (index, fault) in faults.enumerated() {
      guard let every = fault.time("every") else {
        exact.append(fault)
        continue
      }
      let once = fault.removing("every").removing("from").removing("to").removing("at")
      let lasts = Fault.kinds.contains { $0.lasts && fault[$0.key] != nil }
      let last = fault.time("to") ?? time("run")
      for (number, at) in times where number == index && at < last ?? at + every {
        let begin = JSONValue.string(Self.time(at))
        exact.append(
          lasts
            ? once.setting("from", begin).setting("to", .string(Self.time(min(at + every / 2, last ?? at + every))))
            : once.setting("at", begin))
      }
    }
    return settingList("faults", exact)
  }

  /// A time in microseconds, the resolution of drawn pauses.
  private static func time(_ time: Duration) -> String {
    DurationText.format(.nanoseconds(time.nanoseconds / 1000 * 1000))
  }

  /// The object with a list, or without it if it is empty.
  func settingList(_ name: String, _ elements: [JSONValue]) -> JSONValue {
    elements.isEmpty ? removing(name) : setting(name, .array(elements))
  }
}
