import CConcurrency

/// Where jobs go that belong to no actor and prefer no executor: to the node that acts on the thread that lets them go on. A task that
/// prefers an executor would ask for it, under a lock of the runtime, at each switch.
package final class UnclaimedJobs: @unchecked Sendable {
  private let take: (UnownedJob) -> Void

  /// `take` is called on any thread, with each job that this claims.
  package init(_ take: @escaping (UnownedJob) -> Void) {
    self.take = take
    Self.isHooked
  }

  /// Claims from now on what this thread lets go on. Returns whose that was before, to hand it back.
  @discardableResult
  package func claim() -> UnsafeMutableRawPointer? { Self.claim(for: claimant) }

  /// What stands for this one: good as long as it is there.
  package var claimant: UnsafeMutableRawPointer { Unmanaged.passUnretained(self).toOpaque() }

  /// `claim()` for whoever does it at each step.
  @discardableResult
  package static func claim(for claimant: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let before = parley_thread_get()
    parley_thread_set(claimant)
    return before
  }

  private static let isHooked: Void = parley_set_enqueue_hook { job, original in
    guard let claimant = parley_thread_get() else { return parley_enqueue_elsewhere(job, original) }
    // Who claims is there as long as it does.
    Unmanaged<UnclaimedJobs>.fromOpaque(claimant)._withUnsafeGuaranteedRef {
      $0.take(unsafeBitCast(job, to: UnownedJob.self))
    }
  }
}

extension UnownedSerialExecutor {
  /// What the runtime calls the executor of what belongs to no actor: two words of nothing.
  package static let noActor = unsafeBitCast((UInt(0), UInt(0)), to: UnownedSerialExecutor.self)
}
