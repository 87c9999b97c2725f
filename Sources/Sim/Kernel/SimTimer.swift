/// A pending timer of a world. Its place in the heap goes when its time comes, cancelled or not.
class SimTimer {
  /// Does what it is for.
  func fire() {}
  /// Lets go of that: nothing happens any more.
  func cancel() {}
}

/// A timer that does any one thing.
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
