import Environment
import Glibc
import RuntimeHooks

/// A thread that takes turns with the thread of the world: exactly one of the two runs at any time.
///
/// It runs blocking work that pauses in its middle. Such work is plain code with a stack of its
/// own, for instance SQLite's, so it cannot suspend as a task does.
final class TurnThread: @unchecked Sendable {
  private let begins = Semaphore()
  private let ends = Semaphore()
  private var work: (() -> Void)?
  /// The current `GlobalJobs` of the thread that gives the turn.
  private var jobs: GlobalJobs.Handle?

  init() {
    var thread = pthread_t()  // The one place where a thread begins.
    let context = Unmanaged.passRetained(self).toOpaque()
    let status = pthread_create(&thread, nil, Self.main, context)  // The one place where a thread begins.
    require(status == 0, "cannot start a thread for blocking work: error \(status)")
    pthread_detach(thread)  // The one place where a thread begins.
  }

  private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { context in
    Unmanaged<TurnThread>.fromOpaque(context!).takeRetainedValue().run()
    return nil
  }

  private func run() {
    while true {
      begins.wait()
      guard let work else { return }
      GlobalJobs.setCurrent(jobs)
      work()
      self.work = nil
      ends.post()
    }
  }

  /// Runs `work` until its end or its first pause. Returns whether it has ended.
  func begin(_ work: @escaping () -> Void) -> Bool {
    self.work = work
    return resume()
  }

  /// Goes on with the work until its end or its next pause. Returns whether it has ended.
  func resume() -> Bool {
    jobs = GlobalJobs.current
    begins.post()
    ends.wait()
    return work == nil
  }

  /// Ends the turn, and returns when the next one begins. Called by the work.
  func pause() {
    ends.post()
    begins.wait()
    GlobalJobs.setCurrent(jobs)
  }

  /// Ends the thread. Called when it has no work.
  func end() { begins.post() }
}

/// A semaphore of POSIX. Its memory does not move.
private final class Semaphore: @unchecked Sendable {
  private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

  init() { sem_init(semaphore, 0, 0) }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  func post() { sem_post(semaphore) }

  func wait() { while sem_wait(semaphore) != 0 {} }
}
