@testable import Environment
@testable import Simulation
import Testing

/// Blocking work that other jobs interrupt.
@Suite("Split disk work")
struct SplitDiskWorkTests {
  /// What happens in a run, in order.
  private final class Story: @unchecked Sendable {
    var lines: [String] = []
  }

  /// A world with a node that writes ten times in one piece of work, and one that looks on.
  private func world(seed: UInt64, splits: Bool, _ story: Story) -> World {
    let world = World(seed: seed)
    world.splitsDiskWork = splits
    world.addNode("writer") { environment in
      do {
        try await environment.executor.offload(.disk) {
          let file = try environment.storage.open("f", create: true)
          for number in 1...10 {
            try [UInt8](repeating: 1, count: 512).withUnsafeBytes { try file.write($0, at: Int64(number) * 512) }
            try file.sync()
            story.lines.append("write")
          }
        }
        story.lines.append("end")
      } catch {
        story.lines.append("\(error)")
      }
      return nil
    }
    world.addNode("onlooker") { environment in
      for _ in 1...10 {
        story.lines.append("look")
        try await environment.clock.sleep(for: .milliseconds(1))
      }
      return nil
    }
    for node in world.nodes { node.start() }
    return world
  }

  @Test("other jobs run between its operations, and only if the world splits it")
  func split() {
    for seed in 0..<20 as Range<UInt64> {
      for splits in [false, true] {
        let story = Story()
        let world = world(seed: seed, splits: splits, story)
        world.run(until: .seconds(1))
        world.end()
        let first = story.lines.firstIndex(of: "write")!
        let looks = story.lines[first...story.lines.lastIndex(of: "write")!].filter { $0 == "look" }.count
        #expect(splits ? looks > 0 : looks == 0, "seed \(seed)")
        #expect(story.lines.filter { $0 == "write" }.count == 10 && story.lines.contains("end"))
        #expect(world.defects.isEmpty)
      }
    }
  }

  @Test("the death of its node ends it between two operations")
  func death() {
    var counts: Set<Int> = []
    for seed in 0..<20 as Range<UInt64> {
      let story = Story()
      let world = world(seed: seed, splits: true, story)
      world.run(until: .milliseconds(5))
      world.node("writer")!.crash(.power)
      world.run(until: .seconds(1))
      world.end()
      counts.insert(story.lines.filter { $0 == "write" }.count)
      #expect(story.lines.contains("\(NodeDown())") && !story.lines.contains("end"))
      #expect(world.defects.isEmpty)
    }
    #expect(counts.isSubset(of: Set(1...9)) && counts.count > 1, "\(counts)")
  }

  @Test("the same seed gives the same run")
  func determinism() {
    for seed in 0..<5 as Range<UInt64> {
      let hashes = (1...2).map { _ in
        let world = world(seed: seed, splits: true, Story())
        world.run(until: .seconds(1))
        world.end()
        return world.hash.value
      }
      #expect(hashes[0] == hashes[1])
    }
  }
}
