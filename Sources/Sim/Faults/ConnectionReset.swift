import Simulation
import System

/// All connections of a node are reset: `reset: NODE`.
struct ConnectionReset: FaultKind {
  static let key = "reset"

  private let name: String

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    name = try nodes.name(subject)
  }

  var node: String? { name }
  var label: String { "reset \(name)" }
  var sentence: String { "all connections of \(name) are reset" }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    let broken = stage.world.resetConnections(of: name)
    if broken > 0 { stage.hit() }
    stage.tally.add(broken, to: .resets)
    return nil
  }

  static let draws: [FaultDraw.Way] = [{ [$0.every, member($0.node)] }]

  static func member(_ node: String) -> JSONValue.Member { .init(key, .string(node)) }
}
