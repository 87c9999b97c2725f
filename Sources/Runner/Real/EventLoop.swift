import Environment
import RuntimeHooks
import CLinux
import Glibc
import Synchronization

/// A node's thread: an epoll loop that is the executor of all its tasks and actors, so that a call between its actors costs
/// no hop, and a wake-up from the kernel none either.
package final class EventLoop: SerialExecutor, @unchecked Sendable {
  /// What waits for the kernel to say something about a file descriptor.
  protocol Source: AnyObject {
    func ready(_ events: UInt32)
  }

  private static let batch = 256
  /// How often jobs that follow from jobs are run before the kernel is asked again.
  private static let rounds = 64

  private let epoll: Int32
  private let wakeUp: Int32
  private var thread = pthread_t()
  /// What is to run: a job of a task, or plain work.
  enum Runnable: @unchecked Sendable {
    case job(UnownedJob)
    case work(() -> Void)
  }

  /// From this thread, which needs no lock for it.
  private var ready: [Runnable] = []
  /// From other threads.
  private let remote = Mutex<[Runnable]>([])
  private var timers = TimerHeap<() -> Void>()
  private var isStopped = false
  /// Called before the loop sleeps: what was collected is written out.
  var onTurn: () -> Void = {}
  /// Where sockets read to, before the bytes are copied to their exact size: an idle connection holds no buffer.
  let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)

  init() {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    wakeUp = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    require(epoll >= 0 && wakeUp >= 0, "no epoll: errno \(errno)")
    control(EPOLL_CTL_ADD, wakeUp, EPOLLIN.rawValue, data: 0)
    // Made before other threads ask for it.
    _ = globalJobs
  }

  // MARK: Executor

  var isCurrent: Bool { pthread_equal(pthread_self(), thread) != 0 }

  package func enqueue(_ job: consuming ExecutorJob) { enqueue(UnownedJob(job)) }

  /// Receives the jobs of the node's tasks that run on no actor.
  private(set) lazy var globalJobs = GlobalJobs { [unowned(unsafe) self] in
    enqueue($0)
  } after: { [unowned(unsafe) self] job, delay in
    perform { [self] in at(Self.nanoseconds + delay.nanoseconds) { [self] in enqueue(job) } }
  }

  package func enqueue(_ job: UnownedJob) { enqueue(.job(job)) }

  /// Runs `work` soon on this thread, outside any task.
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
    // It can only fail when the counter is full, and then the loop is awake.
    _ = Glibc.write(wakeUp, &one, 8)
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  package func checkIsolated() { require(isCurrent, "called on another thread than the node's") }

  // MARK: Time

  package static var nanoseconds: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  func at(_ time: Int64, _ action: @escaping () -> Void) { timers.insert(action, at: time) }

  // MARK: The loop

  /// Runs on the calling thread until `stop`.
  func run() {
    thread = pthread_self()
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

  /// Kernels can since Linux 5.11, and some sandboxes do not know it; then it is the millisecond after.
  private var waitsToTheNanosecond = true

  /// Waits for events up to the next timer.
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

  /// Sources by file descriptor, with a generation, so that an event of a closed one cannot reach its successor.
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

  /// Watches a descriptor, edge-triggered, in both directions.
  func add(_ descriptor: Int32, _ source: any Source) {
    let index = Int(descriptor)
    while sources.count <= index { sources.append((0, nil)) }
    sources[index].generation &+= 1
    sources[index].source = source
    let events = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
    control(EPOLL_CTL_ADD, descriptor, events, data: UInt64(index) << 32 | UInt64(sources[index].generation))
  }

  /// Forgets a descriptor, which its owner closes next.
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

/// Where one task at a time is suspended, each time resumed once.
class Suspension: CancellableWait, @unchecked Sendable {
  let loop: EventLoop
  private var continuation: UnsafeContinuation<Void, any Error>?
  private var early: Result<Void, any Error>?
  private(set) final var isPending = false
  private var round = 0

  init(on loop: EventLoop) { self.loop = loop }

  /// Suspends the calling task until `finish`, or until it is cancelled.
  final func wait() async throws {
    require(!isPending, "two tasks wait in one place")
    isPending = true
    round += 1
    let handler = beginCancellation()
    defer { withExtendedLifetime(self) { Self.endCancellation(handler) } }
    try await withUnsafeThrowingContinuation { suspend($0) }
  }

  final override func cancelled() {
    // The wait may be over, and another begun, when the loop hears of it.
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

  /// Resumes the task that waits, when one does.
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
  /// Runs `action` on the loop's thread: at once when that is this one.
  package func perform(_ action: @escaping @Sendable () -> Void) {
    if isCurrent { action() } else { post(action) }
  }
}
