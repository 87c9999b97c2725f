import Simulation

/// What goes wrong, and when.
public struct Fault: Sendable {
  /// The kinds of faults.
  public enum Kind: Sendable {
    case crash(node: String, death: SimNode.Death, inCommit: Bool, restartAfter: ClosedRange<Duration>)
    case pause(node: String, duration: ClosedRange<Duration>)
    case drain(node: String, restartAfter: ClosedRange<Duration>)
    /// All connections of a node are reset.
    case reset(node: String)
    case partition(from: [String], to: [String], oneWay: Bool)
    case disk(node: String, DiskRule)
    case link(stalls: Double)
    case skew(node: String, Duration)
  }

  /// What is wrong with a disk for a while.
  public struct DiskRule: Sendable {
    var failingReads = 0.0
    var failingWrites = 0.0
    var failingSyncs = 0.0
    var rot = 0.0
    var slowness = 0.0
    /// No more space than is used now.
    var isFull = false
  }

  let kind: Kind
  let from: Duration
  /// The end of a fault that lasts; repeated faults go on until then.
  let to: Duration
  /// When set, the fault strikes again and again with this mean time between.
  let every: Duration?

  /// The longest time for which a node does not run because of it.
  var downtime: Duration {
    switch kind {
    case .crash(_, _, _, let time), .drain(_, let time), .pause(_, let time): time.upperBound
    default: .zero
    }
  }
}
