/// How a contact stands, as both sides see it (contract section 2).
public enum ContactStatus: String, Sendable, CaseIterable {
  /// Asked for and not yet answered.
  case new
  case friend
  case blocked
}

/// The one relation between two users. What is not among the steps below is refused.
public struct Contact: Hashable, Sendable {
  /// How it stands.
  public private(set) var status: ContactStatus
  /// Who asked: the other one may answer. Whoever ends a friendship or lifts a block counts as asked.
  private(set) var asker: UserNumber
  /// Who blocked, and so may lift the block.
  private(set) var blocker: UserNumber?

  /// Why a step is refused.
  public enum Refusal: Error, Hashable, Sendable {
    case withOneself
    case alreadyFriends
    case blocked
    /// Who asked cannot answer.
    case notAsked
    /// Only the one who blocked lifts it.
    case notBlocker
    case noChange

    /// What to tell the user.
    public var reason: String {
      switch self {
      case .withOneself: "nobody is a contact of their own"
      case .alreadyFriends: "you are friends already"
      case .blocked: "the contact is blocked"
      case .notAsked: "only the one who was asked can accept"
      case .notBlocker: "only the one who blocked can lift the block"
      case .noChange: "the contact has this status already"
      }
    }
  }

  init(status: ContactStatus, asker: UserNumber, blocker: UserNumber?) {
    self.status = status
    self.asker = asker
    self.blocker = blocker
  }

  /// `/addContact`: asks, or answers when the other side has asked.
  static func adding(_ contact: Contact?, by user: UserNumber, to other: UserNumber) throws(Refusal) -> Contact {
    guard user != other else { throw .withOneself }
    guard let contact else { return Contact(status: .new, asker: user, blocker: nil) }
    switch contact.status {
    case .new: return contact.asker == user ? contact : Contact(status: .friend, asker: contact.asker, blocker: nil)
    case .friend: throw .alreadyFriends
    case .blocked: throw .blocked
    }
  }

  /// `/changeContact`: sets the status.
  func changed(by user: UserNumber, other: UserNumber, to status: ContactStatus) throws(Refusal) -> Contact {
    guard status != self.status else { throw .noChange }
    switch (self.status, status) {
    case (_, .blocked): return Contact(status: .blocked, asker: asker, blocker: user)
    case (.new, .friend):
      guard asker != user else { throw .notAsked }
      return Contact(status: .friend, asker: asker, blocker: nil)
    case (.friend, .new): return Contact(status: .new, asker: other, blocker: nil)
    case (.blocked, .new):
      guard blocker == user else { throw .notBlocker }
      return Contact(status: .new, asker: other, blocker: nil)
    default: throw self.status == .blocked ? .blocked : .noChange
    }
  }

  /// The statuses that `changed` accepts from a user now, in the order of their declaration.
  func changes(by user: UserNumber, other: UserNumber) -> [ContactStatus] {
    ContactStatus.allCases.filter { (try? changed(by: user, other: other, to: $0)) != nil }
  }

  /// Whether the two may write to each other.
  static func mayWrite(_ contact: Contact?) -> Bool { contact?.status == .friend }
}
