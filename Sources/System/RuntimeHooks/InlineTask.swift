/// Tasks that run to their end on the thread that starts them.
///
/// `Task.immediate` does the same, but such a task has a preferred executor, though none is given.
/// The runtime looks that up under a lock at each switch between two functions, of which a
/// transaction has thirty. So the first job of an ordinary task is taken here as the runtime
/// enqueues it, and run at once.
package enum InlineTask {
  /// Runs `body` in a task of its own on the calling thread. Returns whether it has ended. If not,
  /// it has suspended, and other threads may run the rest of it.
  package static func run(_ body: @escaping @Sendable () async -> Void) -> Bool {
    let end = End()
    var first: UnsafeMutableRawPointer?
    withUnsafeMutablePointer(to: &first) { place in
      GlobalJobs.takeNextJob(to: place)
      Task.detached {  // The one place where tasks begin.
        await body()
        end.isReached = true
      }
    }
    guard let first else { fatalError("the runtime has enqueued no job for a new task") }
    unsafeBitCast(first, to: UnownedJob.self).runSynchronously(on: .noActor)
    return end.isReached
  }

  /// Unchecked, since the thread that reads it runs the task, or finds that it has suspended.
  private final class End: @unchecked Sendable {
    var isReached = false
  }
}
