import Simulation
import System

/// The history of each group, for `GroupModel`: requests about its members, messages and reads.
///
/// A group is not judged if nobody saw its creation, or if the account of a member may be deleted:
/// a name then stands for several users.
struct GroupHistories {
  typealias Entry = HistoryEntry<GroupModel.Input>

  private(set) var entries: [Int64: [Entry]] = [:]
  /// Groups that are not judged.
  private(set) var undecided: Set<Int64> = []
  /// The requests to create a group that were refused without a reason.
  private(set) var baseless: [Int] = []
  private let log: CallLog
  private var identities: Identities
  /// The groups whose creation was answered, and whether there may be others.
  private var created: Set<Int64> = []
  private var hasUnseenCreation = false
  /// The users that may have been members of each group.
  private var candidates: [Int64: Set<Int64>] = [:]

  init(_ log: CallLog, _ identities: Identities, _ stores: ChatStores, _ pairs: inout PairHistories) {
    self.log = log
    self.identities = identities
    for (index, call) in log.calls.enumerated() where call.name == "POST /createGroup" && !call.isMalformed {
      guard let user = identities.caller(of: call, in: log) else {
        hasUnseenCreation = hasUnseenCreation || call.isUnknown || call.status == 200
        continue
      }
      if call.isUnknown { hasUnseenCreation = true }
      create(call, index, by: user, &pairs)
    }
    for (index, call) in log.calls.enumerated() {
      guard !call.isTurnedAway, !call.isMalformed else { continue }
      let callers = identities.callers(of: call, in: log)
      guard callers.count == 1, let user = callers.first?.number else {
        if let group = call.arguments["group_id"]?.int, !callers.isEmpty { undecided.insert(group) }
        continue
      }
      switch call.name {
      case "POST /addGroupMember": change(call, index, by: user, isAdded: true, &pairs)
      case "POST /removeGroupMember": change(call, index, by: user, isAdded: false, &pairs)
      case "GET /getGroupMessages": read(call, index, by: user)
      default: break
      }
    }
    note(stores)
    if hasUnseenCreation { undecided.formUnion(entries.keys.sorted().filter { !created.contains($0) }) }
    for (index, call) in log.calls.enumerated() where call.name == "GET /getGroups" && call.status == 200 {
      if let user = identities.caller(of: call, in: log)?.number { list(call, index, of: user) }
    }
    for group in undecided { entries[group] = nil }
  }

  private mutating func append(_ input: GroupModel.Input, _ group: Int64, _ index: Int) {
    let call = log.calls[index]
    entries[group, default: []].append(
      Entry(invoked: call.interval.invoked, answered: call.answered, input: input, operation: index))
  }

  /// The user of a name; nil if the account may be deleted. One whose user id nobody has seen gets
  /// a negative one.
  private mutating func member(_ name: String) -> GroupModel.Member? {
    let name = name.lowercased()
    if identities.deletedNames.contains(name) { return nil }
    if let number = identities.number(of: name) { return GroupModel.Member(user: number, name: name) }
    let numbers = identities.allNumbers(of: name)
    return numbers.count == 1 ? GroupModel.Member(user: numbers[0], name: name) : nil
  }

  private static func names(_ answer: JSONValue) -> [String]? {
    answer["members"]?.array.map { $0.compactMap { $0.string?.lowercased() }.sorted() }
  }

  // MARK: Members

  private mutating func create(
    _ call: LoggedCall, _ index: Int, by user: Identities.User, _ pairs: inout PairHistories
  ) {
    let named = (call.arguments["members"]?.array ?? []).map { $0.string ?? "" }
    if let status = call.status, status == 400 || status == 403 || status == 404 {
      if isBaseless(call, named, by: user, pairs) { baseless.append(index) }
      return
    }
    guard call.status == 200, let group = call.answer["group_id"]?.int, let names = Self.names(call.answer) else {
      return
    }
    created.insert(group)
    var members = [GroupModel.Member(user: user.number, name: user.name)]
    for name in named {
      guard let member = member(name) else {
        undecided.insert(group)
        return
      }
      members.append(member)
      pairs.join(member.user, by: user.number, index)
    }
    if identities.deletedNames.contains(user.name) { undecided.insert(group) }
    candidates[group] = Set(members.map(\.user))
    append(.create(by: user.number, members, names: names), group, index)
  }

  /// Whether a request to create a group was refused although the creator and every member exist
  /// and nobody can have blocked another one.
  private func isBaseless(
    _ call: LoggedCall, _ named: [String], by user: Identities.User, _ pairs: PairHistories
  ) -> Bool {
    guard let name = call.arguments["name"]?.string, (1...150).contains(name.unicodeScalars.count),
      !identities.deletedNames.contains(user.name)
    else { return false }
    return named.allSatisfy { name in
      guard let number = identities.number(of: name.lowercased()) else { return false }
      return identities.certainlyExists(name.lowercased(), at: call.interval.invoked)
        && !pairs.mayBeBlocked(number, user.number, by: call.interval.answered)
    }
  }

  private mutating func change(
    _ call: LoggedCall, _ index: Int, by user: Int64, isAdded: Bool, _ pairs: inout PairHistories
  ) {
    guard let group = call.arguments["group_id"]?.int, let name = call.arguments["member"]?.string else { return }
    // A change of a group that was never created must be refused: see `GroupModel.initial`.
    guard let member = member(name) else {
      undecided.insert(group)
      return
    }
    if call.status == 404, !identities.certainlyExists(member.name, at: call.interval.invoked) { return }
    let outcome = call.outcome(Self.names)
    if isAdded {
      let mayBeBlocked = pairs.mayBeBlocked(member.user, user, by: call.interval.answered)
      append(.add(member, by: user, outcome, mayBeBlocked: mayBeBlocked), group, index)
      candidates[group, default: []].insert(member.user)
      if case .done = outcome { pairs.join(member.user, by: user, index) }
    } else {
      append(.remove(member.user, by: user, outcome), group, index)
    }
  }

  private mutating func list(_ call: LoggedCall, _ index: Int, of user: Int64) {
    var listed: [Int64: [String]] = [:]
    for group in call.answer.array ?? [] {
      if let id = group["group_id"]?.int { listed[id] = Self.names(group) }
    }
    for group in entries.keys.sorted() where listed[group] != nil || candidates[group]?.contains(user) == true {
      append(.list(user, listed[group]), group, index)
    }
  }

  // MARK: Messages

  private mutating func read(_ call: LoggedCall, _ index: Int, by user: Int64) {
    guard let page = PageRequest(call.arguments), let group = call.arguments["group_id"]?.int, !call.isUnknown else {
      return
    }
    let found = (call.answer.array ?? []).compactMap { MessageFact($0) }
      .map { $0.conversation == .group(group) ? Int($0.sequence) : 0 }
    switch call.status {
    case 200: append(.read(by: user, page, found), group, index)
    case 404: append(.read(by: user, page, nil), group, index)
    // A status that the model never gives.
    default: append(.read(by: user, page, [0]), group, index)
    }
  }

  private mutating func note(_ stores: ChatStores) {
    for (conversation, messages) in stores.stores.sorted(by: { $0.key < $1.key }) {
      guard case .group(let group) = conversation else { continue }
      for message in messages {
        let input = GroupModel.Input.store(
          by: message.sender, message.sequence.map(Int.init), seenBy: message.seenBy.sorted())
        entries[group, default: []].append(
          Entry(invoked: message.invoked, answered: message.answered, input: input, operation: message.call))
      }
    }
    for conversation in stores.undecided {
      if case .group(let group) = conversation { undecided.insert(group) }
    }
    for refusal in stores.refusals {
      guard case .group(let group) = refusal.conversation, !stores.isReused(refusal) else { continue }
      append(.refuse(by: refusal.sender), group, refusal.call)
    }
  }
}
