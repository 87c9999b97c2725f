import Environment
import RuntimeHooks

/// Runs the jobs of all nodes of a world one at a time, in an order that the seed decides. Time
/// jumps to the next timer when nothing is runnable.
///
/// Everything in a world happens on the thread that calls `run`, or on a `TurnThread` while that
/// one waits for it, so its classes are `@unchecked Sendable` and have no locks.
public final class Scheduler: @unchecked Sendable {
  /// A job of a task, or a closure.
  enum Kind {
    case job(UnownedJob, UnownedSerialExecutor)
    case work(Work)
  }

  /// A closure that runs outside of any task.
  final class Work {
    let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// An entry of the queue. The queue copies it as plain bits: its contents are retained once,
  /// until it has run or is dropped.
  struct Runnable {
    private enum Held {
      case job(UnownedJob, UnownedSerialExecutor)
      case work(Unmanaged<Work>)
    }

    private let held: Held
    private let owner: Unmanaged<Life>
    /// The number of its chain, or 0 if the strategy does not track chains.
    let chain: Int

    init(_ kind: Kind, of life: Life, chain: Int) {
      held =
        switch kind {
        case .job(let job, let executor): .job(job, executor)
        case .work(let work): .work(.passRetained(work))
        }
      owner = .passRetained(life)
      self.chain = chain
    }

    func belongs(to life: Life) -> Bool { owner.toOpaque() == Unmanaged.passUnretained(life).toOpaque() }

    /// Runs the job and releases its contents.
    func run() {
      owner._withUnsafeGuaranteedRef { _ = GlobalJobs.setCurrent($0.globalJobs) }
      switch held {
      case .job(let job, let executor): job.runSynchronously(on: executor)
      case .work(let work): work.takeRetainedValue().body()
      }
      owner.release()
    }

    /// Releases the contents without running the job.
    func drop() {
      if case .work(let work) = held { work.release() }
      owner.release()
    }
  }

  /// The virtual time in nanoseconds since the run began.
  public private(set) var now: Int64 = 0
  /// The number of jobs that have run.
  public private(set) var steps = 0
  /// The number of steps after which a dying node's tasks count as stuck.
  static let unwindBound = 200_000

  let hash: RunHash
  let blockingWork = BlockingWork()
  private let strategy: any Strategy
  /// Cached properties of the strategy.
  private let isOrdered: Bool
  private let tracksChains: Bool
  private var chainCount = 0
  /// The numbers of chains by the runtime's numbers of their tasks.
  private var chainsOfTasks: [UInt64: Int] = [:]
  /// The name of the task that is being started.
  private var starting: StaticString?
  /// The executor on which the task that is being resumed continues.
  private var resuming: UnownedSerialExecutor?
  /// What the task that is being resumed has waited for.
  private var ended: Wait?
  private var ready: [Runnable] = []
  /// The number of jobs at the front of `ready` that an ordered strategy has taken. They are
  /// removed in bulk.
  private var taken = 0
  private var timers = TimerHeap<SimTimer>()
  private var dying: [Life] = []
  /// The life that is being unwound. Its jobs bypass the queue.
  private var unwinding: Life?
  private var unwindQueue: [Runnable] = []

  /// The steps after which choices derive from other seeds, the last first.
  private var branches: [Branch]
  private let choices: Choices
  /// The next of those steps, or -1.
  private var nextBranch = -1
  private var steering: Steering
  /// Notes what chains are doing; nil in runs that nobody looks at.
  let watch: Watch?

  init(strategy: any Strategy, _ choices: Choices, branches: [Branch], picks: [Pick] = [], watch: Watch? = nil) {
    self.strategy = strategy
    self.watch = watch
    steering = Steering(picks)
    self.choices = choices
    self.branches = branches.sorted { $0.step > $1.step }
    isOrdered = strategy.isOrdered
    tracksChains = strategy.tracksChains || watch != nil
    hash = choices.hash
    takeBranches()
  }

  private func takeBranches() {
    while let branch = branches.last, branch.step <= steps {
      branches.removeLast()
      choices.reseed(branch.seed)
    }
    nextBranch = branches.last?.step ?? -1
  }

  // MARK: Jobs

  func enqueue(_ kind: Kind, of life: Life, on actor: StaticString? = nil) {
    let runnable = Runnable(kind, of: life, chain: tracksChains ? chain(of: kind, life) : 0)
    watch?.note(runnable.chain, actor: actor, wait: ended)
    if life === unwinding {
      unwindQueue.append(runnable)
    } else if life.isPaused {
      life.held.append(runnable)
    } else {
      ready.append(runnable)
    }
  }

  /// Resumes a task that waits on an actor directly on its executor. The runtime would resume it on
  /// no actor and switch from there, which would be a step in which nothing happens.
  func resuming(on executor: UnownedSerialExecutor?, of life: Life, after wait: Wait, _ resume: () -> Void) {
    resuming = executor
    if watch != nil { ended = wait }
    let previous = GlobalJobs.setCurrent(life.globalJobs)
    resume()
    GlobalJobs.setCurrent(previous)
    resuming = nil
    ended = nil
  }

  /// Starts a task. Its first job enters the queue.
  func starting<T>(_ name: StaticString, of life: Life, _ start: () -> T) -> T {
    starting = name
    let previous = GlobalJobs.setCurrent(life.globalJobs)
    defer {
      GlobalJobs.setCurrent(previous)
      starting = nil
    }
    return start()
  }

  /// Enqueues a job that runs on no actor, unless it is the one that `resuming` resumes.
  func enqueueGlobal(_ job: UnownedJob, of life: Life) { enqueue(.job(job, resuming ?? .noActor), of: life) }

  private func chain(of kind: Kind, _ life: Life) -> Int {
    // The runtime numbers the tasks of the whole process, so the numbers differ between runs. Which
    // jobs have the same number does not.
    let task: UInt64? = if case .job(let job, _) = kind { taskID(of: job) } else { nil }
    if let task, let known = chainsOfTasks[task] { return known }
    chainCount += 1
    let label = task == nil ? life.workLabel : "\(life.name)/" + (starting.map { "\($0)" } ?? "child")
    watch?.met(label)
    if strategy.tracksChains { strategy.met(Chain(number: chainCount, label: label)) }
    if let task { chainsOfTasks[task] = chainCount }
    return chainCount
  }

  /// Holds back the jobs of `life` until it resumes.
  func pause(_ life: Life) {
    life.held += takeJobs(of: life)
  }

  func resume(_ life: Life) {
    ready += life.held
    life.held = []
  }

  private func takeJobs(of life: Life) -> [Runnable] {
    let jobs = ready[taken...].filter { $0.belongs(to: life) }
    ready = ready[taken...].filter { !$0.belongs(to: life) }
    taken = 0
    return jobs
  }

  // MARK: Time

  @discardableResult
  func at(_ time: Int64, _ action: @escaping () -> Void) -> ActionTimer {
    let timer = ActionTimer(action)
    fire(timer, at: time)
    return timer
  }

  @discardableResult
  func after(_ delay: Duration, _ action: @escaping () -> Void) -> ActionTimer {
    let (time, overflow) = now.addingReportingOverflow(delay.nanoseconds)
    return at(overflow ? .max : time, action)
  }

  /// Fires a timer at `time`, or now if that has passed.
  func fire(_ timer: SimTimer, at time: Int64) { timers.insert(timer, at: max(time, now)) }

  // MARK: Running

  /// Runs until nothing can run before `limit`, in virtual nanoseconds, or until `stop` returns
  /// true.
  func run(until limit: Int64, stop: () -> Bool) {
    defer { GlobalJobs.setCurrent(nil) }
    while !stop() {
      if !dying.isEmpty {
        unwind(dying.removeFirst())
      } else if taken < ready.count {
        if steps < steering.nextAction { step() } else { steering.takeAction(upTo: steps)?() }
      } else if let time = timers.nextTime, time <= limit {
        now = time
        while timers.nextTime == time { timers.removeFirst().fire() }
      } else {
        now = max(now, limit)
        return
      }
    }
  }

  /// Drops all timers and jobs. Timers retain their targets, which retain the scheduler.
  func forgetAll() {
    for timer in timers.removeAll() { timer.cancel() }
    for runnable in ready[taken...] { runnable.drop() }
    ready = []
    taken = 0
    steering.forgetAll()
  }

  /// Calls `action` when `step` jobs have run, before the next one is picked.
  func atStep(_ step: Int, _ action: @escaping () -> Void) { steering.add(step, action) }

  /// The jobs that may run next, by their places. Empty if nobody watches the run.
  var runnable: [RunnableJob] { watch.map { watch in ready[taken...].map { watch.job($0.chain) } } ?? [] }

  private func step() {
    // The strategy draws in any case, so that a pick does not shift later draws.
    var place = strategy.pick(among: ready.count - taken) { ready[taken + $0].chain }
    if let pick = steering.pick(after: steps, among: ready.count - taken) {
      place = pick
      hash.mix(UInt64(pick))
    }
    watch?.picked(place, after: steps)
    let index = taken + place
    if !isOrdered {
      ready.swapAt(index, ready.count - 1)
      execute(ready.removeLast())
    } else if index > taken {
      execute(ready.remove(at: index))
    } else {
      let runnable = ready[index]
      taken += 1
      if taken > 4096 || taken == ready.count {
        ready.removeFirst(taken)
        taken = 0
      }
      execute(runnable)
    }
  }

  private func execute(_ runnable: Runnable) {
    steps += 1
    runnable.run()
    if steps == nextBranch { takeBranches() }
  }

  // MARK: Death

  /// Unwinds `life` before anything else runs: at once, or when the running job has returned.
  func bury(_ life: Life) { dying.append(life) }

  /// Makes every pending operation of the dead node throw, cancels its tasks, and runs its jobs
  /// until none is left.
  private func unwind(_ life: Life) {
    unwinding = life
    unwindQueue = takeJobs(of: life) + life.held
    life.held = []
    life.failEverything()
    var next = 0
    while next < unwindQueue.count {
      let runnable = unwindQueue[next]
      next += 1
      execute(runnable)
      if next > Self.unwindBound { break }
      if next == unwindQueue.count { life.failEverything() }
    }
    for runnable in unwindQueue[next...] { runnable.drop() }
    unwindQueue = []
    unwinding = nil
    life.finishedUnwinding()
  }
}
