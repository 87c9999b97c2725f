import Environment

/// A simulated world: nodes with disks and clocks, the network between them, and the one scheduler that runs it all.
///
/// A run is a function of (seed, strategy, what the caller does). Everything in it happens on the calling thread.
public final class World: @unchecked Sendable {
  /// Every choice and event so far, hashed.
  public let hash: RunHash
  /// Where everything undetermined comes from.
  public let choices: Choices
  /// What runs next, and the time.
  public let scheduler: Scheduler
  /// What happened.
  public let trace: Trace
  let fabric: Fabric
  /// The nodes, in order of their making.
  public private(set) var nodes: [SimNode] = []
  private var byName: [String: SimNode] = [:]
  let findings = Findings()
  /// Things that must not happen in any run: tasks that do not unwind.
  public var defects: [String] { findings.defects }

  /// An empty world. `sink` gets what happens; recording it changes nothing else, and neither does hashing.
  public init(
    seed: UInt64, windows: ChoiceWindows = ChoiceWindows(), isHashed: Bool = true, sink: ((TraceEvent) -> Void)? = nil,
    strategy: (Choices) -> any Strategy = { RandomWalk($0) }
  ) {
    hash = RunHash(isOn: isHashed)
    choices = Choices(seed: seed, hash: hash, windows: windows)
    scheduler = Scheduler(strategy: strategy(choices), hash: hash)
    trace = Trace(hash: hash, sink: sink)
    fabric = Fabric(scheduler: scheduler, trace: trace, stream: choices.stream("network"))
    trace.clock = { [unowned(unsafe) scheduler] in scheduler.now }
  }

  deinit { end() }

  /// Virtual time since the beginning.
  public var now: Duration { .nanoseconds(scheduler.now) }

  /// Adds a node that runs `program` from its boot on. A program that returns a service is up; one that throws is started
  /// again a second later, as a service manager would; one that returns nil has done what it was for.
  @discardableResult
  public func addNode(_ name: String, program: @escaping SimNode.Program) -> SimNode {
    require(byName[name] == nil, "two nodes called \(name)")
    let node = SimNode(name, in: self, program: program)
    nodes.append(node)
    byName[name] = node
    return node
  }

  /// The node called `name`.
  public func node(_ name: String) -> SimNode? { byName[name] }

  /// Runs up to a virtual time, or until `stop` says so.
  public func run(until time: Duration, stop: () -> Bool = { false }) {
    scheduler.run(until: time.nanoseconds, stop: stop)
  }

  /// Calls `action` at a virtual time, or now when that has passed.
  public func at(_ time: Duration, _ action: @escaping () -> Void) { scheduler.at(time.nanoseconds, action) }

  /// Runs `body` on a new node and returns what it returned: how a test or a program looks into a world from outside.
  /// - Throws: what `body` throws; `Unfinished` when it takes longer than `limit` of virtual time.
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

  /// Something that did not end in its time, and what everything waits for.
  public struct Unfinished: Error {
    /// One line a node or task.
    public let waits: String
  }

  private final class Box<R>: @unchecked Sendable {
    var result: Result<R, any Error>?
  }

  /// Ends every node, so that the world can be let go of.
  public func end() {
    for node in nodes { node.abandon() }
    run(until: now)
    fabric.forgetAll()
    scheduler.forgetAll()
  }

  /// What every task of every node waits for: for a run that is stuck.
  public var waits: String {
    nodes.compactMap { node in
      guard let life = node.life else { return "\(node.name): down" }
      let lines = life.waits.map { "\n    " + $0 }.joined()
      return "\(node.name): \(life.liveTasks.count) tasks\(lines)"
    }.joined(separator: "\n  ")
  }
}

/// What nodes tell of themselves, for whoever judges the run.
final class Findings {
  var defects: [String] = []
  /// Virtual times at which a fault struck that a service may answer 503 to, in order.
  private(set) var troubles: [Int64] = []

  private var defaultActors: Set<String> = []

  /// Notes a defect of the run, once for each type.
  func noteDefaultActor(_ type: String) {
    guard defaultActors.insert(type).inserted else { return }
    defects.append(
      "the actor \(type) does not run on an executor of the environment, so its jobs are not interleaved:"
        + " give it an unownedExecutor from environment.executor.forActor")
  }

  func noteTrouble(at time: Int64) { if troubles.last != time { troubles.append(time) } }
}
