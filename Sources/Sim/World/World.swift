import Environment

/// A simulated world: nodes with disks and clocks, the network between them, and the scheduler that
/// runs them.
///
/// A run is a function of the seed, the strategy and the calls of the caller. Everything in it
/// happens on the calling thread.
public final class World: @unchecked Sendable {
  /// The hash of every choice and event so far.
  public let hash: RunHash
  /// The source of every decision that is left open.
  public let choices: Choices
  /// The scheduler, and the virtual time.
  public let scheduler: Scheduler
  /// The events of the run.
  public let trace: Trace
  let fabric: Fabric
  /// The nodes, in order of creation.
  public private(set) var nodes: [SimNode] = []
  private var byName: [String: SimNode] = [:]
  let findings = Findings()
  /// Defects, which must not occur in any run: tasks that do not unwind, and actors that the
  /// scheduler cannot interleave.
  public var defects: [String] { findings.defects }

  /// Creates an empty world. `sink` receives its events. Neither the sink nor hashing changes the
  /// run. After the steps of `branches` choices derive from other seeds; after those of `picks` a
  /// given job goes next. Only a run that is watched can tell which jobs are runnable.
  public init(
    seed: UInt64, windows: ChoiceWindows = ChoiceWindows(), branches: [Branch] = [], picks: [Pick] = [],
    isHashed: Bool = true, isWatched: Bool = false, sink: ((TraceEvent) -> Void)? = nil,
    strategy: (Choices) -> any Strategy = { RandomWalk($0) }
  ) {
    hash = RunHash(isOn: isHashed)
    choices = Choices(seed: seed, hash: hash, windows: windows)
    scheduler = Scheduler(
      strategy: strategy(choices), choices, branches: branches, picks: picks, watch: isWatched ? Watch() : nil)
    trace = Trace(hash: hash, sink: sink)
    fabric = Fabric(scheduler: scheduler, trace: trace, stream: choices.stream("network"))
    trace.clock = { [unowned(unsafe) scheduler] in scheduler.now }
    trace.step = { [unowned(unsafe) scheduler] in scheduler.steps }
  }

  deinit { end() }

  /// Whether other jobs run between the disk operations of a node's blocking work, such as a
  /// commit. Otherwise each piece of it is one step.
  public var splitsDiskWork: Bool {
    get { scheduler.blockingWork.splits }
    set { scheduler.blockingWork.splits = newValue }
  }

  /// The virtual time since the beginning.
  public var now: Duration { .nanoseconds(scheduler.now) }

  /// Adds a node that runs `program` after each boot. If the program returns a service, the node is
  /// up. If it throws, it is started again a second later, as a service manager does. If it returns
  /// nil, it has ended.
  @discardableResult
  public func addNode(_ name: String, program: @escaping SimNode.Program) -> SimNode {
    require(byName[name] == nil, "two nodes called \(name)")
    let node = SimNode(name, in: self, program: program)
    nodes.append(node)
    byName[name] = node
    return node
  }

  /// Returns the node called `name`.
  public func node(_ name: String) -> SimNode? { byName[name] }

  /// Runs until a virtual time, or until `stop` returns true.
  public func run(until time: Duration, stop: () -> Bool = { false }) {
    scheduler.run(until: time.nanoseconds, stop: stop)
  }

  /// Calls `action` at a virtual time, or now if that has passed.
  public func at(_ time: Duration, _ action: @escaping () -> Void) { scheduler.at(time.nanoseconds, action) }

  /// Calls `action` when `step` jobs have run, before the next one is picked.
  public func atStep(_ step: Int, _ action: @escaping () -> Void) { scheduler.atStep(step, action) }

  /// Runs `body` on a new node and returns its result. Tests and programs use it to act in a world.
  /// - Throws: the error of `body`, or `Unfinished` if it takes longer than `limit` of virtual
  ///   time.
  @discardableResult
  public func perform<R: Sendable>(
    as name: String = "visitor", within limit: Duration = .seconds(3600),
    _ body: @escaping @Sendable (Environment) async throws -> R
  ) throws -> R {
    let box = Box<R>()
    let node = addNode(name) { environment in
      do { box.result = .success(try await body(environment)) } catch { box.result = .failure(error) }
      return nil
    }
    node.start()
    run(until: now + limit) { box.result != nil }
    guard let result = box.result else { throw Unfinished(waits: waits) }
    return try result.get()
  }

  /// The error for work that did not end in time.
  public struct Unfinished: Error {
    /// A line for each node and each wait of its tasks.
    public let waits: String
  }

  private final class Box<R>: @unchecked Sendable {
    var result: Result<R, any Error>?
  }

  /// Ends every node and releases the world. Call it once at the end.
  public func end() {
    for node in nodes { node.abandon() }
    run(until: now)
    fabric.forgetAll()
    scheduler.forgetAll()
  }

  /// The waits of all tasks of all nodes, for a run that is stuck.
  public var waits: String {
    nodes.compactMap { node in
      guard let life = node.life else { return "\(node.name): down" }
      let lines = life.waits.map { "\n    " + $0 }.joined()
      return "\(node.name): \(life.liveTasks.count) tasks\(lines)"
    }.joined(separator: "\n  ")
  }
}

/// Collects findings of the nodes for the judge of the run.
final class Findings {
  var defects: [String] = []
  /// The virtual times at which a fault struck that excuses a 503, in order.
  private(set) var troubles: [Int64] = []

  private var defaultActors: Set<String> = []

  /// Records a defect, once for each type.
  func noteDefaultActor(_ type: String) {
    guard defaultActors.insert(type).inserted else { return }
    defects.append(
      "the actor \(type) does not run on an executor of the environment, so its jobs are not interleaved:"
        + " give it an unownedExecutor from environment.executor.forActor")
  }

  func noteTrouble(at time: Int64) { if troubles.last != time { troubles.append(time) } }
}
