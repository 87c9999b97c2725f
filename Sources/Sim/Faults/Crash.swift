import Simulation
import System

/// A node dies and is started again: `crash: NODE`.
struct Crash: FaultKind {
  static let key = "crash"
  static let moreKeys = ["power", "inCommit", "restartAfter"]
  /// A crash in a commit strikes after fewer disk operations than this.
  private static let operations = 12

  private let name: String
  private let death: SimNode.Death
  /// Whether it strikes in the middle of the next commit.
  private let isInCommit: Bool
  private let restartAfter: ClosedRange<Duration>

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    death = try value["power"]?.bool() ?? false ? .power : .kill
    name = try nodes.name(subject)
    isInCommit = try value["inCommit"]?.bool() ?? false
    restartAfter = try value.restartAfter()
  }

  var node: String? { name }
  var label: String { (isInCommit ? "crash-in-commit " : death == .power ? "power-loss " : "crash ") + name }
  var sentence: String {
    "\(name) \(death == .power ? "loses power" : "is killed")\(isInCommit ? " in the middle of its next commit" : "")"
  }
  var downtime: Duration { restartAfter.upperBound }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    guard let node = stage.world.node(name), node.isUp else { return nil }
    let delay = stage.stream.duration(restartAfter)
    let restart = {
      stage.hit()
      node.restart(after: delay)
    }
    if isInCommit {
      node.crash(death, afterDiskOperations: stage.stream.choose(Self.operations), then: restart)
    } else {
      node.crash(death)
      restart()
    }
    return nil
  }

  static let draws: [FaultDraw.Way] = [
    { [$0.every, .init(key, .string($0.node)), $0.restartAfter] }, powerLoss, powerLoss,
  ]

  private static func powerLoss(_ draw: FaultDraw) -> [JSONValue.Member] {
    [
      draw.every, .init(key, .string(draw.node)), .init("power", true),
      .init("inCommit", .bool(draw.stream.chance(0.6))), draw.restartAfter,
    ]
  }
}
