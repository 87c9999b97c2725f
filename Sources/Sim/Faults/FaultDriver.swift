import Environment
import Simulation

/// Makes the faults of a scenario strike, and undoes them.
final class FaultDriver {
  private let world: World
  private let faults: [Fault]
  private let link: LinkSetting
  private let tally: Tally
  private let certificates: SimulatedCertificates?
  private let database: PostgreSQLFaults?
  private let stream: ChoiceStream
  /// How often each fault struck, by its index.
  private(set) var strikes: [Int]
  /// Times in which a fault may explain that a service was not available to another, in
  /// nanoseconds.
  private(set) var disturbances: [ClosedRange<Int64>] = []
  /// The attempts to strike, in order.
  private(set) var struck: [(fault: Int, at: Duration)] = []
  private var isOver = false

  /// The same times for faults of the network, and of the nodes `names`.
  func disturbances(of names: Set<String>) -> [ClosedRange<Int64>] {
    zip(struck, disturbances).filter { fault, _ in faults[fault.fault].node.map(names.contains) ?? true }.map(\.1)
  }

  /// Services reconnect, notice and recover within this time after a fault.
  static let aftermath: Duration = .seconds(15)

  /// `link` is the network as the scenario sets it, `certificates` are those of a world with TLS,
  /// and `database` are the faults of a world with PostgreSQL.
  init(
    _ faults: [Fault], link: LinkSetting, in world: World, tally: Tally, certificates: SimulatedCertificates? = nil,
    database: PostgreSQLFaults? = nil
  ) {
    self.certificates = certificates
    self.database = database
    self.faults = faults
    self.link = link
    self.world = world
    self.tally = tally
    stream = world.choices.stream("faults")
    strikes = Array(repeating: 0, count: faults.count)
  }

  /// Schedules all faults.
  func arm() {
    for (index, fault) in faults.enumerated() {
      if let step = fault.step {
        world.atStep(step) { [self] in if !isOver { strike(index, fault, until: fault.to) } }
        continue
      }
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
    let aftermath = fault.kind.downtime + Self.aftermath
    disturbances.append(world.scheduler.now...(max(end, world.now) + aftermath).nanoseconds)
    let stage = FaultStage(
      world: world, tally: tally, stream: stream, link: link, certificates: certificates, database: database
    ) { [self] in strikes[index] += 1 }
    if let undo = fault.kind.strike(stage) { world.at(end, undo) }
  }

  /// Ends all faults: undoes those that last, and lets no repeated one strike again.
  func stop() {
    isOver = true
    world.healAll()
    // Stalls of the scenario's network end too: no promise about the end allows for them.
    world.link.stalls = 0
    database?.mend()
    for node in world.nodes {
      node.mendDisk()
      node.resume()
    }
  }
}
