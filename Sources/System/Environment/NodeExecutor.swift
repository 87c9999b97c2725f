/// Where a node's code runs. `System` starts no task and no thread by itself: it asks here, so that each task belongs to
/// a node and dies with it.
///
/// In production every executor of a node is its one event-loop thread, so a call between its actors costs no hop. In the
/// simulator each actor has an executor of its own, so that every such call is a choice of the scheduler.
public protocol NodeExecutor: Sendable {
  /// The executor for one actor; the actor keeps it and returns it as `unownedExecutor`.
  func forActor(_ name: StaticString) -> ActorExecutor

  /// Starts a task of this node, on `isolation`: without one where its tasks run outside any actor. `name` says in reports what it is.
  @discardableResult
  func spawn(
    _ name: StaticString, isolation: isolated (any Actor)?,
    @_inheritActorContext(always) _ body: sending @escaping @isolated(any) () async -> Void
  ) -> Task<Void, Never>

  /// Runs `work` soon, on the node's thread and outside any task: what never waits costs a fraction so of what a task does.
  func post(_ work: @escaping @Sendable () -> Void)

  /// Runs blocking `work` off the event loop and waits for it. Work that has begun is not cancelled.
  /// - Throws: `NodeDown`.
  func block(_ lane: OffloadLane, _ work: @escaping @Sendable () -> Void) async throws

  /// The same for whoever has no task that waits: calls `done`, as `post` would, and with an error where the node died.
  func block(
    _ lane: OffloadLane, _ work: @escaping @Sendable () -> Void,
    then done: @escaping @Sendable ((any Error)?) -> Void)
}

/// The executor of one actor, in the form in which the runtime asks for it: at each switch to the actor.
public struct ActorExecutor: Sendable {
  private let owner: any SerialExecutor
  /// What the actor returns as its `unownedExecutor`; there as long as this is.
  public let unowned: UnownedSerialExecutor

  /// Keeps `owner`.
  public init(_ owner: some SerialExecutor) {
    self.owner = owner
    unowned = owner.asUnownedSerialExecutor()
  }
}

extension NodeExecutor {
  /// Starts a task of this node on the actor that starts it.
  @discardableResult
  public func spawn(
    _ name: StaticString, on isolation: isolated (any Actor)? = #isolation,
    @_inheritActorContext(always) _ body: sending @escaping @isolated(any) () async -> Void
  ) -> Task<Void, Never> {
    spawn(name, isolation: isolation, body)
  }

  // What is posted runs where the node's actors do, one thing at a time: that is what isolation means, and so nobody asks for it at each call.

  /// Runs `work` soon on an actor of this node.
  public func post<Target: Actor>(to actor: Target, _ work: @escaping @Sendable (isolated Target) -> Void) {
    let work = unsafeBitCast(work, to: (@Sendable (Target) -> Void).self)
    post { work(actor) }
  }

  // Executors know nothing of what work returns: its type would be looked up at run time, for each of its closures.

  /// Runs blocking `work` off the event loop and returns what it returned.
  /// - Throws: what `work` throws; `NodeDown`. Work that has begun is not cancelled.
  @inline(__always)
  public func offload<R: Sendable>(_ lane: OffloadLane, _ work: @escaping @Sendable () throws -> R) async throws -> R {
    let outcome = Outcome<R>()
    try await block(lane) { outcome.run(work) }
    if let error = outcome.error { throw error }
    return outcome.value!
  }

  /// Runs blocking `work` off the event loop, and then hands what came of it to `done`, on an actor of this node.
  @inline(__always)
  public func offload<Target: Actor, R: Sendable>(
    _ lane: OffloadLane, for actor: Target, _ work: @escaping @Sendable () throws -> R,
    then done: @escaping @Sendable (isolated Target, Result<R, any Error>) -> Void
  ) {
    let done = unsafeBitCast(done, to: (@Sendable (Target, Result<R, any Error>) -> Void).self)
    let outcome = Outcome<R>()
    block(lane) {
      outcome.run(work)
    } then: { error in
      done(actor, (error ?? outcome.error).map { .failure($0) } ?? .success(outcome.value!))
    }
  }
}

/// What came of work, put down by one thread and taken up by another.
private final class Outcome<R: Sendable>: @unchecked Sendable {
  var value: R?
  var error: (any Error)?

  @inline(__always)
  func run(_ work: () throws -> R) {
    do { value = try work() } catch { self.error = error }
  }
}

/// What kind of work blocks, so that slow hashing never stands in the way of a commit.
public enum OffloadLane: Sendable, Hashable {
  /// Files and databases.
  case disk
  /// Long computations: password hashing.
  case compute
}
