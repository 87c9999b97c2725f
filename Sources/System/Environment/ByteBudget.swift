import Synchronization

/// A bound on the bytes that are held for somebody, and how many of them are held now.
///
/// Whatever a client can make a service hold (unread output, bodies under way, remembered names) is charged here before
/// it is held and released afterwards. A budget may be a share of a larger one: a connection's of its service's, and that
/// one of the process's. A charge that any of them cannot bear changes nothing.
public final class ByteBudget: Sendable {
  /// The most bytes that may be held at once.
  public let limit: Int
  private let parent: ByteBudget?
  private let held = Atomic<Int>(0)

  /// Makes a budget of `limit` bytes, as a share of `parent` if there is one.
  public init(limit: Int, parent: ByteBudget? = nil) {
    require(limit >= 0, "a budget of \(limit) bytes")
    self.limit = limit
    self.parent = parent
  }

  /// Bytes held now.
  public var used: Int { held.load(ordering: .relaxed) }
  /// Bytes that could be charged now, parents aside.
  public var free: Int { max(0, limit - used) }

  /// Charges `count` bytes. False, with nothing charged, when that would exceed this budget or one that it is a share of.
  public func charge(_ count: Int) -> Bool {
    require(count >= 0, "a charge of \(count) bytes")
    var current = held.load(ordering: .relaxed)
    while true {
      guard count <= limit, current <= limit - count else { return false }
      let (exchanged, original) = held.compareExchange(
        expected: current, desired: current + count, ordering: .relaxed)
      if exchanged { break }
      current = original
    }
    if let parent, !parent.charge(count) {
      held.subtract(count, ordering: .relaxed)
      return false
    }
    return true
  }

  /// Gives back `count` bytes that were charged.
  public func release(_ count: Int) {
    require(count >= 0, "a release of \(count) bytes")
    let (before, _) = held.subtract(count, ordering: .relaxed)
    require(before >= count, "\(count) bytes released of \(before) that were charged")
    parent?.release(count)
  }
}

/// What a node holds for all its clients together.
public struct ClientMemory: Sendable {
  /// For clients that have not shown yet who they are. Small: anybody may fill it.
  public let strangers: ByteBudget
  /// For clients that have logged in.
  public let members: ByteBudget

  /// Makes the two budgets of a node.
  public init(strangers: Int = 32 << 20, members: Int = 256 << 20) {
    self.strangers = ByteBudget(limit: strangers)
    self.members = ByteBudget(limit: members)
  }
}
