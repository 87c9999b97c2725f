/// A pending timer. It stays in the heap until its time, even if it is cancelled.
class SimTimer {
  /// Runs the action of the timer.
  func fire() {}
  /// Drops the action of the timer.
  func cancel() {}
}

/// A timer that runs a closure.
final class ActionTimer: SimTimer {
  private var action: (() -> Void)?

  init(_ action: @escaping () -> Void) { self.action = action }

  override func cancel() { action = nil }

  override func fire() {
    let action = action
    self.action = nil
    action?()
  }
}
