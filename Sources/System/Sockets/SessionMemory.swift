import Environment

/// The memory that one session holds: unhandled input, unread output, incomplete messages.
///
/// The limit is small until the client has a socket, and larger from then on. Both limits are
/// shares of the node's budgets. Everything is released when the session and its links are gone.
/// Used on one actor.
final class SessionMemory {
  private let node: ClientMemory
  private let memberLimit: Int
  /// The session's share of the node's memory.
  private(set) var budget: ByteBudget
  /// Whether the client has authenticated.
  private(set) var isMember = false

  init(_ node: ClientMemory, options: EngineIOOptions) {
    self.node = node
    memberLimit = options.maximumMemberBytes
    budget = ByteBudget(limit: options.maximumStrangerBytes, parent: node.strangers)
  }

  deinit { budget.release(budget.used) }

  /// Bytes held now.
  var used: Int { budget.used }

  /// Charges `count` bytes. Returns false, and charges nothing, if the session or the node has no
  /// room.
  func charge(_ count: Int) -> Bool { budget.charge(count) }

  /// Releases bytes that were charged.
  func release(_ count: Int) { budget.release(count) }

  /// Moves all charges to the larger share. Returns false if the node has no room for another
  /// member.
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
