import Environment
import RuntimeHooks

/// A life of a node, from boot to crash: its executors, its tasks, and the waits of its tasks.
///
/// When it dies, every pending and later operation throws `NodeDown` without effect, and its tasks
/// unwind before anything else runs. A restart is a new life with the same disk.
public final class Life: @unchecked Sendable {
  /// The node's name.
  public let name: String
  /// False after its death.
  public private(set) var isAlive = true
  package private(set) var isPaused = false
  let scheduler: Scheduler
  /// The label of the chains of its blocking work.
  let workLabel: String
  let clock: ClockSetting
  var held: [Scheduler.Runnable] = []
  private var waiters: [Waiter?] = []
  private var freeSlots: [Int] = []
  private var tasks: [(id: Int, name: StaticString, task: Task<Void, Never>)] = []
  private var nextTaskID = 0
  private var onEnd: [(Life) -> Void] = []
  /// Receives the jobs of its tasks that run on no actor.
  private var ownGlobalJobs: GlobalJobs?
  private(set) var globalJobs: GlobalJobs.Handle?
  /// Reports the type of a default actor that its code uses.
  private let onDefaultActor: (String) -> Void
  private(set) var unwound = false

  init(name: String, clock: ClockSetting, scheduler: Scheduler, onDefaultActor: @escaping (String) -> Void = { _ in }) {
    self.name = name
    workLabel = "\(name)/work"
    self.clock = clock
    self.scheduler = scheduler
    self.onDefaultActor = onDefaultActor
    let jobs = GlobalJobs { [unowned(unsafe) self] job in
      if let type = DefaultActors.type(of: job) { self.onDefaultActor(type) }
      self.scheduler.enqueueGlobal(job, of: self)
    } after: { [unowned(unsafe) self] job, delay in
      // The timer keeps the life, for a task that sleeps across the crash of its node.
      self.scheduler.after(delay) { [self] in self.scheduler.enqueueGlobal(job, of: self) }
    }
    ownGlobalJobs = jobs
    globalJobs = jobs.handle
  }

  /// The names of the tasks that have not ended.
  public var liveTasks: [String] { tasks.map { "\($0.name)" } }
  /// A line for each wait of its tasks.
  public var waits: [String] { waiters.compactMap { $0?.what.description } }

  /// Whether all its tasks have ended or unwound.
  public var isDone: Bool { tasks.isEmpty }

  /// Calls `action` when the life has ended and its tasks have unwound.
  func whenEnded(_ action: @escaping (Life) -> Void) { onEnd.append(action) }

  // MARK: Tasks

  func spawn(
    _ name: StaticString, isolation: isolated (any Actor)? = #isolation,
    @_inheritActorContext(always) _ body: sending @escaping @isolated(any) () async -> Void
  ) -> Task<Void, Never> {
    // Tasks of a dying node may still start tasks, whose operations fail. Those of a dead node do
    // not run.
    if unwound { return Task.immediate {} }
    let id = nextTaskID
    nextTaskID += 1
    let task = scheduler.starting(name, of: self) {
      RequestTrace.outside {
        Task {  // The one place where tasks begin.
          // A closure that captures its isolation runs on it.
          _ = isolation
          await body()
          self.ended(id)
        }
      }
    }
    tasks.append((id, name, task))
    return task
  }

  /// Runs `work` in a step of its own. A dead node's work is dropped.
  func post(_ work: @escaping () -> Void) {
    if !unwound { scheduler.enqueue(.work(Scheduler.Work(work)), of: self) }
  }

  private func ended(_ id: Int) {
    if let index = tasks.firstIndex(where: { $0.id == id }) { tasks.remove(at: index) }
  }

  func executor(_ actor: StaticString) -> LifeExecutor { LifeExecutor(self, actor) }

  // MARK: Waiting

  /// Suspends the task until the waiter that is passed to `register` is resumed, the deadline
  /// passes, the task is cancelled, or the node dies.
  func wait(
    _ what: Wait, until deadline: Int64? = nil, isolation: isolated (any Actor)? = #isolation,
    _ register: (Waiter) -> Void
  ) async throws {
    guard isAlive else { throw NodeDown() }
    if let isolation, let type = DefaultActors.type(of: isolation) { onDefaultActor(type) }
    let waiter = Waiter(what, life: self, executor: isolation?.unownedExecutor)
    enter(waiter)
    register(waiter)
    if let deadline {
      waiter.timer = scheduler.at(deadline) { waiter.resume(throwing: NetworkError.timedOut) }
    }
    let handler = waiter.beginCancellation()
    defer { withExtendedLifetime(waiter) { Waiter.endCancellation(handler) } }
    try await withUnsafeThrowingContinuation { waiter.suspend($0) }
  }

  /// Calls `done`, in a step of its own, when the waiter that is passed to `register` is resumed or
  /// the node dies.
  func expect(
    _ what: Wait, _ done: @escaping ((any Error)?) -> Void, _ register: (Waiter) -> Void
  ) {
    guard isAlive else { return post { done(NodeDown()) } }
    let waiter = Waiter(what, life: self, done)
    enter(waiter)
    register(waiter)
  }

  private func enter(_ waiter: Waiter) {
    if let slot = freeSlots.popLast() {
      waiters[slot] = waiter
      waiter.slot = slot
    } else {
      waiter.slot = waiters.count
      waiters.append(waiter)
    }
  }

  fileprivate func forget(_ waiter: Waiter) {
    waiters[waiter.slot] = nil
    freeSlots.append(waiter.slot)
  }

  // MARK: Pause and death

  func pause() {
    guard isAlive, !isPaused else { return }
    isPaused = true
    scheduler.pause(self)
  }

  func resume() {
    guard isPaused else { return }
    isPaused = false
    scheduler.resume(self)
  }

  /// Ends the life. Unwinding follows when the running job has returned.
  func die() {
    guard isAlive else { return }
    isAlive = false
    isPaused = false
    scheduler.bury(self)
  }

  func failEverything() {
    // A task that is cancelled may enqueue a job at once: it is this node's.
    let previous = GlobalJobs.setCurrent(globalJobs)
    defer { GlobalJobs.setCurrent(previous) }
    for waiter in waiters { waiter?.resume(throwing: NodeDown()) }
    for entry in tasks { entry.task.cancel() }
  }

  func finishedUnwinding() {
    unwound = true
    let actions = onEnd
    onEnd = []
    for action in actions { action(self) }
  }
}

/// The reason of a wait. Its text is built only when it is read.
struct Wait: CustomStringConvertible {
  let kind: StaticString
  /// The place, as in `accept on chat:80`.
  var place: (preposition: StaticString, address: SocketAddress)?
  var connection: Int?

  init(_ kind: StaticString) { self.kind = kind }

  init(_ kind: StaticString, _ preposition: StaticString, _ address: SocketAddress, _ connection: Int? = nil) {
    self.kind = kind
    place = (preposition, address)
    self.connection = connection
  }

  var description: String {
    "\(kind)" + (place.map { " \($0.preposition) \($0.address)" } ?? "") + (connection.map { " #\($0)" } ?? "")
  }
}

/// A suspended task. It is resumed once; later resumptions have no effect.
final class Waiter: CancellableWait, @unchecked Sendable {
  let what: Wait
  fileprivate var slot = -1
  fileprivate var timer: SimTimer?
  private let life: Life
  /// The executor of the actor that the task waits on.
  private let executor: UnownedSerialExecutor?
  /// Called in place of a continuation.
  private var done: (((any Error)?) -> Void)?
  private var continuation: UnsafeContinuation<Void, any Error>?
  private(set) var isPending = true
  /// The error that it was resumed with.
  private var error: (any Error)?

  init(_ what: Wait, life: Life, executor: UnownedSerialExecutor?) {
    self.what = what
    self.life = life
    self.executor = executor
    super.init()
  }

  init(_ what: Wait, life: Life, _ done: @escaping ((any Error)?) -> Void) {
    self.what = what
    self.life = life
    self.done = done
    executor = nil
    super.init()
  }

  override func cancelled() { resume(throwing: CancellationError()) }

  fileprivate func suspend(_ continuation: UnsafeContinuation<Void, any Error>) {
    if isPending { self.continuation = continuation } else { Self.resume(continuation, error) }
  }

  func resume() { finish(nil) }
  func resume(throwing error: any Error) { finish(error) }

  // An optional error and not a `Result`: the runtime would look up the generic type each time.
  private func finish(_ error: (any Error)?) {
    guard isPending else { return }
    isPending = false
    self.error = error
    timer?.cancel()
    timer = nil
    life.forget(self)
    if let done {
      self.done = nil
      life.post { done(error) }
    }
    guard let continuation else { return }
    self.continuation = nil
    life.scheduler.resuming(on: executor, of: life, after: what) { Self.resume(continuation, error) }
  }

  private static func resume(_ continuation: UnsafeContinuation<Void, any Error>, _ error: (any Error)?) {
    if let error { continuation.resume(throwing: error) } else { continuation.resume() }
  }
}

/// The executor of one actor of a life. Its jobs are choices of the scheduler.
final class LifeExecutor: SerialExecutor, @unchecked Sendable {
  private let life: Life
  private let actor: StaticString

  init(_ life: Life, _ actor: StaticString) {
    self.life = life
    self.actor = actor
  }

  func enqueue(_ job: consuming ExecutorJob) {
    life.scheduler.enqueue(.job(UnownedJob(job), asUnownedSerialExecutor()), of: life, on: actor)
  }

  func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
}
