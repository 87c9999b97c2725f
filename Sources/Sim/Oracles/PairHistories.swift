import Simulation
import System

/// The history of each two users, for `PairModel`: requests about their contact, messages and
/// reads.
struct PairHistories {
  typealias Entry = HistoryEntry<PairModel.Input>

  private(set) var entries: [Conversation: [Entry]] = [:]
  private let log: CallLog
  private let identities: Identities
  /// Pairs that are not judged: nobody knows which user made a request about them, or who sent a
  /// message.
  private(set) var undecided: Set<Conversation> = []
  /// Pairs of which one may have blocked the other, with the position of the first request.
  private var blocks: [Conversation: Int] = [:]

  init(_ log: CallLog, _ identities: Identities, _ stores: ChatStores) {
    self.log = log
    self.identities = identities
    for (index, call) in log.calls.enumerated() {
      guard !call.isTurnedAway, !call.isMalformed else { continue }
      let callers = identities.callers(of: call, in: log)
      guard callers.count == 1, let user = callers.first?.number else {
        exclude(call, by: callers)
        continue
      }
      switch call.name {
      case "POST /addContact": add(call, index, by: user, name: call.arguments["contact"])
      case "add_contact": add(call, index, by: user, name: call.arguments["contact_username"])
      case "POST /changeContact": change(call, index, by: user)
      case "GET /getContactMessages": read(call, index, by: user)
      default: break
      }
    }
    note(stores)
    for (name, index) in identities.deletions { remove(name, index) }
    for (index, call) in log.calls.enumerated() where call.name == "GET /getContacts" && call.status == 200 {
      if let user = identities.caller(of: call, in: log)?.number { list(call, index, of: user) }
    }
    for conversation in stores.undecided { if case .direct = conversation { undecided.insert(conversation) } }
    for pair in undecided { entries[pair] = nil }
  }

  /// Whether one of two users may have blocked the other by a position.
  func mayBeBlocked(_ a: Int64, _ b: Int64, by position: Int) -> Bool { blocks[.between(a, b)] ?? .max < position }

  /// One user adds the other to a group, or creates one with them.
  mutating func join(_ user: Int64, by adder: Int64, _ call: Int) {
    guard user != adder, blocks[.between(user, adder)] != nil else { return }
    append(.join, .between(user, adder), call)
  }

  private mutating func append(_ input: PairModel.Input, _ pair: Conversation, _ index: Int) {
    let call = log.calls[index]
    entries[pair, default: []].append(
      Entry(invoked: call.interval.invoked, answered: call.answered, input: input, operation: index))
  }

  /// Excludes the pairs that a request may have changed which any of several users may have made.
  private mutating func exclude(_ call: LoggedCall, by users: Set<Identities.User>) {
    guard ["POST /addContact", "add_contact", "POST /changeContact"].contains(call.name) else { return }
    for user in users {
      for other in others(call, call.arguments["contact"] ?? call.arguments["contact_username"], than: user.number) {
        undecided.insert(.between(user.number, other))
      }
    }
  }

  private static func side(_ user: Int64, _ other: Int64) -> PairModel.Side { user < other ? .low : .high }

  // MARK: Contacts

  /// The other user of a request: the one that the answer names, or the one who has the name. A
  /// request without an answer may have been about any user who has had the name.
  private func others(_ call: LoggedCall, _ name: JSONValue?, than user: Int64) -> [Int64] {
    if let contact = call.answer["contact"]?["user_id"]?.int { return [contact] }
    guard let name = name?.string?.lowercased() else { return [] }
    if call.isUnknown { return (identities.numbers[name] ?? []).filter { $0 != user } }
    guard let number = identities.number(of: name), number != user else { return [] }
    // Before its registration a name has no account.
    if call.refusal == 404, !identities.certainlyExists(name, at: call.interval.invoked) { return [] }
    return [number]
  }

  private func status(_ answer: JSONValue) -> PairModel.Status? {
    answer["contact"]?["status"]?.string.flatMap(PairModel.Status.init)
  }

  private mutating func add(_ call: LoggedCall, _ index: Int, by user: Int64, name: JSONValue?) {
    var outcome = call.outcome(status)
    if case .refused = outcome, let refusal = call.refusal { outcome = .refused(refusal) }
    for other in others(call, name, than: user) {
      append(.add(Self.side(user, other), outcome), .between(user, other), index)
    }
  }

  private mutating func change(_ call: LoggedCall, _ index: Int, by user: Int64) {
    guard let wanted = call.arguments["status"]?.string.flatMap(PairModel.Status.init) else { return }
    for other in others(call, call.arguments["contact"], than: user) {
      let pair = Conversation.between(user, other)
      if wanted == .blocked { blocks[pair] = min(blocks[pair] ?? .max, call.interval.invoked) }
      append(.change(Self.side(user, other), to: wanted, call.outcome(status)), pair, index)
    }
  }

  /// The account of a name may be deleted at any time after the request.
  private mutating func remove(_ name: String, _ index: Int) {
    for number in identities.numbers[name] ?? [] {
      for pair in entries.keys.sorted() {
        guard case .direct(let low, let high) = pair, low == number || high == number else { continue }
        entries[pair]!.append(
          Entry(
            invoked: log.calls[index].interval.invoked, answered: .max, input: .remove, operation: index))
      }
    }
  }

  private mutating func list(_ call: LoggedCall, _ index: Int, of user: Int64) {
    var listed: [Int64: PairModel.Status] = [:]
    for contact in call.answer.array ?? [] {
      guard let other = contact["user_id"]?.int else { continue }
      listed[other] = contact["status"]?.string.flatMap(PairModel.Status.init)
    }
    for pair in entries.keys.sorted() {
      guard case .direct(let low, let high) = pair, low == user || high == user else { continue }
      append(.list(listed.removeValue(forKey: low == user ? high : low)), pair, index)
    }
    for (other, status) in listed.sorted(by: { $0.key < $1.key }) {
      append(.list(status), .between(user, other), index)
    }
  }

  // MARK: Messages

  private mutating func read(_ call: LoggedCall, _ index: Int, by user: Int64) {
    guard let page = PageRequest(call.arguments) else { return }
    let facts = call.status == 200 ? (call.answer.array ?? []).compactMap { MessageFact($0) } : []
    let pair: Conversation
    if let fact = facts.first {
      pair = fact.conversation
    } else {
      guard let name = call.arguments["contact"]?.string?.lowercased(), let other = identities.number(of: name),
        other != user, call.status == 200 || identities.certainlyExists(name, at: call.interval.invoked)
      else { return }
      pair = .between(user, other)
    }
    if call.isUnknown { return }
    let found: [Int]? = call.status == 200 ? facts.map { $0.conversation == pair ? Int($0.sequence) : 0 } : nil
    // Any other status is one that the model never gives.
    append(.read(page, call.status == 200 || call.status == 404 ? found : [0]), pair, index)
  }

  private mutating func note(_ stores: ChatStores) {
    for (conversation, messages) in stores.stores.sorted(by: { $0.key < $1.key }) {
      guard case .direct = conversation else { continue }
      for message in messages {
        entries[conversation, default: []].append(
          Entry(
            invoked: message.invoked, answered: message.answered, input: .store(message.sequence.map(Int.init)),
            operation: message.call))
      }
    }
    for refusal in stores.refusals {
      guard case .direct(let low, let high) = refusal.conversation, low != high, !stores.isReused(refusal) else {
        continue
      }
      append(.refuse, refusal.conversation, refusal.call)
    }
  }
}

extension PageRequest {
  /// The parameters of a request; nil if they are not valid.
  init?(_ arguments: JSONValue) {
    let limit = arguments["limit"]?.int ?? 50
    guard (1...500).contains(limit), arguments["limit"] == nil || arguments["limit"]?.int != nil,
      arguments["before"] == nil || arguments["before"]?.int != nil,
      arguments["after"] == nil || arguments["after"]?.int != nil
    else { return nil }
    func clamped(_ number: Int64?) -> Int? { number.map { Int(max(0, min($0, 1 << 53))) } }
    self.init(
      after: clamped(arguments["after"]?.int), before: clamped(arguments["before"]?.int), limit: Int(limit))
  }
}
