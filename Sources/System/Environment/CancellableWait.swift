import CConcurrency

/// A place in which a task waits and can be cancelled. `withTaskCancellationHandler` takes the wait as a closure, which makes a task that
/// waits on an actor look five times more where it is; so waits of nodes use what that function is made of.
open class CancellableWait: @unchecked Sendable {
  /// Makes one.
  public init() {}

  /// The task was cancelled: called on any thread, at most once for each wait.
  open func cancelled() {}

  /// Has `cancelled` called when the current task is, at once when it has been; then there is nothing to end, and this returns nil. Between
  /// this and `endCancellation` the caller suspends, in the same function, and keeps this object.
  package final func beginCancellation() -> UnsafeMutableRawPointer? {
    Self.isHooked
    return parley_begin_cancellation(Unmanaged.passUnretained(self).toOpaque())
  }

  package static func endCancellation(_ handler: UnsafeMutableRawPointer?) {
    if let handler { parley_end_cancellation(handler) }
  }

  private static let isHooked: Void = parley_set_cancelled { object in
    Unmanaged<CancellableWait>.fromOpaque(object!)._withUnsafeGuaranteedRef { $0.cancelled() }
  }
}
