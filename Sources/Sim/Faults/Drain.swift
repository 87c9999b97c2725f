import Simulation
import System

/// A node stops in order and is started again: `drain: NODE`.
struct Drain: FaultKind {
  static let key = "drain"
  static let moreKeys = ["restartAfter"]

  private let name: String
  private let restartAfter: ClosedRange<Duration>

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    name = try nodes.name(subject)
    restartAfter = try value.restartAfter()
  }

  var node: String? { name }
  var label: String { "drain \(name)" }
  var sentence: String { "\(name) is told to stop in order" }
  var downtime: Duration { restartAfter.upperBound }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    guard let node = stage.world.node(name), node.isServing else { return nil }
    stage.hit()
    stage.tally.count(.drains)
    node.drain(restartAfter: stage.stream.duration(restartAfter))
    return nil
  }

  static let draws: [FaultDraw.Way] = [
    { [$0.every, .init(key, .string($0.node)), $0.restartAfter] }
  ]
}
