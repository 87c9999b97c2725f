/// How the scheduler picks among what can run. One file a strategy.
public protocol Strategy: AnyObject {
  /// The index of the job to run next, below `count` (at least 1). Jobs stand in the order in which they became runnable, but for
  /// those that `isOrdered` says may be swapped. `chain` tells the number of the chain that a job belongs to.
  func pick(among count: Int, chain: (Int) -> Int) -> Int
  /// There is a new chain: told before its first job can be picked, where chains are told apart.
  func met(_ chain: Chain)
  /// Whether the queue must keep the order of arrival when one is taken out of its middle.
  var isOrdered: Bool { get }
  /// Whether `chain` is asked for: telling chains apart costs a little for each job.
  var tracksChains: Bool { get }
}

extension Strategy {
  /// Nothing is made of it.
  public func met(_ chain: Chain) {}
}

/// Jobs that can only run one after the other: those of one task, over all the actors that it visits; blocking work is a chain of its
/// own. To a simulated system this is what a thread is to the systems of the papers.
public struct Chain: Hashable, Sendable {
  /// Chains are numbered as they appear, from 1 on.
  public let number: Int
  /// What the task was started as, and on which node; child tasks are all called alike.
  public let label: String
}
