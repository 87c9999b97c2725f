import Environment

/// The bytes that one session of a client makes the node hold: unhandled input, unread output, unfinished messages.
///
/// The share is small until the client has a socket, and larger from then on. Both are shares of what the node holds for all
/// its clients. Everything is given back when the session and its links are gone. Used on one actor.
final class SessionMemory {
  private let node: ClientMemory
  private let memberLimit: Int
  private var budget: ByteBudget
  /// Whether the client has shown who it is.
  private(set) var isMember = false

  init(_ node: ClientMemory, options: EngineIOOptions) {
    self.node = node
    memberLimit = options.maximumMemberBytes
    budget = ByteBudget(limit: options.maximumStrangerBytes, parent: node.strangers)
  }

  deinit { budget.release(budget.used) }

  /// Bytes held now.
  var used: Int { budget.used }

  /// Charges `count` bytes; false, with nothing charged, when the share or the node has no room for them.
  func charge(_ count: Int) -> Bool { budget.charge(count) }

  /// Gives back bytes that were charged.
  func release(_ count: Int) { budget.release(count) }

  /// Moves everything to the larger share; false when the node has no room for another member.
  func becomeMember() -> Bool {
    guard !isMember else { return true }
    let larger = ByteBudget(limit: memberLimit, parent: node.members)
    let held = budget.used
    guard larger.charge(held) else { return false }
    budget.release(held)
    budget = larger
    isMember = true
    return true
  }
}

/// The part of a session's bytes that one buffer holds. Used on one actor.
struct Holding {
  private(set) var count = 0

  /// Charges or gives back the difference to `newCount`; false, with nothing changed, when there is no room for it.
  mutating func set(_ newCount: Int, of memory: SessionMemory) -> Bool {
    if newCount > count {
      guard memory.charge(newCount - count) else { return false }
    } else if newCount < count {
      memory.release(count - newCount)
    }
    count = newCount
    return true
  }
}
