import Simulation
import System

/// The network holds back what nodes send to each other: `partition: [[…], […]]`.
struct Partition: FaultKind {
  static let key = "partition"
  static let moreKeys = ["oneWay"]
  static let lasts = true

  private let from: [String]
  private let to: [String]
  /// Whether it holds back only what `from` sends to `to`.
  private let isOneWay: Bool

  init(_ value: ScenarioValue, _ subject: ScenarioValue, among nodes: NodeNames) throws(ScenarioError) {
    let sides = try subject.elements()
    guard sides.count == 2 else { throw subject.error("a partition has two sides") }
    (from, to) = (try nodes.side(sides[0]), try nodes.side(sides[1]))
    guard Set(from).isDisjoint(with: to) else { throw subject.error("a node can be on one side of a partition only") }
    isOneWay = try value["oneWay"]?.bool() ?? false
  }

  var label: String { "partition \(from.first ?? "")|\(to.first ?? "")" }
  var sentence: String {
    let (one, other) = (from.joined(separator: ", "), to.joined(separator: ", "))
    return isOneWay ? "\(one) cannot reach \(other)" : "\(one) and \(other) cannot reach each other"
  }

  func strike(_ stage: FaultStage) -> (() -> Void)? {
    let world = stage.world
    stage.hit()
    stage.tally.count(.partitions)
    var ids = [world.partition(from: Set(from), to: Set(to))]
    if !isOneWay { ids.append(world.partition(from: Set(to), to: Set(from))) }
    return { [ids] in
      for id in ids { world.heal(id) }
      world.trace.note(.mended, "", "the partition heals")
    }
  }

  static let draws: [FaultDraw.Way] = [
    { draw in
      // A single user has no peers.
      guard let other = draw.stream.pickAny(of: draw.peers) else {
        return [draw.every, ConnectionReset.member(draw.node)]
      }
      return [
        draw.to ?? draw.every, .init(key, [[.string(draw.node)], [.string(other)]]),
        .init("oneWay", .bool(draw.stream.chance(0.4))),
      ]
    }
  ]
}

extension NodeNames {
  /// One side of a partition: nodes, or groups of users by their common name.
  fileprivate func side(_ value: ScenarioValue) throws(ScenarioError) -> [String] {
    var names: [String] = []
    for entry in try value.elements() {
      let name = try entry.string()
      if let group = groups.first(where: { $0.name == name }) {
        names += group.members
      } else {
        try require(name, entry)
        names.append(name)
      }
    }
    guard !names.isEmpty else { throw value.error("a side of a partition has at least one node") }
    return names
  }
}
