import Environment
import RuntimeHooks
import CLinux
import Glibc
import Synchronization

/// A node's thread: an epoll loop that is the executor of all its tasks and actors. Calls between
/// the actors of a node, and events from the kernel, need no change of thread. Unchecked, since
/// only the loop's thread uses the mutable state, except `remote`, which has a lock.
package final class EventLoop: SerialExecutor, @unchecked Sendable {
  /// An object that receives the kernel's events for a file descriptor.
  protocol Source: AnyObject {
    func ready(_ events: UInt32)
  }

  private static let batch = 256
  /// The maximum number of rounds of jobs, each with the jobs that the previous one enqueued,
  /// before the kernel is polled again.
  private static let rounds = 64

  private let epoll: Int32
  private let wakeUp: Int32
  /// The loop's thread; 0 until it runs. Other threads ask for it, too.
  private let thread = Atomic<pthread_t>(0)
  /// A job of a task, or a closure. Unchecked, since only the loop's thread runs it.
  enum Runnable: @unchecked Sendable {
    case job(UnownedJob)
    case work(() -> Void)
  }

  /// Enqueued by the loop's own thread, without a lock.
  private var ready: [Runnable] = []
  /// Enqueued by other threads.
  private let remote = Mutex<[Runnable]>([])
  private var timers = TimerHeap<() -> Void>()
  private var isStopped = false
  /// Called before the loop waits for events.
  var onTurn: () -> Void = {}
  /// The buffer into which all sockets read, so that an idle connection needs none. Reads are
  /// copied to an array of their exact size.
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

  init() {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    wakeUp = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    require(epoll >= 0 && wakeUp >= 0, "no epoll: errno \(errno)")
    control(EPOLL_CTL_ADD, wakeUp, EPOLLIN.rawValue, data: 0)
    // Created before other threads use it.
    _ = globalJobs
  }

  // MARK: Executor

  var isCurrent: Bool { pthread_self() == thread.load(ordering: .relaxed) }

  package func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }

  /// Receives the jobs of the node's tasks that run on no actor. The closures run for each such job
  /// and never outlive the loop, so they do not count references to it.
  private(set) lazy var globalJobs = GlobalJobs { [unowned(unsafe) self] in
    enqueue($0)
  } after: { [unowned(unsafe) self] job, delay in
    perform { [self] in at(Self.nanoseconds + delay.nanoseconds) { [self] in enqueue(job) } }
  }

  package func enqueue(_ job: UnownedJob) { enqueue(.job(job)) }

  /// Runs `work` soon on the loop's thread, outside any task.
  func post(_ work: @escaping @Sendable () -> Void) { enqueue(.work(work)) }

  func enqueue(_ runnable: Runnable) {
    if isCurrent {
      ready.append(runnable)
    } else {
      let isFirst = remote.withLock { remote in
        remote.append(runnable)
        return remote.count == 1
      }
      if isFirst { wake() }
    }
  }

  private func wake() {
    var one: UInt64 = 1
    // The write fails only if the counter is full. Then the loop is awake already.
    _ = Glibc.write(wakeUp, &one, 8)
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  package func checkIsolated() { require(isCurrent, "not called on the node's thread") }

  // MARK: Time

  package static var nanoseconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  func at(_ time: Int64, _ action: @escaping () -> Void) { timers.insert(action, at: time) }

  // MARK: Loop

  /// Runs the loop on the calling thread until `stop`.
  func run() {
    thread.store(pthread_self(), ordering: .relaxed)
    let serial = asUnownedSerialExecutor()
    globalJobs.makeCurrent()
    var turn: [Runnable] = []
    var events = [epoll_event](repeating: epoll_event(), count: Self.batch)
    while !isStopped {
      takeRemote()
      var rounds = 0
      while !ready.isEmpty, rounds < Self.rounds {
        rounds += 1
        swap(&ready, &turn)
        for runnable in turn {
          switch runnable {
          case .job(let job): job.runSynchronously(on: serial)
          case .work(let work): work()
          }
        }
        turn.removeAll(keepingCapacity: true)
      }
      fireTimers()
      if ready.isEmpty { onTurn() }
      let count = wait(&events)
      for index in 0..<max(0, count) { dispatch(events[index]) }
    }
    takeRemote()
  }

  package func stop() { isStopped = true }

  private func takeRemote() {
    remote.withLock { remote in
      if remote.isEmpty { return }
      ready += remote
      remote.removeAll(keepingCapacity: true)
    }
  }

  private func fireTimers() {
    guard let first = timers.nextTime else { return }
    let now = Self.nanoseconds
    guard first <= now else { return }
    while let time = timers.nextTime, time <= now {
      timers.removeFirst()()
    }
  }

  /// Whether `epoll_pwait2` works, which waits with nanosecond resolution. Linux has it since 5.11,
  /// but some sandboxes do not. Otherwise waits are rounded up to milliseconds.
  private var waitsToTheNanosecond = true

  /// Waits for events, at most until the next timer, and returns their number.
  private func wait(_ events: inout [epoll_event]) -> Int {
    if !ready.isEmpty || isStopped { return Int(epoll_wait(epoll, &events, Int32(Self.batch), 0)) }
    guard let time = timers.nextTime else { return Int(epoll_wait(epoll, &events, Int32(Self.batch), -1)) }
    let left = max(0, time - Self.nanoseconds)
    if waitsToTheNanosecond {
      var limit = timespec(tv_sec: Int(left / 1_000_000_000), tv_nsec: Int(left % 1_000_000_000))
      let count = epoll_pwait2(epoll, &events, Int32(Self.batch), &limit, nil)
      if count >= 0 || errno == EINTR { return Int(count) }
      waitsToTheNanosecond = false
    }
    return Int(epoll_wait(epoll, &events, Int32(Self.batch), Int32(clamping: (left + 999_999) / 1_000_000)))
  }

  // MARK: File descriptors

  /// Sources by file descriptor. The generation keeps a late event of a closed descriptor from the
  /// next source with the same number.
  private var sources: [(generation: UInt32, source: (any Source)?)] = []

  private func dispatch(_ event: epoll_event) {
    let data = event.data.u64
    if data == 0 {
      var count: UInt64 = 0
      _ = Glibc.read(wakeUp, &count, 8)
      return
    }
    let descriptor = Int(data >> 32)
    guard sources[descriptor].generation == UInt32(truncatingIfNeeded: data) else { return }
    sources[descriptor].source?.ready(event.events)
  }

  /// Starts to watch a descriptor in both directions, edge-triggered.
  func add(_ descriptor: Int32, _ source: any Source) {
    let index = Int(descriptor)
    while sources.count <= index { sources.append((0, nil)) }
    sources[index].generation &+= 1
    sources[index].source = source
    let events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
    control(EPOLL_CTL_ADD, descriptor, events, data: UInt64(index) << 32 | UInt64(sources[index].generation))
  }

  /// Removes a descriptor, before its owner closes it.
  func remove(_ descriptor: Int32) {
    sources[Int(descriptor)].source = nil
    sources[Int(descriptor)].generation &+= 1
  }

  private func control(_ operation: Int32, _ descriptor: Int32, _ events: UInt32, data: UInt64) {
    var event = epoll_event(events: events, data: epoll_data_t(u64: data))
    let status = epoll_ctl(epoll, operation, descriptor, &event)
    require(status == 0, "epoll_ctl failed: errno \(errno)")
  }
}

/// A point at which one task at a time waits. Unchecked, since only the loop's thread uses its
/// state; an `UnsafeContinuation` suffices, since `finish` resumes it once.
class Suspension: CancellableWait, @unchecked Sendable {
  let loop: EventLoop
  private var continuation: UnsafeContinuation<Void, any Error>?
  private var early: Result<Void, any Error>?
  private(set) final var isPending = false
  private var round = 0

  init(on loop: EventLoop) { self.loop = loop }

  /// Suspends the calling task until `finish`, or until it is cancelled.
  final func wait() async throws {
    require(!isPending, "two tasks wait at the same suspension")
    isPending = true
    round += 1
    let handler = beginCancellation()
    defer { withExtendedLifetime(self) { Self.endCancellation(handler) } }
    try await withUnsafeThrowingContinuation { suspend($0) }
  }

  final override func cancelled() {
    // When the loop runs this, the wait may have ended and another one begun.
    let round = round
    loop.perform { [self] in if round == self.round { finish(.failure(CancellationError())) } }
  }

  private func suspend(_ continuation: UnsafeContinuation<Void, any Error>) {
    if let early {
      self.early = nil
      continuation.resume(with: early)
    } else {
      self.continuation = continuation
    }
  }

  /// Resumes the waiting task, if there is one.
  final func finish(_ result: Result<Void, any Error>) {
    guard isPending else { return }
    isPending = false
    if let continuation {
      self.continuation = nil
      continuation.resume(with: result)
    } else {
      early = result
    }
  }
}

extension EventLoop {
  /// Runs `action` on the loop's thread: immediately if called there, otherwise soon.
  package func perform(_ action: @escaping @Sendable () -> Void) {
    if isCurrent { action() } else { post(action) }
  }
}
