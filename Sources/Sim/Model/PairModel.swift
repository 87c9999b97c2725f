import Simulation

/// Two users as a sequential model: the contact between them, and their conversation.
///
/// The rules are those of section 2 of the contract; `docs/model.md` names the sentence of each.
enum PairModel: SequentialModel {
  /// One of the two users: the one of the lower user id, or the other.
  enum Side: Hashable, Sendable {
    case low, high

    var other: Side { self == .low ? .high : .low }
  }

  enum Contact: Hashable {
    case none
    /// One has asked, and the other may accept. After a friendship is ended or a block is lifted,
    /// the side that did not do it counts as the one that asked.
    case asked(by: Side)
    case friends
    case blocked(by: Side)
    /// The account of one of them is deleted.
    case removed

    /// The status that both sides see; nil if neither lists the other.
    var status: Status? {
      switch self {
      case .none, .removed: nil
      case .asked: .new
      case .friends: .friend
      case .blocked: .blocked
      }
    }
  }

  enum Status: String, Hashable, Sendable {
    case new, friend, blocked
  }

  struct State: Hashable {
    var contact = Contact.none
    /// The number of messages, which have the sequence numbers from 1 on.
    var stored = 0
  }

  enum Input: Sendable {
    /// `addContact` or `add_contact` by one side, and the status in its answer.
    case add(Side, Outcome<Status>)
    case change(Side, to: Status, Outcome<Status>)
    /// A message that was stored with this sequence number; nil if nobody saw it.
    case store(Int?)
    /// A message that was refused because the two are not friends.
    case refuse
    /// A page of the conversation; nil for 404.
    case read(PageRequest, [Int]?)
    /// The status in a contact list of one side; nil if the other is not listed.
    case list(Status?)
    /// One of the accounts is deleted.
    case remove
    /// One side adds the other to a group. That shows that there is no block.
    case join
  }

  static let initial = State()

  static func step(_ state: State, _ input: Input) -> State? {
    switch input {
    case .add(let side, let outcome): return rule(state, adding(state.contact, side)).state(after: outcome, from: state)
    case .change(let side, let status, let outcome):
      return rule(state, changing(state.contact, side, to: status)).state(after: outcome, from: state)
    case .store(let sequence):
      guard state.contact == .friends, sequence == nil || sequence == state.stored + 1 else { return nil }
      return State(contact: state.contact, stored: state.stored + 1)
    case .refuse: return state.contact == .friends ? nil : state
    case .read(let request, let found):
      switch state.contact {
      case .none: return found == nil ? state : nil
      // The conversation with a deleted account can be read, unless another one has its name.
      case .removed where found == nil: return state
      case .asked, .friends, .blocked, .removed: return found == page(request, state.stored) ? state : nil
      }
    case .list(let status): return status == state.contact.status ? state : nil
    case .remove: return State(contact: .removed, stored: state.stored)
    case .join: if case .blocked = state.contact { return nil } else { return state }
    }
  }

  private enum Change {
    case to(Contact)
    case refused(Int)
  }

  private static func rule(_ state: State, _ change: Change) -> Ruling<State, Status> {
    switch change {
    case .to(let contact): .allowed(State(contact: contact, stored: state.stored), contact.status!)
    case .refused(let status): .refused(status)
    }
  }

  private static func adding(_ contact: Contact, _ side: Side) -> Change {
    switch contact {
    case .none: .to(.asked(by: side))
    case .asked(let asker): .to(asker == side ? contact : .friends)
    case .friends, .blocked: .refused(400)
    case .removed: .refused(404)
    }
  }

  private static func changing(_ contact: Contact, _ side: Side, to status: Status) -> Change {
    switch (contact, status) {
    case (.none, _), (.removed, _): .refused(404)
    case (.asked, .blocked), (.friends, .blocked): .to(.blocked(by: side))
    case (.asked(let asker), .friend): asker == side ? .refused(400) : .to(.friends)
    case (.friends, .new): .to(.asked(by: side.other))
    case (.blocked(let blocker), .new): blocker == side ? .to(.asked(by: side.other)) : .refused(400)
    case (.asked, .new), (.friends, .friend), (.blocked, .friend), (.blocked, .blocked): .refused(400)
    }
  }

  private static func page(_ request: PageRequest, _ stored: Int) -> [Int] {
    let last = min(stored, (request.before ?? .max) - 1)
    let first = max(1, (request.after ?? 0) + 1)
    guard first <= last else { return [] }
    let count = min(request.limit, last - first + 1)
    return Array(request.after == nil ? last - count + 1...last : first...first + count - 1)
  }
}
