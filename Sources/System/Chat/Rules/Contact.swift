/// The status of a contact, the same for both sides (contract section 2).
public enum ContactStatus: String, Sendable, CaseIterable {
  /// One side has asked, and the other has not answered.
  case new
  case friend
  case blocked
}

/// The relation between two users. Changes that are not listed below are refused.
public struct Contact: Hashable, Sendable {
  /// The status.
  public private(set) var status: ContactStatus
  /// The user who asked; only the other may accept. After a friendship is ended or a block is
  /// lifted, the other side counts as the one who asked.
  private(set) var asker: UserNumber
  /// The user who blocked the other; only this user may lift the block.
  private(set) var blocker: UserNumber?

  /// The reason why a change is refused.
  public enum Refusal: Error, Hashable, Sendable {
    case withOneself
    case alreadyFriends
    case blocked
    /// The user who asked cannot accept.
    case notAsked
    /// Only the user who blocked the other can lift the block.
    case notBlocker
    case noChange

    /// The text for the user.
    public var reason: String {
      switch self {
      case .withOneself: "you cannot add yourself"
      case .alreadyFriends: "you are already friends"
      case .blocked: "the contact is blocked"
      case .notAsked: "only the user who was asked can accept"
      case .notBlocker: "only the user who blocked the other can lift the block"
      case .noChange: "the contact already has this status"
      }
    }
  }

  init(status: ContactStatus, asker: UserNumber, blocker: UserNumber?) {
    self.status = status
    self.asker = asker
    self.blocker = blocker
  }

  /// `/addContact`: asks, or accepts when the other side has asked.
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
