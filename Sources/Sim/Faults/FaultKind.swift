import Simulation
import System

/// A kind of fault: its key in a scenario file, its effect, its names, and how the search draws it.
protocol FaultKind: Sendable {
  /// The key that names the kind in a scenario file. Its value is the subject of the fault.
  static var key: String { get }
  /// The other keys of the kind.
  static var moreKeys: [String] { get }
  /// Whether the fault lasts until it is undone. Otherwise it strikes at a moment.
  static var lasts: Bool { get }

  /// Reads a fault of the kind. `subject` is the value of `key`.
  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError)

  /// The node that it strikes; nil for a fault of the network.
  var node: String? { get }
  /// The kind and its subject, as in "crash chat".
  var label: String { get }
  /// What happens, in a sentence.
  var sentence: String { get }
  /// The longest time for which a node does not run because of the fault.
  var downtime: Duration { get }

  /// Strikes, and reports each effect to the stage. Returns how to undo a fault that lasts.
  func strike(_ stage: FaultStage) -> (() -> Void)?

  /// Ways to draw a fault of the kind at random, each as likely as each way of another kind.
  static var draws: [FaultDraw.Way] { get }
}

extension FaultKind {
  static var moreKeys: [String] { [] }
  static var lasts: Bool { false }
  static var draws: [FaultDraw.Way] { [] }
  var node: String? { nil }
  var downtime: Duration { .zero }
}

/// The means of a fault that strikes.
struct FaultStage {
  let world: World
  let tally: Tally
  let stream: ChoiceStream
  /// The network as the scenario sets it.
  let link: LinkSetting
  /// The certificates of a world with TLS.
  let certificates: SimulatedCertificates?
  /// The faults of a world with PostgreSQL.
  let database: PostgreSQLFaults?
  /// Counts a strike. A fault that finds nothing to strike does not count.
  let hit: () -> Void
}

/// The means of a fault that is drawn, as members of its JSON.
struct FaultDraw {
  /// A way to draw a fault: returns its members without its beginning.
  typealias Way = @Sendable (FaultDraw) -> [JSONValue.Member]

  let stream: ChoiceStream
  let node: String
  /// The nodes of services that `node` talks to, or else the users.
  let peers: [String]
  /// A mean time between strikes.
  let every: JSONValue.Member
  /// An end, for a fault that lasts; nil repeats the fault instead.
  let to: JSONValue.Member?
  /// A range of times for which a node is down.
  let restartAfter: JSONValue.Member
}

extension ScenarioValue {
  /// How long a node is down; 0.5 s to 3 s where the file does not say.
  func restartAfter() throws(ScenarioError) -> ClosedRange<Duration> {
    try self["restartAfter"]?.durations(Bounds.pause) ?? .milliseconds(500)...(.seconds(3))
  }
}
