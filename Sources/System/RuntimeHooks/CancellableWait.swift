import CConcurrency

/// A suspension of a task that ends early when the task is cancelled.
///
/// It calls the runtime's entry points that `withTaskCancellationHandler` is made of. That function
/// takes the suspension as a closure, and a task that waits on an actor looks up its executor five
/// times more for it (docs/decisions/0008-waits-stay-on-their-actor.md).
open class CancellableWait: @unchecked Sendable {
  /// Creates a wait that has not begun.
  public init() {}

  /// Called when the task is cancelled: on any thread, and at most once for each wait.
  open func cancelled() {}

  /// Registers `cancelled` with the current task. Calls it at once, and returns nil, when the task
  /// is cancelled already. The caller then suspends in the same function, keeps this object, and
  /// passes the result to `endCancellation`.
  package final func beginCancellation() -> UnsafeMutableRawPointer? {
    Self.isHooked
    return parley_begin_cancellation(Unmanaged.passUnretained(self).toOpaque())
  }

  /// Ends what `beginCancellation` began.
  package static func endCancellation(_ handler: UnsafeMutableRawPointer?) {
    if let handler { parley_end_cancellation(handler) }
  }

  private static let isHooked: Void = parley_set_cancelled { object in
    Unmanaged<CancellableWait>.fromOpaque(object!)._withUnsafeGuaranteedRef { $0.cancelled() }
  }
}
