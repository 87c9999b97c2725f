import Simulation
import System

/// A node does nothing for a while: `pause: NODE`.
struct Pause: FaultKind {
  static let key = "pause"
  static let moreKeys = ["for"]

  private let name: String
  private let duration: ClosedRange<Duration>

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    name = try nodes.name(subject)
    duration = try value["for"]?.durations(Bounds.pause) ?? .seconds(1)...(.seconds(3))
  }

  var node: String? { name }
  var label: String { "pause \(name)" }
  var sentence: String { "\(name) is paused for a while" }
  var downtime: Duration { duration.upperBound }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    guard let node = stage.world.node(name), node.isUp else { return nil }
    stage.hit()
    stage.tally.count(.pauses)
    node.pause()
    stage.world.at(stage.world.now + stage.stream.duration(duration)) { node.resume() }
    return nil
  }

  static let draws: [FaultDraw.Way] = [
    { draw in
      [
        draw.every, .init(key, .string(draw.node)),
        .init("for", .string(draw.stream.pick(["100ms…1s", "1s…4s", "3s…10s"]))),
      ]
    }
  ]
}
