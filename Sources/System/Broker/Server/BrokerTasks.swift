import Environment

/// Work that a part of the broker leaves to a task of its own.
enum BrokerWork: Sendable {
  /// Commits changes until none are waited for.
  case commit
  /// Commits removals, unless something else commits them first.
  case commitRemovals(after: Duration)
  /// Continues with the list of due work.
  case dispatch(after: Duration)
  /// Reads bodies of a queue from the disk.
  case load(BrokerQueue.ID, [Int64])
  /// Wakes a queue when its first message expires.
  case expire(BrokerQueue.ID, after: Duration)
  /// Deletes a queue if it is idle then.
  case endIdle(BrokerQueue.ID, after: Duration)
  /// Writes the output of a connection.
  case write(connection: Int)
}

/// Starts tasks on the broker's actor, for its parts that are no actors themselves.
final class BrokerTasks {
  private var starter: ((BrokerWork) -> Task<Void, Never>?)?

  /// Uses `starter` until `end`. It usually holds the broker, which holds this object.
  func begin(_ starter: @escaping (BrokerWork) -> Task<Void, Never>?) { self.starter = starter }

  /// Starts no more tasks.
  func end() { starter = nil }

  /// Starts a task. Returns nil for work that needs none, and after `end`.
  @discardableResult
  func start(_ work: BrokerWork) -> Task<Void, Never>? { starter?(work) }
}
