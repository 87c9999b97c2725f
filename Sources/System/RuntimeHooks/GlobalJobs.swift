import CConcurrency

/// Receives the jobs that the Swift runtime would otherwise give to the global executor: jobs of
/// tasks that run on no actor and prefer no executor, and jobs that wait for a time or for their
/// turn.
///
/// A thread that works for a node makes the node's `GlobalJobs` current. Until it makes another one
/// current, every such job that the thread enqueues goes there. On a thread without one, jobs go to
/// the platform's global executor.
///
/// A preferred task executor would do the same, but the runtime looks it up under a lock at each
/// switch.
package final class GlobalJobs: @unchecked Sendable {
  /// Refers to a `GlobalJobs` without owning it. Valid while the object exists.
  package typealias Handle = UnsafeMutableRawPointer

  private let enqueue: (UnownedJob) -> Void
  private let enqueueAfter: (UnownedJob, Duration) -> Void

  /// Calls `enqueue` for each job, and `enqueueAfter` for each job that waits. Both may be called
  /// on any thread.
  package init(
    enqueue: @escaping (UnownedJob) -> Void, after enqueueAfter: @escaping (UnownedJob, Duration) -> Void
  ) {
    self.enqueue = enqueue
    self.enqueueAfter = enqueueAfter
    Self.isInstalled
  }

  /// This object as the runtime's hook refers to it.
  package var handle: Handle { Unmanaged.passUnretained(self).toOpaque() }

  /// Makes this object current on the calling thread. Returns the previous one, to restore it.
  @discardableResult
  package func makeCurrent() -> Handle? { Self.setCurrent(handle) }

  /// Makes `handle` current on the calling thread. Returns the previous one.
  @discardableResult
  package static func setCurrent(_ handle: Handle?) -> Handle? {
    let previous = parley_thread_get()
    parley_thread_set(handle)
    return previous
  }

  /// The object that is current on the calling thread.
  package static var current: Handle? { parley_thread_get() }

  /// Gives a job that waits for `delay` to the current object. False when the thread has none.
  static func offer(_ job: UnownedJob, after delay: Duration? = nil) -> Bool {
    guard let handle = parley_thread_get() else { return false }
    Unmanaged<GlobalJobs>.fromOpaque(handle)._withUnsafeGuaranteedRef { current in
      if let delay { current.enqueueAfter(job, delay) } else { current.enqueue(job) }
    }
    return true
  }

  /// Makes the next job that this thread enqueues go to `place`. Never inlined, since each file has
  /// thread-local variables of its own.
  @inline(never)
  static func takeNextJob(to place: UnsafeMutablePointer<UnsafeMutableRawPointer?>) {
    isInstalled
    parley_take_next_job(place)
  }

  private static let isInstalled: Void = {
    parley_set_enqueue_hook { job, original in
      if parley_give_job(job) != 0 { return }
      if !offer(unsafeBitCast(job, to: UnownedJob.self)) { parley_enqueue_elsewhere(job, original) }
    }
    GlobalExecutor.install()
  }()
}

extension UnownedSerialExecutor {
  /// The executor of code that runs on no actor, as the runtime represents it: two words of zero.
  package static let noActor = unsafeBitCast((UInt(0), UInt(0)), to: UnownedSerialExecutor.self)
}
