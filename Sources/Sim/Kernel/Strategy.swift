/// Decides which runnable job the scheduler runs next.
public protocol Strategy: AnyObject {
  /// Returns the index of the job to run next, less than `count`, which is at least 1. Jobs are in
  /// the order in which they became runnable, unless `isOrdered` is false. `chain` returns the
  /// number of the chain that a job belongs to.
  func pick(among count: Int, chain: (Int) -> Int) -> Int
  /// Called when a chain appears, before its first job can be picked, if `tracksChains` is true.
  func met(_ chain: Chain)
  /// Whether the queue keeps the order of arrival when a job is taken from its middle.
  var isOrdered: Bool { get }
  /// Whether the strategy uses chains. Tracking them costs a little for each job.
  var tracksChains: Bool { get }
}

extension Strategy {
  /// Does nothing.
  public func met(_ chain: Chain) {}
}

/// Jobs that can only run one after the other: the jobs of one task, on all the actors that it
/// visits, or one piece of blocking work. Papers on concurrency testing call it a thread.
public struct Chain: Hashable, Sendable {
  /// The number of the chain. Numbers are assigned in order of appearance, from 1.
  public let number: Int
  /// The node and the name that the task was started with. All child tasks of a node have one
  /// label.
  public let label: String
}
