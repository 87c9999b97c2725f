import Environment
import Simulation
import System

extension Fault {
  private static let timing = ["at", "from", "to", "every"]
  private static let kinds = ["crash", "pause", "drain", "reset", "partition", "disk", "stalls", "skew"]
  /// The kinds that last until they are undone. All others strike at a moment.
  private static let lasting: Set = ["partition", "disk", "stalls"]

  init(_ value: ScenarioValue, in scenario: Scenario) throws(ScenarioError) {
    let named = Self.kinds.filter { value[$0] != nil }
    guard named.count == 1, let subject = value[named[0]] else {
      throw value.error("a fault is exactly one of \(Self.kinds.joined(separator: ", "))")
    }
    (from, to, every) = try Self.times(value, of: named[0], in: scenario)
    func node() throws(ScenarioError) -> String {
      let name = try subject.string()
      try scenario.require(name, subject)
      return name
    }
    func keys(_ more: [String]) { value.requireKeys(Self.timing + [named[0]] + more) }
    func flag(_ key: String) throws(ScenarioError) -> Bool { try value[key]?.bool() ?? false }
    func restart() throws(ScenarioError) -> ClosedRange<Duration> {
      try value["restartAfter"]?.durations(Bounds.pause) ?? .milliseconds(500)...(.seconds(3))
    }
    switch named[0] {
    case "crash":
      keys(["power", "inCommit", "restartAfter"])
      let death: SimNode.Death = try flag("power") ? .power : .kill
      kind = .crash(node: try node(), death: death, inCommit: try flag("inCommit"), restartAfter: try restart())
    case "pause":
      keys(["for"])
      kind = .pause(
        node: try node(), duration: try value["for"]?.durations(Bounds.pause) ?? .seconds(1)...(.seconds(3)))
    case "drain":
      keys(["restartAfter"])
      kind = .drain(node: try node(), restartAfter: try restart())
    case "reset":
      keys([])
      kind = .reset(node: try node())
    case "skew":
      keys(["by"])
      guard let by = value["by"] else { throw value.error("a skew needs \"by\"") }
      kind = .skew(node: try node(), try by.signedDuration(Bounds.skew))
    case "stalls":
      keys([])
      kind = .link(stalls: try subject.chance())
    case "disk":
      keys(DiskRule.rules)
      kind = .disk(node: try node(), try DiskRule(value))
    default:
      keys(["oneWay"])
      let sides = try subject.elements()
      guard sides.count == 2 else { throw subject.error("a partition has two sides") }
      let (one, other) = (try Self.side(sides[0], scenario), try Self.side(sides[1], scenario))
      guard Set(one).isDisjoint(with: other) else { throw subject.error("a node is on one side of a partition") }
      kind = .partition(from: one, to: other, oneWay: try flag("oneWay"))
    }
  }

  /// When it strikes: at a moment, or from a time on, until it is over or again and again.
  private static func times(
    _ value: ScenarioValue, of kind: String, in scenario: Scenario
  ) throws(ScenarioError) -> (from: Duration, to: Duration, every: Duration?) {
    let every = try value["every"]?.duration(Bounds.interval)
    let times: (from: Duration, to: Duration)
    if let at = value["at"] {
      guard value["from"] == nil, value["to"] == nil, value["every"] == nil else {
        throw value.error("\"at\" stands alone: a time that lasts has \"from\" and \"to\"")
      }
      guard !lasting.contains(kind) else { throw at.error("a fault that lasts has \"from\" and \"to\", not \"at\"") }
      let moment = try at.duration(Bounds.pause)
      times = (moment, moment)
    } else if let from = value["from"] {
      guard every != nil || lasting.contains(kind) else {
        throw from.error("a fault at one moment has \"at\"; with \"every\" it strikes again and again")
      }
      times = (try from.duration(Bounds.pause), try value["to"]?.duration(Bounds.pause) ?? scenario.run)
    } else {
      throw value.error("a fault needs a time: \"at\", or \"from\"")
    }
    guard times.from <= times.to, times.to <= scenario.run else {
      throw value.error("a fault has to lie within the run")
    }
    return (times.from, times.to, every)
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
    guard !names.isEmpty else { throw value.error("a side of a partition has at least one node") }
    return names
  }
}

extension Fault.DiskRule {
  fileprivate static let rules = ["failingReads", "failingWrites", "failingSyncs", "rot", "slow", "full"]

  fileprivate init(_ value: ScenarioValue) throws(ScenarioError) {
    guard Self.rules.contains(where: { value[$0] != nil }) else {
      throw value.error("a fault of a disk needs at least one of \(Self.rules.joined(separator: ", "))")
    }
    failingReads = try value["failingReads"]?.chance() ?? 0
    failingWrites = try value["failingWrites"]?.chance() ?? 0
    failingSyncs = try value["failingSyncs"]?.chance() ?? 0
    rot = try value["rot"]?.chance() ?? 0
    slowness = try value["slow"]?.chance() ?? 0
    isFull = try value["full"]?.bool() ?? false
  }
}
