import Simulation

/// A group as a sequential model: its members and their rights, and its conversation.
///
/// The rules are those of section 2 of the contract; `docs/model.md` names the sentence of each.
enum GroupModel: SequentialModel {
  struct Member: Hashable, Sendable {
    let user: Int64
    /// The username in lower case.
    let name: String
    var isAdmin = false
  }

  /// The messages that a user may read because of one stay in the group.
  struct Stay: Hashable {
    let user: Int64
    let first: Int
    /// Nil while the stay lasts.
    var last: Int?
  }

  struct State: Hashable {
    var isCreated = false
    /// The present members, oldest membership first.
    var members: [Member] = []
    var stays: [Stay] = []
    /// The number of messages, which have the sequence numbers from 1 on.
    var stored = 0

    func member(_ user: Int64) -> Member? { members.first { $0.user == user } }
    /// The names of the members, in order of the alphabet.
    var names: [String] { members.map(\.name).sorted() }
  }

  enum Input: Sendable {
    /// The creator, the other members, and the names in the answer.
    case create(by: Int64, [Member], names: [String])
    /// `names` are those of the members in the answer, sorted. `mayBeBlocked`: whether one of the
    /// two may have blocked the other.
    case add(Member, by: Int64, Outcome<[String]>, mayBeBlocked: Bool)
    case remove(Int64, by: Int64, Outcome<[String]>)
    /// A message that was stored with this sequence number, nil if nobody saw it, and the users who
    /// received or read it.
    case store(by: Int64, Int?, seenBy: [Int64])
    /// A message that was refused because its sender is not a member.
    case refuse(by: Int64)
    /// A page of the conversation; nil for 404.
    case read(by: Int64, PageRequest, [Int]?)
    /// The names in a list of the groups of a user; nil if the group is not in it.
    case list(Int64, [String]?)
  }

  static let initial = State()

  static func step(_ state: State, _ input: Input) -> State? {
    switch input {
    case .create(let creator, let members, let names):
      guard !state.isCreated else { return nil }
      let next = created(by: creator, members)
      return next.names == names ? next : nil
    case .add(let member, let admin, let outcome, let mayBeBlocked):
      if mayBeBlocked, outcome == .refused(400), state.member(admin)?.isAdmin == true { return state }
      return adding(state, member, by: admin).state(after: outcome, from: state)
    case .remove(let user, let remover, let outcome):
      return removing(state, user, by: remover).state(after: outcome, from: state)
    case .store(let sender, let sequence, let readers):
      guard state.member(sender) != nil, sequence == nil || sequence == state.stored + 1,
        readers.allSatisfy({ state.member($0) != nil })
      else { return nil }
      var next = state
      next.stored += 1
      return next
    case .refuse(let sender): return state.member(sender) == nil ? state : nil
    case .read(let reader, let request, let found):
      guard state.member(reader) != nil else { return found == nil ? state : nil }
      return found == page(request, of: reader, state) ? state : nil
    case .list(let user, let names):
      guard state.member(user) != nil else { return names == nil ? state : nil }
      return names == state.names ? state : nil
    }
  }

  /// The creator is admin.
  private static func created(by creator: Int64, _ members: [Member]) -> State {
    var state = State(isCreated: true)
    for member in members where state.member(member.user) == nil {
      state.members.append(Member(user: member.user, name: member.name, isAdmin: member.user == creator))
      state.stays.append(Stay(user: member.user, first: 1))
    }
    return state
  }

  /// An admin adds anyone. To one who is not a member the group does not exist.
  private static func adding(_ state: State, _ member: Member, by admin: Int64) -> Ruling<State, [String]> {
    guard let adder = state.member(admin) else { return .refused(404) }
    guard adder.isAdmin else { return .refused(403) }
    guard state.member(member.user) == nil else { return .refused(400) }
    var next = state
    next.members.append(member)
    next.stays.append(Stay(user: member.user, first: state.stored + 1))
    return .allowed(next, next.names)
  }

  /// An admin removes anyone, a member only itself. When the last admin leaves, the oldest member
  /// becomes admin.
  private static func removing(_ state: State, _ user: Int64, by remover: Int64) -> Ruling<State, [String]> {
    guard let actor = state.member(remover) else { return .refused(404) }
    guard actor.isAdmin || user == remover else { return .refused(403) }
    guard let place = state.members.firstIndex(where: { $0.user == user }) else { return .refused(404) }
    var next = state
    next.members.remove(at: place)
    if !next.members.isEmpty, !next.members.contains(where: \.isAdmin) { next.members[0].isAdmin = true }
    for index in next.stays.indices where next.stays[index].user == user && next.stays[index].last == nil {
      next.stays[index].last = state.stored
    }
    return .allowed(next, next.names)
  }

  /// A member reads the messages of all its stays.
  private static func page(_ request: PageRequest, of reader: Int64, _ state: State) -> [Int] {
    let stays = state.stays.filter { $0.user == reader }
    guard state.stored > 0 else { return [] }
    return request.page(
      of: (1...state.stored).filter { sequence in
        stays.contains { $0.first <= sequence && sequence <= $0.last ?? .max }
      })
  }
}
