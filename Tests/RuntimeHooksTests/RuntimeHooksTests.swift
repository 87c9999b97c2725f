import Synchronization
import Testing

@testable import RuntimeHooks

/// Fails when a toolchain stops honouring the hooks on which both worlds are built.
@Suite("Runtime hooks", .serialized)
struct RuntimeHooksTests {
  /// Runs everything on the calling thread: jobs in order, then the first that waits.
  private final class Loop: SerialExecutor, @unchecked Sendable {
    private var ready: [(UnownedJob, UnownedSerialExecutor)] = []
    private var waiting: [UnownedJob] = []
    private(set) var delays: [Duration] = []
    private(set) var defaultActors: [String] = []
    private(set) var tasks: Set<UInt64> = []
    private var jobs: GlobalJobs?
    var isDone = false

    func enqueue(_ job: consuming ExecutorJob) {
      let job = UnownedJob(job)
      tasks.insert(taskID(of: job))
      ready.append((job, asUnownedSerialExecutor()))
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    /// Runs `body` in a task, with everything that it starts, until `isDone`. Fails when jobs go
    /// elsewhere.
    func run(_ body: @escaping @Sendable (Loop) async -> Void) {
      let jobs = GlobalJobs { [unowned self] job in
        if let type = DefaultActors.type(of: job) { defaultActors.append(type) }
        ready.append((job, .noActor))
      } after: { [unowned self] job, delay in
        delays.append(delay)
        waiting.append(job)
      }
      self.jobs = jobs
      let previous = jobs.makeCurrent()
      defer { GlobalJobs.setCurrent(previous) }
      Task.detached { [self] in
        await body(self)
        isDone = true
      }
      while !isDone {
        if ready.isEmpty, !waiting.isEmpty { ready.append((waiting.removeFirst(), .noActor)) }
        guard !ready.isEmpty else {
          Issue.record("a job left the loop: \(delays), \(defaultActors)")
          return
        }
        let (job, executor) = ready.removeFirst()
        job.runSynchronously(on: executor)
      }
    }
  }

  private actor Ordinary {
    private var count = 0
    func add() { count += 1 }
  }

  private actor OnLoop {
    private let loop: Loop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(_ loop: Loop) { self.loop = loop }

    func call(_ other: Ordinary) async { await other.add() }
  }

  @Test("tasks, child tasks and Task.yield stay on the thread that runs them")
  func tasks() {
    Loop().run { _ in
      await Task.yield()
      async let child: Void = Task.yield()
      await child
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<3 { group.addTask { await Task.yield() } }
      }
      await Task { await Task.yield() }.value
    }
  }

  @Test("Task.sleep waits for the thread's own time, rounded up to 10 ms")
  func sleeps() {
    let loop = Loop()
    loop.run { _ in
      try? await Task.sleep(for: .seconds(3600))
      try? await Task.sleep(nanoseconds: 1)
      try? await ContinuousClock().sleep(for: .milliseconds(25))
      try? await SuspendingClock().sleep(for: .seconds(1))
    }
    #expect(loop.delays == [.seconds(3600), .milliseconds(10), .milliseconds(30), .seconds(1)])
  }

  @Test("a job of a default actor is recognized, and so is the actor")
  func defaultActors() {
    let loop = Loop()
    loop.run { loop in
      await OnLoop(loop).call(Ordinary())
    }
    #expect(loop.defaultActors == ["Ordinary"])
    #expect(DefaultActors.type(of: Ordinary()) == "Ordinary")
    #expect(DefaultActors.type(of: OnLoop(loop)) == nil)
  }

  @Test("the jobs of one task have one number")
  func numbers() {
    let loop = Loop()
    loop.run { loop in
      for _ in 0..<3 { await OnLoop(loop).call(Ordinary()) }
    }
    #expect(loop.tasks.count == 1)
  }

  private final class Wait: CancellableWait, @unchecked Sendable {
    private let continuation = Mutex<UnsafeContinuation<Void, Never>?>(nil)
    let cancellations = Mutex(0)

    override func cancelled() {
      cancellations.withLock { $0 += 1 }
      continuation.withLock { continuation in
        continuation?.resume()
        continuation = nil
      }
    }

    func wait() async {
      let handler = beginCancellation()
      defer { withExtendedLifetime(self) { Self.endCancellation(handler) } }
      if cancellations.withLock({ $0 }) > 0 { return }
      await withUnsafeContinuation { new in continuation.withLock { $0 = new } }
    }
  }

  @Test("a wait ends when its task is cancelled, before or after it begins")
  func cancellation() {
    Loop().run { _ in
      let late = Wait()
      let task = Task { await late.wait() }
      await Task.yield()
      task.cancel()
      await task.value
      #expect(late.cancellations.withLock { $0 } == 1)
      let early = Wait()
      let cancelled = Task {
        withUnsafeCurrentTask { $0?.cancel() }
        await early.wait()
      }
      await cancelled.value
      #expect(early.cancellations.withLock { $0 } == 1)
    }
  }

  private final class Sum: @unchecked Sendable { var value = 0 }

  private static func next(_ sum: Sum) async { sum.value += 1 }

  @Test("a task that never suspends ends on the thread that starts it, within another task, too")
  func inline() {
    let sum = Sum()
    #expect(InlineTask.run { for _ in 0..<1000 { await Self.next(sum) } })
    Loop().run { _ in
      #expect(InlineTask.run { await Self.next(sum) })
      await Task.yield()
      #expect(InlineTask.run { await Self.next(sum) })
    }
    #expect(sum.value == 1002)
  }

  @Test("a task that suspends has not ended")
  func inlineSuspends() {
    Loop().run { _ in
      #expect(!InlineTask.run { await Task.yield() })
      await Task.yield()
    }
  }

  @Test("on a thread of nobody, jobs go to the platform's executor")
  func platform() async {
    await Task.detached {
      await Task.yield()
      try? await Task.sleep(for: .milliseconds(1))
    }.value
  }
}
