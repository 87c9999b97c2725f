import Environment
import RuntimeHooks

/// The one scheduler of a simulated world: every job of every node runs here, one at a time, in an order that the seed
/// decides; and time jumps to the next timer when nothing can run.
///
/// Everything in a world happens on the thread that calls `run`; so its parts are marked Sendable and hold no lock.
public final class Scheduler: @unchecked Sendable {
  /// What can run: a job of a task, on an actor or elsewhere, or plain work (an offloaded closure).
  enum Kind {
    case job(UnownedJob, UnownedSerialExecutor)
    case work(Work)
  }

  /// Plain work.
  final class Work {
    let body: () -> Void

    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// What can run, and whose it is. A queue moves it about as plain bits: what it holds is retained once, until it has run or is dropped.
  struct Runnable {
    private enum Held {
      case job(UnownedJob, UnownedSerialExecutor)
      case work(Unmanaged<Work>)
    }

    private let held: Held
    private let owner: Unmanaged<Life>
    /// The number of the chain that it belongs to; 0 where chains are not told apart.
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

    /// Runs it, which ends it.
    func run() {
      owner._withUnsafeGuaranteedRef { _ = GlobalJobs.setCurrent($0.globalJobs) }
      switch held {
      case .job(let job, let executor): job.runSynchronously(on: executor)
      case .work(let work): work.takeRetainedValue().body()
      }
      owner.release()
    }

    /// Ends it without running it.
    func drop() {
      if case .work(let work) = held { work.release() }
      owner.release()
    }
  }

  /// Virtual time in nanoseconds since the run began.
  public private(set) var now: Int64 = 0
  /// How many jobs ran.
  public private(set) var steps = 0
  /// Steps that a dying node may take to unwind its tasks before it is reported as stuck.
  static let unwindBound = 200_000

  let hash: RunHash
  private let strategy: any Strategy
  /// What the strategy says of itself.
  private let isOrdered: Bool
  private let tracksChains: Bool
  private var chainCount = 0
  /// The chains of the tasks that were seen, by the runtime's numbers for them.
  private var chainsOfTasks: [UInt64: Int] = [:]
  /// What the task that is being started is called.
  private var starting: StaticString?
  /// Where the task that is being resumed goes on.
  private var resuming: UnownedSerialExecutor?
  private var ready: [Runnable] = []
  /// Taken from the front of `ready` by an ordered strategy; removed in bulk now and then.
  private var taken = 0
  private var timers = TimerHeap<SimTimer>()
  private var dying: [Life] = []
  /// The life being unwound: its jobs bypass the queue.
  private var unwinding: Life?
  private var unwindQueue: [Runnable] = []

  init(strategy: any Strategy, hash: RunHash) {
    self.strategy = strategy
    isOrdered = strategy.isOrdered
    tracksChains = strategy.tracksChains
    self.hash = hash
  }

  // MARK: What can run

  func enqueue(_ kind: Kind, of life: Life) {
    let runnable = Runnable(kind, of: life, chain: tracksChains ? chain(of: kind, life) : 0)
    if life === unwinding {
      unwindQueue.append(runnable)
    } else if life.isPaused {
      life.held.append(runnable)
    } else {
      ready.append(runnable)
    }
  }

  /// Lets a task that waited on an actor go on right there. The runtime resumes continuations outside any actor, from where the task
  /// switches to its own: a step of its own in which nothing happens.
  func resuming(on executor: UnownedSerialExecutor?, of life: Life, _ resume: () -> Void) {
    resuming = executor
    let previous = GlobalJobs.setCurrent(life.globalJobs)
    resume()
    GlobalJobs.setCurrent(previous)
    resuming = nil
  }

  /// Starts a task: its first job comes to the queue of its actor, or of none.
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
    // The runtime numbers tasks over the whole process: the numbers differ from run to run, but not which jobs have the same.
    let task: UInt64? = if case .job(let job, _) = kind { taskID(of: job) } else { nil }
    if let task, let known = chainsOfTasks[task] { return known }
    chainCount += 1
    let label = task == nil ? life.workLabel : "\(life.name)/" + (starting.map { "\($0)" } ?? "child")
    strategy.met(Chain(number: chainCount, label: label))
    if let task { chainsOfTasks[task] = chainCount }
    return chainCount
  }

  /// Takes the jobs of `life` out of the queue until it resumes.
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

  /// Has a timer fire at `time`, or now when that has passed.
  func fire(_ timer: SimTimer, at time: Int64) { timers.insert(timer, at: max(time, now)) }

  // MARK: Running

  /// Runs until nothing can run before `limit` (virtual nanoseconds), or `stop` says so. Returns false when stopped by `stop`.
  func run(until limit: Int64, stop: () -> Bool) {
    defer { GlobalJobs.setCurrent(nil) }
    while !stop() {
      if !dying.isEmpty {
        unwind(dying.removeFirst())
      } else if taken < ready.count {
        step()
      } else if let time = timers.nextTime, time <= limit {
        now = time
        while timers.nextTime == time { timers.removeFirst().fire() }
      } else {
        now = max(now, limit)
        return
      }
    }
  }

  /// Lets go of what was to come. Timers hold what they are for, and that holds the scheduler: nobody else would break the circle.
  func forgetAll() {
    for timer in timers.removeAll() { timer.cancel() }
    for runnable in ready[taken...] { runnable.drop() }
    ready = []
    taken = 0
  }

  private func step() {
    let index = taken + strategy.pick(among: ready.count - taken) { ready[taken + $0].chain }
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
  }

  // MARK: Death

  /// Unwinds `life` before anything else runs: at once, or as soon as the job that now runs has returned.
  func bury(_ life: Life) { dying.append(life) }

  /// Every pending operation of the dead node throws, its tasks are cancelled, and its jobs run until none is left.
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
