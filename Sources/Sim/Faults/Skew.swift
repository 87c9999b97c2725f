import Simulation
import System

/// The wall clock of a node jumps: `skew: NODE`.
struct Skew: FaultKind {
  static let key = "skew"
  static let moreKeys = ["by"]

  private let name: String
  private let jump: Duration

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    guard let by = value["by"] else { throw value.error("a skew needs \"by\"") }
    name = try nodes.name(subject)
    jump = try by.signedDuration(Bounds.skew)
  }

  var node: String? { name }
  var label: String { "skew \(name)" }
  var sentence: String { "the clock of \(name) jumps by \(DurationText.format(jump))" }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    stage.hit()
    stage.tally.count(.clockJumps)
    stage.world.node(name)?.clock.skew += jump
    return nil
  }
}
