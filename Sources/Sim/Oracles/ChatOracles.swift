/// What a run of the chat left behind for the oracles to judge, and what follows from it: a model written apart from the service.
struct ChatEvidence {
  let sendings: [Sending]
  let changes: [Change]
  let sockets: [SocketRecord]
  let readings: [Reading]
  let presence: [FinalPresence]
  let calls: [ServiceCall]
  let endedSessions: [String: Int64]
  let isOnlineAtEnd: [Int64: Bool]
  let lastContacts: [(person: String, other: Int64)]
  /// The users that each name has stood for, of names that have stood for several; all but the last are deleted.
  let replaced: [[Int64]]
  /// When a fault could explain a 503.
  let disturbances: [ClosedRange<Int64>]
  /// When the network held up what the Chat Service and the User Service say to each other, without a fault that could be named.
  let delays: [ClosedRange<Int64>]
  /// The attempts to send, by what they said: contents are unique.
  let sendingByContent: [String: Sending]
  /// Every sight of a message, with who saw it and how.
  let sights: [(fact: MessageFact, user: Int64, how: String)]

  init(_ history: ChatHistory, disturbances: [ClosedRange<Int64>], delays: [ClosedRange<Int64>]) {
    self.delays = delays
    sendings = history.sendings
    changes = history.changes
    sockets = history.sockets
    readings = history.readings
    presence = history.presence
    calls = history.calls
    endedSessions = history.endedSessions
    isOnlineAtEnd = history.isOnlineAtEnd
    lastContacts = history.lastContacts
    replaced = history.accounts.sorted { $0.key < $1.key }.map(\.value).filter { $0.count > 1 }
    self.disturbances = disturbances
    sendingByContent = Dictionary(history.sendings.map { ($0.content, $0) }, uniquingKeysWith: { first, _ in first })
    sights =
      history.sockets.flatMap { socket in socket.heard.map { ($0.fact, socket.user, "\(socket.person) heard") } }
      + history.readings.flatMap { reading in reading.facts.map { ($0, reading.user, "\(reading.person) read") } }
  }
}

/// Who can have been in a group, or a friend, while something happened. What was not answered may have been done at any time after
/// it was asked for.
struct MembershipModel {
  private let members: [Int64: [Int64: [Change]]]
  private let contacts: [Conversation: [Change]]

  /// People name each other, and `replaced` has the users that one name has stood for: a change that was asked for one of
  /// them may have been made to any of them.
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

  /// Whether somebody may have been a participant at some time within an interval.
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

  /// Whether somebody was certainly a participant all through an interval.
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

  /// Whether two people were certainly not friends all through an interval.
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

  /// Whether anybody was ever taken out of a group, or asked to be.
  func hasLeavers(_ group: Int64) -> Bool {
    // In any order: it is only asked whether there is one.
    members[group]?.contains { $0.value.contains { !Self.makes($0) } } ?? false
  }

  /// Whether anything about two people was changed.
  func hasChanges(_ conversation: Conversation) -> Bool { contacts[conversation]?.isEmpty == false }
}

/// The oracles over the chat, each with its promise.
enum ChatOracles {
  static func judge(_ evidence: ChatEvidence) -> [Violation] {
    let model = MembershipModel(evidence.changes, replaced: evidence.replaced)
    return unexplained(evidence) + storedOnce(evidence) + oneOrder(evidence, model) + durable(evidence, model)
      + socketOrder(evidence) + complete(evidence, model) + isPrivate(evidence, model) + presence(evidence, model)
      + sessionEnded(evidence) + deleted(evidence)
  }

  static func violation(_ oracle: String, _ promise: String, _ events: [String]) -> [Violation] {
    [Violation(oracle: oracle, promise: promise, events: events)]
  }

  static func say(_ sending: Sending) -> String {
    let answers = sending.acknowledgements.map { "message \($0.id), seq \($0.sequence)" }
    let result = sending.refusal ?? (answers.isEmpty ? "no answer" : answers.joined(separator: "; "))
    return
      "\(seconds(sending.interval.invokedAt))–\(seconds(sending.interval.answeredAt)) \(sending.person): \"\(sending.content)\" to \(sending.conversation) → \(result)"
  }

  static func say(_ fact: MessageFact) -> String {
    "\"\(fact.content)\" of user \(fact.sender): message \(fact.id), seq \(fact.sequence) of \(fact.conversation)"
  }

  static func seconds(_ nanoseconds: Int64) -> String {
    if nanoseconds == .max { return "…" }
    let milliseconds = nanoseconds / 1_000_000
    return "\(milliseconds / 1000).\(String(1000 + milliseconds % 1000).dropFirst())s"
  }

  /// The time that services give each other.
  private static let patience: Int64 = 5_000_000_000

  // MARK: Health

  static func unexplained(_ evidence: ChatEvidence) -> [Violation] {
    for call in evidence.calls {
      guard let status = call.status, status >= 500 else { continue }
      let isDisturbed = evidence.disturbances.contains {
        $0.lowerBound <= call.interval.answeredAt && call.interval.invokedAt <= $0.upperBound
      }
      let isLate = isLate(call.interval, evidence.delays)
      let isExplained = status == 503 && (isDisturbed || isLate)
      if !isExplained {
        return violation(
          "no-unexplained-5xx", "no 5xx without a fault that explains it",
          ["\(seconds(call.interval.invokedAt)) \(call.person): \(call.what) → \(status)"])
      }
    }
    return []
  }

  /// Whether the network alone explains a refusal: the question had all its time, or for most of that time before the answer something was held
  /// up between the services, so that the news may be missing without which nobody is believed for long.
  private static func isLate(_ call: Interval, _ delays: [ClosedRange<Int64>]) -> Bool {
    let begin = min(call.invokedAt, call.answeredAt - patience)
    let recent = delays.filter { $0.upperBound >= begin && $0.lowerBound <= call.answeredAt }
    if call.answeredAt - call.invokedAt >= patience { return !recent.isEmpty }
    var (heldUp, end) = (Int64(0), begin)
    for delay in recent.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      let last = min(delay.upperBound, call.answeredAt)
      heldUp += max(0, last - max(end, delay.lowerBound))
      end = max(end, last)
    }
    return heldUp > patience / 2
  }

  // MARK: What is stored

  /// What was sent is stored at most once, however often it was sent.
  static func storedOnce(_ evidence: ChatEvidence) -> [Violation] {
    let promise = "the same client_id from the same sender gives the first answer again, and stores nothing"
    for sending in evidence.sendings where Set(sending.acknowledgements).count > 1 {
      return violation("stored-once", promise, [say(sending)])
    }
    var places: [String: MessageFact] = [:]
    for (fact, _, how) in evidence.sights {
      if let other = places[fact.content], other.sequence != fact.sequence || other.id != fact.id {
        return violation("stored-once", promise, [say(other), "\(how) \(say(fact))"])
      }
      places[fact.content] = fact
    }
    return []
  }

  private struct Place: Hashable {
    let conversation: Conversation
    let sequence: Int64
  }

  /// Everybody sees the same message at the same place, and no place is empty.
  static func oneOrder(_ evidence: ChatEvidence, _ model: MembershipModel) -> [Violation] {
    var places: [Place: (fact: MessageFact, how: String)] = [:]
    for (fact, _, how) in evidence.sights {
      let place = Place(conversation: fact.conversation, sequence: fact.sequence)
      if let known = places[place] {
        guard known.fact == fact else {
          return violation(
            "one-order", "a conversation has one order", ["\(known.how) \(say(known.fact))", "\(how) \(say(fact))"])
        }
      } else {
        places[place] = (fact, how)
      }
      guard let sending = evidence.sendingByContent[fact.content], sending.conversation == fact.conversation,
        sending.sender == fact.sender
      else {
        return violation("one-order", "a message is what was sent", ["\(how) \(say(fact))", "and nobody sent that"])
      }
      if let answer = sending.acknowledgements.first, answer.id != fact.id || answer.sequence != fact.sequence {
        return violation(
          "one-order", "an acknowledgement says where the message is", [say(sending), "\(how) \(say(fact))"])
      }
    }
    for reading in evidence.readings where reading.isWhole {
      if case .group(let group) = reading.conversation, model.hasLeavers(group) { continue }
      guard let first = reading.facts.first else { continue }
      let begins = if case .direct = reading.conversation { Int64(1) } else { first.sequence }
      for (index, fact) in reading.facts.enumerated() where fact.sequence != begins + Int64(index) {
        return violation(
          "one-order", "seq is 1, 2, 3 … without a gap",
          ["\(reading.person) read, at place \(begins + Int64(index)), \(say(fact))"])
      }
    }
    return []
  }

  /// What was acknowledged is there when everything has come to rest, and what was heard as well.
  static func durable(_ evidence: ChatEvidence, _ model: MembershipModel) -> [Violation] {
    for reading in evidence.readings where reading.isWhole {
      let contents = Set(reading.facts.map(\.content))
      for sending in evidence.sendings
      where sending.conversation == reading.conversation && sending.isAcknowledged
        && !contents.contains(sending.content)
      {
        guard model.takesPart(reading.user, in: reading.conversation, during: sending.interval) else { continue }
        return violation(
          "durable", "what was acknowledged is never lost",
          [say(sending), "\(reading.person) read the conversation to its end, and it was not there"])
      }
    }
    let read = Set(evidence.readings.filter(\.isWhole).flatMap { $0.facts.map(\.content) })
    for socket in evidence.sockets {
      for (_, time, fact) in socket.heard {
        guard case .direct = fact.conversation, !read.contains(fact.content) else { continue }
        guard evidence.readings.contains(where: { $0.isWhole && $0.conversation == fact.conversation }) else {
          continue
        }
        return violation(
          "durable", "a message is stored before anybody hears of it",
          ["\(seconds(time)) \(socket.person) heard \(say(fact))", "and in the end it was not there"])
      }
    }
    return []
  }
}
