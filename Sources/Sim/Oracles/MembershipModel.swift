/// Whether users may have been, or certainly were, friends or members of a group during an
/// interval. A request without an answer may have taken effect at any time after it was made, or
/// never.
struct MembershipModel {
  private let members: [Int64: [Int64: [Change]]]
  private let contacts: [Conversation: [Change]]

  /// Users name each other, and `replaced` has the user ids that one name has had: a change
  /// requested for one of them may have been made to any of them.
  init(_ changes: [Change], replaced: [[Int64]] = []) {
    var namesakes: [Int64: [Int64]] = [:]
    for users in replaced { for user in users { namesakes[user] = users } }
    var members: [Int64: [Int64: [Change]]] = [:]
    var contacts: [Conversation: [Change]] = [:]
    for var change in changes {
      switch change.kind {
      case .member(let group, let user, _):
        if namesakes[user] != nil { change.makeUncertain() }
        for user in namesakes[user] ?? [user] { members[group, default: [:]][user, default: []].append(change) }
      case .contact(.direct(let a, let b), _):
        if namesakes[a] != nil || namesakes[b] != nil { change.makeUncertain() }
        for one in namesakes[a] ?? [a] {
          for other in namesakes[b] ?? [b] { contacts[.between(one, other), default: []].append(change) }
        }
      case .contact(.group, _): break
      }
    }
    self.members = members
    self.contacts = contacts
  }

  private static func makes(_ change: Change) -> Bool {
    switch change.kind {
    case .member(_, _, let isAdded): isAdded
    case .contact(_, let isBlocked): !isBlocked
    }
  }

  /// Whether a user may have been a participant at some time within an interval.
  func mayTakePart(_ user: Int64, in conversation: Conversation, during interval: Interval) -> Bool {
    switch conversation {
    case .direct(let a, let b): return user == a || user == b
    case .group(let group):
      let changes = members[group]?[user] ?? []
      return changes.contains { add in
        guard Self.makes(add), add.interval.invoked < interval.answered else { return false }
        // Unless it was certainly undone between the two.
        return !changes.contains { removal in
          !Self.makes(removal) && removal.succeeded == true && removal.interval.invoked > add.end
            && removal.interval.answered < interval.invoked && add.succeeded == true
        }
      }
    }
  }

  /// Whether a user was certainly a participant throughout an interval.
  func takesPart(_ user: Int64, in conversation: Conversation, during interval: Interval) -> Bool {
    switch conversation {
    case .direct(let a, let b): return user == a || user == b
    case .group(let group):
      let changes = members[group]?[user] ?? []
      return changes.contains { add in
        guard Self.makes(add), add.succeeded == true, add.interval.answered < interval.invoked else { return false }
        return !changes.contains { removal in
          !Self.makes(removal) && removal.interval.invoked < interval.answered
            && removal.end > add.interval.invoked
        }
      }
    }
  }

  /// Whether two users were certainly not friends throughout an interval.
  func areApart(_ conversation: Conversation, during interval: Interval) -> Bool {
    let changes = contacts[conversation] ?? []
    return changes.contains { block in
      guard !Self.makes(block), block.succeeded == true, block.interval.answered < interval.invoked else {
        return false
      }
      return !changes.contains {
        Self.makes($0) && $0.interval.invoked < interval.answered && $0.end > block.interval.invoked
      }
    }
  }

  /// Whether the removal of any member from a group was ever requested.
  func hasLeavers(_ group: Int64) -> Bool {
    // The order of the dictionary does not matter to `contains`.
    members[group]?.contains { $0.value.contains { !Self.makes($0) } } ?? false
  }

  /// Whether the contact of two users was ever changed.
  func hasChanges(_ conversation: Conversation) -> Bool { contacts[conversation]?.isEmpty == false }
}
