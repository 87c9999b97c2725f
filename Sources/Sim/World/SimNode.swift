import Environment

/// A machine of a simulated world. Its disk and clocks survive crashes; its life is the process
/// that runs now.
public final class SimNode: @unchecked Sendable {
  /// The program of a node. See `World.addNode`.
  public typealias Program = @Sendable (Environment) async throws -> (any Service)?

  /// How a node dies.
  public enum Death: String, Sendable, CaseIterable {
    /// The process dies, as after `kill -9`. The page cache survives, and peers get resets.
    case kill
    /// The machine loses power. Unsynced data is lost or torn, and peers get no answer.
    case power
  }

  /// The name of the node, which is also its host name.
  public let name: String
  let disk: SimDisk
  /// The drift and the skew of its clocks.
  public let clock = ClockSetting()
  /// The current life, or nil if the node is down.
  public private(set) var life: Life?
  package private(set) var service: (any Service)?
  /// The memory that the current life holds for clients.
  package private(set) var memory = ClientMemory()
  private let scheduler: Scheduler
  private let fabric: Fabric
  private let trace: Trace
  private let findings: Findings
  private let seed: UInt64
  private let program: Program
  private let computation: ChoiceStream
  private var boots = 0
  /// The number of boots after the first.
  public var restarts: Int { max(0, boots - 1) }
  /// The number of deaths.
  public private(set) var deaths = 0
  /// The virtual times in nanoseconds from each death to the next boot.
  package private(set) var downtimes: [ClosedRange<Int64>] = []
  /// The virtual time in nanoseconds when its service first started; nil before.
  package private(set) var firstServed: Int64?
  private var diedAt: Int64?
  private(set) var pauses = 0
  private(set) var drains = 0
  package private(set) var failedStarts = 0
  /// The number of deaths between the first write of a transaction and its sync.
  package private(set) var deathsInCommit = 0
  private var restart: SimTimer?
  /// Whether the current life is being drained.
  private var isDraining = false

  init(_ name: String, in world: World, program: @escaping Program) {
    self.name = name
    self.program = program
    scheduler = world.scheduler
    fabric = world.fabric
    trace = world.trace
    findings = world.findings
    seed = world.choices.seed
    disk = SimDisk(node: name, stream: world.choices.stream("disk/" + name), trace: world.trace)
    computation = world.choices.stream("computation/" + name)
  }

  /// The files of its disk as the running process reads them, sorted by name.
  package var files: [(name: String, bytes: [UInt8])] {
    disk.names.sorted { $0.key < $1.key }.map { ($0.key, $0.value.content) }
  }

  /// Whether its service has started.
  public var isServing: Bool { life?.isAlive == true && service != nil }
  /// Whether the node is up.
  public var isUp: Bool { life?.isAlive == true }

  /// Boots the node.
  public func start() {
    guard !isUp else { return }
    restart = nil
    if let diedAt { downtimes.append(diedAt...scheduler.now) }
    diedAt = nil
    boots += 1
    trace.event(.boot, name, value: UInt64(boots), "boot \(boots)")
    let life = Life(name: name, clock: clock, scheduler: scheduler) { [findings] in findings.noteDefaultActor($0) }
    self.life = life
    isDraining = false
    disk.life = life
    fabric.powered(name)
    let environment = environment(of: life)
    _ = life.spawn("main") { [program] in
      do {
        let service = try await program(environment)
        if life.isAlive { self.serve(service) }
      } catch {
        if life.isAlive { self.failed(error) }
      }
    }
  }

  private func serve(_ service: (any Service)?) {
    self.service = service
    firstServed = firstServed ?? scheduler.now
  }

  private func environment(of life: Life) -> Environment {
    let log = Log(node: name, threshold: trace.logLevel) { [trace] in trace.logged($0) }
    memory = ClientMemory()
    return Environment(
      node: name, clock: SimClock(life: life), network: SimNetwork(life: life, fabric: fabric), storage: disk,
      entropy: SimEntropy(seed: seed, node: name, boot: boots),
      executor: SimExecutor(life: life, stream: computation), log: log, memory: memory,
      identifiers: SimEntropy(seed: seed, node: "\(name)/traces", boot: boots))
  }

  /// The environment of an operator who works on the disk of the node while its service is down.
  /// `own` is the operator's environment elsewhere.
  package func environmentForOperator(_ own: Environment) -> Environment {
    let life = (own.clock as! SimClock).life
    disk.life = life
    return Environment(
      node: own.node, clock: own.clock, network: own.network, storage: disk, entropy: own.entropy,
      executor: own.executor, log: own.log, memory: own.memory, limits: own.limits, identifiers: own.identifiers)
  }

  /// Handles a program that could not start: it exits, and a service manager starts it again.
  private func failed(_ error: any Error) {
    failedStarts += 1
    trace.event(.ended, name, "start failed: \(error)")
    end(.kill)
    restart(after: .seconds(1))
  }

  // MARK: Death

  /// Kills the node now.
  public func crash(_ death: Death) {
    guard isUp else { return }
    deaths += 1
    trace.event(.crash, name, value: death == .kill ? 1 : 2, death.rawValue)
    end(death)
  }

  /// Kills the node after `operations` more writes and syncs of its disk, in the middle of a
  /// commit. Calls `then` afterwards.
  public func crash(_ death: Death, afterDiskOperations operations: Int, then: @escaping () -> Void) {
    guard isUp else { return }
    disk.armCrash(after: operations) { [self] in
      deathsInCommit += 1
      crash(death)
      then()
    }
  }

  private func end(_ death: Death) {
    guard let life, life.isAlive else { return }
    diedAt = scheduler.now
    life.whenEnded { [findings] life in
      if !life.isDone {
        findings.defects.append("\(life.name) died, and these tasks did not unwind: \(life.liveTasks)")
      }
    }
    fabric.nodeDied(life, silently: death == .power)
    switch death {
    case .kill: disk.loseProcess()
    case .power: disk.losePower()
    }
    disk.life = nil
    service = nil
    self.life = nil
    life.die()
  }

  /// Boots the node after `delay`.
  public func restart(after delay: Duration) {
    restart?.cancel()
    restart = scheduler.after(delay) { [weak self] in self?.start() }
  }

  /// Ends the node for good, at the end of a run.
  func abandon() {
    restart?.cancel()
    restart = nil
    end(.kill)
  }

  // MARK: Pause, and stopping in order

  /// Suspends the node, as SIGSTOP or a stall of the host does. Connections stay open.
  public func pause() {
    guard let life, life.isAlive, !life.isPaused else { return }
    pauses += 1
    trace.event(.pause, name)
    life.pause()
  }

  /// Resumes the node.
  public func resume() {
    guard let life, life.isPaused else { return }
    trace.event(.resume, name)
    // Requests that arrived during the pause are refused now.
    if isDraining { findings.noteTrouble(at: scheduler.now) }
    life.resume()
  }

  /// Drains the service, as SIGTERM does, and boots again after `delay`.
  public func drain(restartAfter delay: Duration) {
    guard let life, life.isAlive, let service else { return }
    drains += 1
    findings.noteTrouble(at: scheduler.now)
    trace.event(.drain, name)
    isDraining = true
    _ = life.spawn("drain") { [self] in
      await service.drain()
      guard life.isAlive else { return }
      end(.kill)
      restart(after: delay)
    }
  }
}
