import Synchronization

/// A limit on the bytes that are held for a client, a service or the process, and a count of them.
///
/// Memory that a client can make a service use (unread output, incomplete bodies, remembered names)
/// is charged before it is allocated and released afterwards. A budget may be a share of a larger
/// one: a connection's budget is a share of its service's, and that one of the process's. A charge
/// that exceeds any of them changes nothing.
public final class ByteBudget: Sendable {
  /// The maximum number of bytes held at once.
  public let limit: Int
  private let parent: ByteBudget?
  private let held = Atomic<Int>(0)

  /// Creates a budget of `limit` bytes, as a share of `parent` if that is not nil.
  public init(limit: Int, parent: ByteBudget? = nil) {
    require(limit >= 0, "a budget of \(limit) bytes")
    self.limit = limit
    self.parent = parent
  }

  /// The bytes that are charged now.
  public var used: Int { held.load(ordering: .relaxed) }
  /// The bytes that this budget has left, regardless of its parents.
  public var free: Int { max(0, limit - used) }

  /// Charges `count` bytes. Returns false, and charges nothing, if this budget or one of its
  /// parents has fewer left.
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

  /// Returns `count` bytes that were charged.
  public func release(_ count: Int) {
    require(count >= 0, "a release of \(count) bytes")
    let (before, _) = held.subtract(count, ordering: .relaxed)
    require(before >= count, "\(count) bytes released of \(before) that were charged")
    parent?.release(count)
  }
}

/// The bytes of a budget that one buffer holds, such as an incomplete request or unread output.
public struct Holding: Sendable {
  /// The bytes that are charged now.
  public private(set) var bytes = 0

  /// Creates a holding of no bytes.
  public init() {}

  /// Changes the charge to `count` bytes of `budget`, which must be the budget of the last charge
  /// unless that was moved. Returns false, and changes nothing, if there is no room.
  public mutating func set(_ count: Int, of budget: ByteBudget) -> Bool {
    if count > bytes {
      guard budget.charge(count - bytes) else { return false }
    } else if count < bytes {
      budget.release(bytes - count)
    }
    bytes = count
    return true
  }
}

/// The budgets of a node for all its clients together.
public struct ClientMemory: Sendable {
  /// For clients that have not authenticated. Small, since any client can fill it.
  public let strangers: ByteBudget
  /// For clients that have authenticated.
  public let members: ByteBudget

  /// Creates the two budgets with limits in bytes.
  public init(strangers: Int = 32 << 20, members: Int = 256 << 20) {
    self.strangers = ByteBudget(limit: strangers)
    self.members = ByteBudget(limit: members)
  }
}
