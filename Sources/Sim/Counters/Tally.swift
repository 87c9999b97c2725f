/// An action of a user in a run.
public struct Act: Sendable {
  /// The time since the user began.
  public let at: Duration
  /// The user.
  public let who: String
  /// The action, as a script names it.
  public let action: String
  /// The target, if the script named one.
  public var to: String?
}

/// Counts what happens in a run, and keeps the actions of its users.
final class Tally {
  private(set) var counts: [Counter: Int] = [:]
  /// The orders in which counted events and faults followed each other.
  private(set) var orderings = Orderings()
  /// The actions of all users, in order: a script of these repeats them.
  private(set) var acts: [Act] = []
  private let now: () -> Int64

  /// `now` is virtual time in nanoseconds.
  init(now: @escaping () -> Int64) { self.now = now }

  /// Keeps an action. `time` counts from the user's beginning.
  func did(_ who: String, _ action: String, to target: String?, after time: Duration) {
    acts.append(Act(at: time, who: who, action: action, to: target))
  }

  /// Counts an event that happens now.
  func count(_ counter: Counter) {
    add(1, to: counter)
    note(counter.rawValue)
  }

  /// Adds events that were counted elsewhere.
  func add(_ number: Int, to counter: Counter) { counts[counter, default: 0] += number }

  /// Notes for the orderings that an event happens now.
  func note(_ label: String) { orderings.note(label, at: now()) }
}
