/// Runs a node's tasks, actors and blocking work. `System` starts tasks only here, so that each
/// task belongs to a node and ends when the node crashes.
///
/// In production the event-loop thread of a node is the executor of all its actors, so calls
/// between them need no hop. In the simulator each actor has its own executor, so every such call
/// is a choice of the scheduler.
public protocol NodeExecutor: Sendable {
  /// Returns the executor for one actor. The actor stores it, and returns its `unowned` as its own
  /// `unownedExecutor`.
  func forActor(_ name: StaticString) -> ActorExecutor

  /// Starts a task of this node on the actor `isolation`, or on no actor if that is nil. `name` is
  /// used in reports.
  @discardableResult
  func spawn(
    _ name: StaticString, isolation: isolated (any Actor)?,
    @_inheritActorContext(always) _ body: sending @escaping @isolated(any) () async -> Void
  ) -> Task<Void, Never>

  /// Runs `work` soon on the node's thread, outside any task. For work that never suspends this is
  /// far cheaper than a task.
  func post(_ work: @escaping @Sendable () -> Void)

  /// Runs blocking `work` outside the event loop and waits for it. Cancellation does not stop it.
  /// - Throws: `NodeDown` if the node crashes.
  func block(_ lane: OffloadLane, _ work: @escaping @Sendable () -> Void) async throws

  /// Runs blocking `work` outside the event loop, and then posts `done`, with `NodeDown` if the
  /// node has crashed.
  func block(
    _ lane: OffloadLane, _ work: @escaping @Sendable () -> Void,
    then done: @escaping @Sendable ((any Error)?) -> Void)

  /// Runs `body` to its end on the calling thread, in a task of its own, as the function `runInline`
  /// does. Blocking work calls it.
  func runInPlace(_ body: @escaping @Sendable () async -> Void)
}

extension NodeExecutor {
  /// Calls `runInline`.
  public func runInPlace(_ body: @escaping @Sendable () async -> Void) { runInline(body) }
}

/// The executor of one actor. Stores the unowned form, which the runtime reads at each switch to
/// the actor.
public struct ActorExecutor: Sendable {
  private let owner: any SerialExecutor
  /// The value of the actor's `unownedExecutor`. Valid for the lifetime of this value.
  public let unowned: UnownedSerialExecutor

  /// Wraps `owner`, and retains it.
  public init(_ owner: some SerialExecutor) {
    self.owner = owner
    unowned = owner.asUnownedSerialExecutor()
  }
}

extension NodeExecutor {
  /// Starts a task of this node on the caller's actor. `name` is used in reports.
  @discardableResult
  public func spawn(
    _ name: StaticString, on isolation: isolated (any Actor)? = #isolation,
    @_inheritActorContext(always) _ body: sending @escaping @isolated(any) () async -> Void
  ) -> Task<Void, Never> {
    spawn(name, isolation: isolation, body)
  }

  // Posted work runs on the same thread as the node's actors, one piece at a time. So it may use an
  // actor's state without a hop, and the casts below drop the isolation from the closures' types.

  /// Runs `work` soon on an actor of this node.
  public func post<Target: Actor>(to actor: Target, _ work: @escaping @Sendable (isolated Target) -> Void) {
    let work = unsafeBitCast(work, to: (@Sendable (Target) -> Void).self)
    post { work(actor) }
  }

  // Executors are not generic over results: the runtime would look up the result's type in each
  // closure (docs/decisions/0025-executors-are-not-generic.md).

  /// Runs blocking `work` outside the event loop and returns its result. Cancellation does not stop
  /// it.
  /// - Throws: the errors of `work`; `NodeDown` if the node crashes.
  @inline(__always)
  public func offload<R: Sendable>(_ lane: OffloadLane, _ work: @escaping @Sendable () throws -> R) async throws -> R {
    let outcome = Outcome<R>()
    try await block(lane) { outcome.run(work) }
    if let error = outcome.error { throw error }
    return outcome.value!
  }

  /// Runs blocking `work` outside the event loop, and then `done` with its result on `actor`, an
  /// actor of this node.
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

/// The result of offloaded work. Unchecked, since the executor orders the write before the read.
private final class Outcome<R: Sendable>: @unchecked Sendable {
  var value: R?
  var error: (any Error)?

  @inline(__always)
  func run(_ work: () throws -> R) {
    do { value = try work() } catch { self.error = error }
  }
}

/// A kind of blocking work. Each kind has its own threads, so that hashing does not delay commits.
public enum OffloadLane: Sendable, Hashable {
  /// Files and databases.
  case disk
  /// Long computations, such as password hashing.
  case compute
}
