import Simulation
import System

/// PostgreSQL refuses, loses or delays what it is asked: `database: NODE`. Its crashes, shutdowns
/// and disks are those of any node.
struct DatabaseFault: FaultKind {
  static let key = "database"
  static let moreKeys = [
    "serializationFailures", "deadlocks", "timeouts", "lostCommits", "full", "readOnly", "slowCommits",
  ]
  static let lasts = true

  private let name: String
  private let serializationFailures: Double
  private let deadlocks: Double
  private let timeouts: Double
  private let lostCommits: Double
  /// Whether all its connections are taken.
  private let isFull: Bool
  private let isReadOnly: Bool
  private let slowCommits: ClosedRange<Duration>?

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    name = try nodes.name(subject)
    guard name == PostgreSQLOptions.host else {
      throw subject.error("the database is the node \(PostgreSQLOptions.host)")
    }
    guard Self.moreKeys.contains(where: { value[$0] != nil }) else {
      throw value.error("a fault of the database needs at least one of \(Self.moreKeys.joined(separator: ", "))")
    }
    serializationFailures = try value["serializationFailures"]?.chance() ?? 0
    deadlocks = try value["deadlocks"]?.chance() ?? 0
    timeouts = try value["timeouts"]?.chance() ?? 0
    lostCommits = try value["lostCommits"]?.chance() ?? 0
    isFull = try value["full"]?.bool() ?? false
    isReadOnly = try value["readOnly"]?.bool() ?? false
    slowCommits = try value["slowCommits"]?.durations(Bounds.pause)
  }

  var node: String? { name }
  var label: String { "database \(name)" }
  var sentence: String {
    let effects = [
      (serializationFailures > 0, "reports serialization failures"), (deadlocks > 0, "reports deadlocks"),
      (timeouts > 0, "reports time-outs"), (lostCommits > 0, "ends connections around their commits"),
      (isFull, "has no free connections"), (isReadOnly, "is read-only"), (slowCommits != nil, "commits slowly"),
    ]
    return "\(name) " + effects.filter(\.0).map(\.1).joined(separator: " and ")
  }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    guard let faults = stage.database else { return nil }
    stage.hit()
    faults.serializationFailures = Self.inTenThousand(serializationFailures)
    faults.deadlocks = Self.inTenThousand(deadlocks)
    faults.timeouts = Self.inTenThousand(timeouts)
    faults.lostCommits = Self.inTenThousand(lostCommits)
    faults.refusesConnections = isFull
    faults.isReadOnly = isReadOnly
    faults.commitDelay = slowCommits.map { stage.stream.duration($0) } ?? .zero
    return { faults.mend() }
  }

  private static func inTenThousand(_ chance: Double) -> Int { Int((chance * 10_000).rounded()) }

  /// What goes wrong in a drawn scenario.
  static func draw(_ stream: ChoiceStream) -> [JSONValue.Member] {
    let effects: [JSONValue.Member] = [
      .init("serializationFailures", .double(stream.pick([0.02, 0.2]))),
      .init("deadlocks", .double(stream.pick([0.02, 0.2]))), .init("timeouts", .double(0.05)),
      .init("lostCommits", .double(stream.pick([0.05, 0.3]))), .init("lostCommits", .double(0.3)),
      .init("full", true), .init("readOnly", true),
      .init("slowCommits", .string(stream.pick(["10ms…200ms", "1s…5s", "9s…14s"]))),
    ]
    return [.init(key, .string(PostgreSQLOptions.host)), stream.pick(effects)]
  }
}
