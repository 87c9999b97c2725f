import Environment

/// A machine of the simulated world: a disk and clocks that outlast crashes, and the life that runs on them now.
public final class SimNode: @unchecked Sendable {
  /// What a node does from its boot on.
  public typealias Program = @Sendable (Environment) async throws -> (any Service)?

  /// How a node dies.
  public enum Death: String, Sendable, CaseIterable {
    /// The process dies (`kill -9`) and the machine lives: what was written is in the page cache, peers get resets.
    case kill
    /// The machine loses power: what was not synced is lost or torn, peers hear nothing.
    case power
  }

  /// The node's name, by which others connect to it.
  public let name: String
  let disk: SimDisk
  /// How its clocks differ from virtual time.
  public let clock = ClockSetting()
  /// Its life; nil when it has none.
  public private(set) var life: Life?
  private(set) var service: (any Service)?
  /// What its life holds for clients.
  package private(set) var memory = ClientMemory()
  private let scheduler: Scheduler
  private let fabric: Fabric
  private let trace: Trace
  private let findings: Findings
  private let seed: UInt64
  private let program: Program
  private let computation: ChoiceStream
  private var boots = 0
  /// How often it booted again.
  public var restarts: Int { max(0, boots - 1) }
  /// How often it died, was paused, was stopped in order, and failed to start.
  public private(set) var deaths = 0
  private(set) var pauses = 0
  private(set) var drains = 0
  package private(set) var failedStarts = 0
  /// Deaths while a transaction was between its first write and its sync.
  package private(set) var deathsInCommit = 0
  private var restart: SimTimer?
  /// The life that is being stopped in order.
  private weak var draining: Life?

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

  /// Whether a life runs and its service has started.
  public var isServing: Bool { life?.isAlive == true && service != nil }
  /// Whether a life runs.
  public var isUp: Bool { life?.isAlive == true }

  /// Boots the node.
  public func start() {
    guard !isUp else { return }
    restart = nil
    boots += 1
    trace.event(.boot, name, value: UInt64(boots), "boot \(boots)")
    let life = Life(name: name, clock: clock, scheduler: scheduler) { [findings] in findings.noteDefaultActor($0) }
    self.life = life
    disk.life = life
    fabric.powered(name)
    let environment = environment(of: life)
    _ = life.spawn("main") { [program] in
      do {
        let service = try await program(environment)
        if life.isAlive { self.service = service }
      } catch {
        if life.isAlive { self.failed(error) }
      }
    }
  }

  private func environment(of life: Life) -> Environment {
    let log = Log(node: name, threshold: trace.logLevel) { [trace] in trace.logged($0) }
    memory = ClientMemory()
    return Environment(
      node: name, clock: SimClock(life: life), network: SimNetwork(life: life, fabric: fabric), storage: disk,
      entropy: SimEntropy(seed: seed, node: name, boot: boots),
      executor: SimExecutor(life: life, disk: disk, stream: computation), log: log, memory: memory)
  }

  /// The environment of somebody who works at the machine while its service is down, on its disk. `own` is theirs elsewhere.
  package func environmentForOperator(_ own: Environment) -> Environment {
    let life = (own.clock as! SimClock).life
    disk.life = life
    return Environment(
      node: own.node, clock: own.clock, network: own.network, storage: disk, entropy: own.entropy,
      executor: own.executor,
      log: own.log, memory: own.memory)
  }

  /// The program could not start: it exits, and its service manager tries again.
  private func failed(_ error: any Error) {
    failedStarts += 1
    trace.event(.ended, name, "start failed: \(error)")
    end(.kill)
    restart(after: .seconds(1))
  }

  // MARK: Death

  /// Dies at this instant.
  public func crash(_ death: Death) {
    guard isUp else { return }
    deaths += 1
    trace.event(.crash, name, value: death == .kill ? 1 : 2, death.rawValue)
    end(death)
  }

  /// Dies when the disk has done `operations` more writes and syncs: in the middle of a commit.
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

  /// Boots again after a while.
  public func restart(after delay: Duration) {
    restart?.cancel()
    restart = scheduler.after(delay) { [weak self] in self?.start() }
  }

  /// Ends for good, at the end of a run.
  func abandon() {
    restart?.cancel()
    restart = nil
    end(.kill)
  }

  // MARK: Pause, and stopping in order

  /// Stops running, as under SIGSTOP or a long stall of its host; connections stay.
  public func pause() {
    guard let life, life.isAlive, !life.isPaused else { return }
    pauses += 1
    trace.event(.pause, name)
    life.pause()
  }

  /// Runs on.
  public func resume() {
    guard let life, life.isPaused else { return }
    trace.event(.resume, name)
    // What came while it stood still in the middle of stopping is turned away now.
    if life === draining { findings.noteTrouble(at: scheduler.now) }
    life.resume()
  }

  /// Stops in order, as at SIGTERM, then boots again after a while.
  public func drain(restartAfter delay: Duration) {
    guard let life, life.isAlive, let service else { return }
    drains += 1
    findings.noteTrouble(at: scheduler.now)
    trace.event(.drain, name)
    draining = life
    _ = life.spawn("drain") { [self] in
      await service.drain()
      guard life.isAlive else { return }
      end(.kill)
      restart(after: delay)
    }
  }
}
