import Environment

/// Where the users of one kind wait for each other at the end of a run: all settle, all wait until
/// the system has come to rest, all look at the result, and only then they leave.
final class Rendezvous {
  /// The users that take part.
  var users = 0
  /// The users that have done everything they had to do.
  private var settled = 0
  /// The users that have looked at the result.
  private var looked = 0
  /// Whether the operator has read the manager's overview. True if there is no operator.
  var isOverviewRead = true
  /// When the services will have noticed everything that users did, in virtual nanoseconds.
  private(set) var noticedAt: Int64 = 0

  /// Notes that the services may need `time` to notice what a user did at `now`.
  func notice(within time: Duration, from now: Int64) { noticedAt = max(noticedAt, now + time.nanoseconds) }

  func settle() { settled += 1 }
  func look() { looked += 1 }
  var areAllSettled: Bool { settled >= users }
  var haveAllLooked: Bool { looked >= users }

  /// Waits until all users have settled.
  func waitForAll(_ environment: Environment) async throws {
    while !areAllSettled { try await environment.clock.sleep(for: .seconds(1)) }
  }

  /// Waits until all users have looked at the result.
  func waitForLooks(_ environment: Environment) async throws {
    while !haveAllLooked { try await environment.clock.sleep(for: .seconds(1)) }
  }

  /// Waits until the services have noticed everything, and for `rest` after that.
  func comeToRest(_ rest: Duration, now: Int64, _ environment: Environment) async throws {
    try await environment.clock.sleep(for: .nanoseconds(max(0, noticedAt - now)) + rest)
  }
}
