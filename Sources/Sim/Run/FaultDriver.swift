import Simulation
import System

/// Makes a scenario's faults happen, and undoes them all when their time is over.
final class FaultDriver {
  private let world: World
  private let scenario: Scenario
  private let tally: Tally
  private let stream: ChoiceStream
  /// How often each fault of the scenario struck.
  private(set) var strikes: [Int]
  /// When a fault could make one service unreachable for another, or its disk useless: from, to.
  private(set) var disturbances: [ClosedRange<Int64>] = []
  /// When each fault was brought about, or tried to be.
  private(set) var struck: [(fault: Int, at: Duration)] = []
  private var isOver = false

  init(_ scenario: Scenario, in world: World, tally: Tally) {
    self.scenario = scenario
    self.world = world
    self.tally = tally
    stream = world.choices.stream("faults")
    strikes = Array(repeating: 0, count: scenario.faults.count)
  }

  func arm() {
    for (index, fault) in scenario.faults.enumerated() {
      world.at(fault.from) { [self] in
        if let every = fault.every { again(index, fault, every) } else { strike(index, fault, until: fault.to) }
      }
    }
  }

  private func again(_ index: Int, _ fault: Fault, _ every: Duration) {
    let next = world.now + stream.exponential(mean: every)
    guard next < fault.to else { return }
    world.at(next) { [self] in
      if isOver { return }
      strike(index, fault, until: min(fault.to, world.now + every / 2))
      again(index, fault, every)
    }
  }

  private func strike(_ index: Int, _ fault: Fault, until end: Duration) {
    world.trace.event(.fault, fault.node ?? "", value: UInt64(index), fault.sentence)
    tally.note(fault.label)
    struck.append((index, world.now))
    // Everything has to be mended, noticed and opened again.
    let aftermath = fault.downtime + .seconds(15)
    disturbances.append(world.scheduler.now...(max(end, world.now) + aftermath).nanoseconds)
    switch fault.kind {
    case .crash(let name, let death, let inCommit, let restartAfter): crash(index, name, death, inCommit, restartAfter)
    case .pause(let name, let duration):
      guard let node = world.node(name), node.isUp else { return }
      strikes[index] += 1
      tally.count(.pauses)
      node.pause()
      world.at(world.now + stream.duration(duration)) { node.resume() }
    case .drain(let name, let restartAfter):
      guard let node = world.node(name), node.isServing else { return }
      strikes[index] += 1
      tally.count(.drains)
      node.drain(restartAfter: stream.duration(restartAfter))
    case .reset(let name):
      let broken = world.resetConnections(of: name)
      if broken > 0 { strikes[index] += 1 }
      tally.add(broken, to: .resets)
    case .partition(let from, let to, let oneWay):
      strikes[index] += 1
      tally.count(.partitions)
      var ids = [world.partition(from: Set(from), to: Set(to))]
      if !oneWay { ids.append(world.partition(from: Set(to), to: Set(from))) }
      world.at(end) { [world] in
        for id in ids { world.heal(id) }
        world.trace.note(.mended, "", "the partition heals")
      }
    case .disk(let name, let rule):
      strikes[index] += 1
      if let node = world.node(name) { rule.strike(node) }
      world.at(end) { [world] in world.node(name)?.diskFaults.mend() }
    case .link(let stalls):
      strikes[index] += 1
      world.link.stalls = stalls
      world.at(end) { [world, scenario] in world.link.stalls = scenario.link.stalls }
    case .skew(let name, let by):
      strikes[index] += 1
      tally.count(.clockJumps)
      world.node(name)?.clock.skew += by
    }
  }

  private func crash(
    _ index: Int, _ name: String, _ death: SimNode.Death, _ inCommit: Bool, _ restartAfter: ClosedRange<Duration>
  ) {
    guard let node = world.node(name), node.isUp else { return }
    let delay = stream.duration(restartAfter)
    let happened = { [self] in
      strikes[index] += 1
      node.restart(after: delay)
    }
    if inCommit {
      node.crash(death, afterDiskOperations: stream.choose(12), then: happened)
    } else {
      node.crash(death)
      happened()
    }
  }

  /// The faults are over: what is broken is mended, what is down comes up.
  func stop() {
    isOver = true
    world.healAll()
    // A network that stalls is a fault like any other: what is promised for afterwards is promised without it.
    world.link.stalls = 0
    for node in world.nodes {
      node.mendDisk()
      node.resume()
    }
  }
}

extension Fault.DiskRule {
  /// Puts the rule in force on a node's disk.
  func strike(_ node: SimNode) {
    node.diskFaults.failingReads = failingReads
    node.diskFaults.failingWrites = failingWrites
    node.diskFaults.failingSyncs = failingSyncs
    node.diskFaults.rot = rot
    node.diskFaults.slowness = slowness
    node.diskFaults.byteLimit = isFull ? node.diskUse : nil
  }
}
