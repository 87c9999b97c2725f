/// A pending timer of a world. Cancelling drops its action at once; its place in the heap goes when its time comes.
final class SimTimer {
  private var action: (() -> Void)?

  init(_ action: @escaping () -> Void) { self.action = action }

  func cancel() { action = nil }

  func fire() {
    let action = action
    self.action = nil
    action?()
  }
}
