import Simulation
import System

/// The disk of a node fails, is slow or is full: `disk: NODE`.
struct DiskFault: FaultKind {
  static let key = "disk"
  static let moreKeys = ["failingReads", "failingWrites", "failingSyncs", "rot", "slow", "full"]
  static let lasts = true

  private let name: String
  private let failingReads: Double
  private let failingWrites: Double
  private let failingSyncs: Double
  private let rot: Double
  private let slowness: Double
  /// Whether the disk has no more space than is used when the fault strikes.
  private let isFull: Bool

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    name = try nodes.name(subject)
    guard Self.moreKeys.contains(where: { value[$0] != nil }) else {
      throw value.error("a fault of a disk needs at least one of \(Self.moreKeys.joined(separator: ", "))")
    }
    failingReads = try value["failingReads"]?.chance() ?? 0
    failingWrites = try value["failingWrites"]?.chance() ?? 0
    failingSyncs = try value["failingSyncs"]?.chance() ?? 0
    rot = try value["rot"]?.chance() ?? 0
    slowness = try value["slow"]?.chance() ?? 0
    isFull = try value["full"]?.bool() ?? false
  }

  var node: String? { name }
  var label: String { "disk \(name)" }
  var sentence: String {
    let effects = [
      (failingReads > 0, "fails to read"), (failingWrites > 0, "fails to write"), (failingSyncs > 0, "fails to sync"),
      (rot > 0, "reads wrong bits"), (slowness > 0, "is slow"), (isFull, "is full"),
    ]
    return "now and then the disk of \(name) " + effects.filter(\.0).map(\.1).joined(separator: " and ")
  }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    stage.hit()
    if let node = stage.world.node(name) {
      node.diskFaults.failingReads = failingReads
      node.diskFaults.failingWrites = failingWrites
      node.diskFaults.failingSyncs = failingSyncs
      node.diskFaults.rot = rot
      node.diskFaults.slowness = slowness
      node.diskFaults.byteLimit = isFull ? node.diskUse : nil
    }
    let world = stage.world
    return { world.node(name)?.diskFaults.mend() }
  }

  static let draws: [FaultDraw.Way] = [any, any]

  private static func any(_ draw: FaultDraw) -> [JSONValue.Member] {
    // Half of them fail to sync: those leave the contents of the disk the least certain.
    let effects: [JSONValue.Member] = [
      .init("failingSyncs", .double(0.1)), .init("failingSyncs", .double(0.4)),
      .init("failingWrites", .double(0.02)), .init("slow", .double(0.02)),
      .init("full", true), .init("failingReads", .double(0.02)),
    ]
    return [draw.to ?? draw.every, .init(key, .string(draw.node)), draw.stream.pick(effects)]
  }
}
