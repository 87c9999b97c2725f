import Simulation
import System

/// Segments on the network wait for a retransmission: `stalls: CHANCE`.
struct Stalls: FaultKind {
  static let key = "stalls"
  static let lasts = true

  private let chance: Double

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    chance = try subject.chance()
  }

  var label: String { "stalls" }
  var sentence: String { "\(chance) of all segments wait for a retransmission" }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    stage.hit()
    stage.world.link.stalls = chance
    return { stage.world.link.stalls = stage.link.stalls }
  }

  static let draws: [FaultDraw.Way] = [
    { [$0.every, .init(key, .double($0.stream.pick([0.01, 0.05])))] }
  ]
}
