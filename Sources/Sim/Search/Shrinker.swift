import System

/// Makes a failing scenario small: fewer faults, people, actions, nodes, a shorter time, as long as the same oracle still fails
/// (delta debugging over the file; Zeller and Hildebrandt 2002). Then it makes what is left to chance small: stream by stream of the run's
/// choices, all draws but those of a window take their simplest value (as internal reduction does: MacIver and Donaldson, ECOOP 2020).
public struct Shrinker {
  /// A run that failed.
  public struct Failing {
    /// The scenario.
    public let scenario: JSONValue
    /// The seed with which it fails.
    public let seed: UInt64
    /// How many draws each stream made.
    public let draws: [(stream: String, count: Int)]

    /// Makes one.
    public init(scenario: JSONValue, seed: UInt64, draws: [(stream: String, count: Int)]) {
      self.scenario = scenario
      self.seed = seed
      self.draws = draws
    }
  }

  /// Something to try: other scenarios are other runs, so that each is tried with a few seeds; other choices with the seed they belong to.
  public struct Candidate {
    /// The scenario.
    public let scenario: JSONValue
    /// The seeds to try.
    public let seeds: ClosedRange<UInt64>
  }

  /// Tries candidates, some at once, and returns the first that fails as it should, by its place.
  public typealias Trial = (ArraySlice<Candidate>) -> (index: Int, Failing)?

  /// The smallest so far.
  public private(set) var best: Failing
  /// Candidates that were tried.
  public private(set) var tried = 0
  /// Seeds that are tried with another scenario.
  private static let seeds: UInt64 = 3
  private let trial: Trial
  private let isOver: () -> Bool
  /// Oracles that a run without rest at its end breaks by itself: what they are about takes its time.
  private static let patient = [
    "live", "presence", "complete", "present", "staffed", "served", "dead-letters", "durable",
  ]
  private let oracle: String

  /// Begins with a scenario that fails. Shrinks until nothing smaller fails, or until `isOver` says so: what was found until then stays.
  public init(_ failing: Failing, oracle: String, isOver: @escaping () -> Bool, trial: @escaping Trial) {
    best = failing
    self.oracle = oracle
    self.trial = trial
    self.isOver = isOver
  }

  /// Shrinks the scenario, then its choices.
  public mutating func run() {
    while !isOver() {
      let candidates = (restless(best.scenario) + Self.candidates(best.scenario)).map {
        Candidate(scenario: $0, seeds: best.seed...best.seed + Self.seeds - 1)
      }
      guard attempt(candidates) != nil else { break }
    }
    shrinkChoices()
  }

  /// The place of the first candidate that fails, which is the best then; nil when none does.
  private mutating func attempt(_ candidates: [Candidate]) -> Int? {
    guard !candidates.isEmpty, let (index, failing) = trial(candidates[...]) else {
      tried += candidates.count
      return nil
    }
    tried += index + 1
    best = failing
    return index
  }

  // MARK: Choices

  private mutating func shrinkChoices() {
    // The streams that draw the most say the least each.
    for (stream, count) in best.draws.sorted(by: { ($0.count, $0.stream) > ($1.count, $1.stream) }) {
      if isOver() { return }
      if tryWindows([0..<0], of: stream) == nil { narrow(0..<count, of: stream) }
    }
  }

  private mutating func narrow(_ whole: Range<Int>, of stream: String) {
    var window = whole
    var part = window.count / 2
    while part > window.count / 16, !isOver() {
      let smaller = [window.lowerBound + part..<window.upperBound, window.lowerBound..<window.upperBound - part]
      if let found = tryWindows(smaller, of: stream) { window = found } else { part /= 2 }
      part = min(part, window.count / 2)
    }
  }

  /// The first of the windows with which it fails.
  private mutating func tryWindows(_ windows: [Range<Int>], of stream: String) -> Range<Int>? {
    let candidates = windows.map { window -> Candidate in
      let choices = (best.scenario["choices"] ?? .object([]))
        .setting(stream, [.int(Int64(window.lowerBound)), .int(Int64(window.upperBound))])
      return Candidate(scenario: best.scenario.setting("choices", choices), seeds: best.seed...best.seed)
    }
    return attempt(candidates).map { windows[$0] }
  }

  // MARK: Scenarios

  /// The scenario with hardly any rest after the last action.
  private func restless(_ scenario: JSONValue) -> [JSONValue] {
    let people = scenario["people"]?.array ?? []
    guard !Self.patient.contains(oracle), people.contains(where: { $0["rest"] == nil }) else { return [] }
    return [scenario.setting("people", .array(people.map { $0.setting("rest", "1s") }))]
  }

  /// Everything that is one step smaller, the largest steps first.
  static func candidates(_ scenario: JSONValue) -> [JSONValue] {
    var found: [JSONValue] = []
    // What makes each further try cheaper comes first.
    if let run = scenario["run"]?.string.flatMap(DurationText.parse) {
      for part in [run / 2, run * 3 / 4, run - .seconds(1)] where part >= .seconds(1) {
        found.append(scenario.shortened(to: part))
      }
    }
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
    for (index, fault) in (scenario["faults"]?.array ?? []).enumerated() {
      // Earlier, so that the run can end earlier.
      for name in ["at", "from"] {
        guard let time = fault[name]?.string.flatMap(DurationText.parse), time > .seconds(1) else { continue }
        for earlier in [time / 2, time - .seconds(1)] {
          var array = scenario["faults"]!.array!
          array[index] = fault.setting(name, .string("\(max(1, earlier.components.seconds))s"))
          found.append(scenario.setting("faults", .array(array)))
        }
      }
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
    // Fewer actions in the same time.
    if let time = people["thinkTime"]?.string.flatMap(DurationText.parse), time < .seconds(4) {
      found.append(people.setting("thinkTime", .string(DurationText.format(time * 3))))
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
  /// The scenario with a shorter run: what lay behind its end is left out, what lasted beyond it ends with it.
  fileprivate func shortened(to run: Duration) -> JSONValue {
    func time(_ fault: JSONValue, _ name: String) -> Duration? { fault[name]?.string.flatMap(DurationText.parse) }
    let faults = (self["faults"]?.array ?? []).compactMap { fault -> JSONValue? in
      if let begin = time(fault, "at") ?? time(fault, "from"), begin >= run { return nil }
      guard let end = time(fault, "to"), end > run else { return fault }
      return fault.removing("to")
    }
    return setting("run", .string("\(run.components.seconds)s")).setting("faults", .array(faults))
  }

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
