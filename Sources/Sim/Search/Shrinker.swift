import System

/// Makes a failing scenario small: fewer faults, people, actions, nodes, a shorter time, as long as the same oracle still fails
/// (delta debugging over the file; Zeller and Hildebrandt 2002). What is left is read in a minute.
public struct Shrinker {
  /// What a candidate is tried with: whether the oracle fails, and with which seed.
  public typealias Trial = (JSONValue) -> UInt64?

  /// The smallest scenario so far, and a seed with which it fails.
  public private(set) var best: (scenario: JSONValue, seed: UInt64)
  /// Candidates that were tried.
  public private(set) var tried = 0
  private let trial: Trial

  /// Begins with a scenario that fails.
  public init(_ scenario: JSONValue, seed: UInt64, trial: @escaping Trial) {
    best = (scenario, seed)
    self.trial = trial
  }

  /// Shrinks until nothing smaller fails, or until `isOver` says so: what was found until then stays.
  public mutating func run(until isOver: () -> Bool) {
    var isSmaller = true
    while isSmaller, !isOver() {
      isSmaller = false
      for candidate in Self.candidates(best.scenario) {
        if isOver() { return }
        tried += 1
        if let seed = trial(candidate) {
          best = (candidate, seed)
          isSmaller = true
          break
        }
      }
    }
  }

  /// Everything that is one step smaller, the largest steps first.
  static func candidates(_ scenario: JSONValue) -> [JSONValue] {
    var found: [JSONValue] = []
    for name in ["faults", "script", "people"] {
      guard let array = scenario[name]?.array else { continue }
      if name == "faults", array.count > 2 {
        found.append(scenario.setting(name, .array(Array(array.prefix(array.count / 2)))))
        found.append(scenario.setting(name, .array(Array(array.dropFirst(array.count / 2)))))
      }
      for index in array.indices where name != "people" || array.count > 1 {
        var fewer = array
        fewer.remove(at: index)
        found.append(scenario.setting(name, .array(fewer)))
      }
    }
    if scenario["network"] != nil { found.append(scenario.removing("network")) }
    if scenario["clocks"] != nil { found.append(scenario.removing("clocks")) }
    if let run = scenario["run"]?.string.flatMap(DurationText.parse) {
      for part in [run / 2, run * 3 / 4] where part >= .seconds(1) {
        found.append(scenario.setting("run", .string("\(part.components.seconds)s")))
      }
    }
    for (index, people) in (scenario["people"]?.array ?? []).enumerated() {
      for smaller in smallerPeople(people) {
        var array = scenario["people"]!.array!
        array[index] = smaller
        found.append(scenario.setting("people", .array(array)))
      }
    }
    if let hosts = scenario["topology"]?["supervisorHosts"]?.int, hosts > 1 {
      found.append(scenario.setting("topology", scenario["topology"]!.setting("supervisorHosts", .int(hosts - 1))))
    }
    for (index, fault) in (scenario["faults"]?.array ?? []).enumerated() where fault["every"] != nil {
      // Once in place of again and again.
      var array = scenario["faults"]!.array!
      let once = fault.removing("every").removing("to").removing("from").setting("at", fault["from"] ?? "1s")
      let lasts = ["partition", "disk", "stalls"].contains { fault[$0] != nil }
      array[index] = lasts ? fault.removing("every") : once
      found.append(scenario.setting("faults", .array(array)))
    }
    return found
  }

  private static func smallerPeople(_ people: JSONValue) -> [JSONValue] {
    var found: [JSONValue] = []
    for (name, least) in [("count", Int64(1)), ("devices", 1), ("users", 1)] {
      guard let count = people[name]?.int, count > least else { continue }
      if count > 3 { found.append(people.setting(name, .int(count / 2))) }
      found.append(people.setting(name, .int(count - 1)))
    }
    if let actions = people["actions"]?.members, actions.count > 1 {
      for index in actions.indices {
        var fewer = actions
        fewer.remove(at: index)
        found.append(people.setting("actions", .object(fewer)))
      }
    }
    if let transports = people["transports"]?.array, transports.count > 1 {
      for index in transports.indices { found.append(people.setting("transports", [transports[index]])) }
    }
    for name in ["slow", "cutOff", "sharedSessions", "sharedNames"] where people[name] != nil {
      found.append(people.removing(name))
    }
    return found
  }
}

extension JSONValue {
  /// The object with a member set, in its place when it has one.
  fileprivate func setting(_ name: String, _ value: JSONValue) -> JSONValue {
    var members = self.members ?? []
    if let index = members.firstIndex(where: { $0.name == name }) {
      members[index].value = value
    } else {
      members.append(.init(name, value))
    }
    return .object(members)
  }

  fileprivate func removing(_ name: String) -> JSONValue { .object((members ?? []).filter { $0.name != name }) }

  /// The value as JSON5 that a person likes to read: names without quotes, short objects on one line.
  public func pretty(indent: String = "") -> String {
    func name(_ text: String) -> String {
      text.allSatisfy { $0.isASCII && $0.isLetter } ? text : JSONValue.string(text).text
    }
    switch self {
    case .object(let members):
      let flat = "{ " + members.map { "\(name($0.name)): \($0.value.pretty())" }.joined(separator: ", ") + " }"
      if members.isEmpty { return "{}" }
      if !indent.isEmpty || flat.count < 90, !flat.contains("\n"), flat.count + indent.count < 118 { return flat }
      let inner = members.map { "\(indent)  \(name($0.name)): \($0.value.pretty(indent: indent + "  "))" }
      return "{\n\(inner.joined(separator: ",\n")),\n\(indent)}"
    case .array(let elements):
      let flat = "[" + elements.map { $0.pretty() }.joined(separator: ", ") + "]"
      if elements.isEmpty || flat.count + indent.count < 100, !flat.contains("\n") { return flat }
      return "[\n" + elements.map { "\(indent)  \($0.pretty(indent: indent + "  "))" }.joined(separator: ",\n")
        + ",\n\(indent)]"
    default: return text
    }
  }
}
