import System

/// What the users of a world were answered and what they heard, turn by turn.
///
/// Left out is what says nothing about the state of the services, or depends on time alone:
/// - requests without an answer, and answers that turn a request away (408, 429, 5xx), since
///   clients send those again;
/// - events on a socket that opens or ends within the turn, since they may come before or after;
/// - how often presence changes: what counts is what an open socket was told last.
struct ClientStory {
  /// What a user saw in a turn.
  struct Seen {
    /// The requests with their answers.
    var calls: [String] = []
    /// The events on sockets that were open during the whole turn.
    var events: [String] = []
    /// The number of those sockets.
    var sockets = 0
    /// What an open socket was told last: who is online, by account. Whoever registers the name of
    /// an erased account has another one.
    var presence: [String: String] = [:]
  }

  struct Chapter {
    let title: String
    /// Whether a request was refused since there were too many in some time.
    var isThrottled = false
    /// What each user saw, in the order of `people`.
    var seen: [Seen] = []
  }

  let people: [String]
  private(set) var chapters: [Chapter] = []

  init(_ log: CallLog, _ turns: Turns, people: [String]) {
    self.people = people
    var naming = Naming()
    let ordinary = turns.records.indices.filter { people.contains(turns.records[$0].turn.who) }
    for (index, record) in ordinary.enumerated() {
      // Bystanders act in between, which nobody may notice.
      let next = index + 1 < ordinary.count ? ordinary[index + 1] : turns.records.count
      let (begin, end) = (turns.records[record].begin, turns.records[next - 1].end)
      let turn = turns.records[record].turn
      var chapter = Chapter(title: "turn \(index + 1), \(turn.who): \(turns.records[record].action ?? "\(turn.phase)")")
      for person in people { chapter.add(person, log, begin...end, &naming) }
      // Answers name accounts in the same order in both worlds, and come first.
      for (index, person) in people.enumerated() {
        chapter.seen[index].presence = Self.presence(of: person, log, begin...end, &naming)
      }
      chapters.append(chapter)
    }
  }
}

extension ClientStory {
  /// The sockets of a person that are open at the end of a turn.
  fileprivate static func open(_ person: String, _ log: CallLog, _ turn: ClosedRange<Int>) -> [SocketRecord] {
    log.sockets.filter {
      $0.person == person && $0.connected ?? .max < turn.upperBound && $0.ended ?? .max > turn.upperBound
    }
  }

  /// What open sockets of a person were told last about each account: online or offline. An event
  /// about a contact says it, too.
  private static func presence(
    of person: String, _ log: CallLog, _ turn: ClosedRange<Int>, _ naming: inout Naming
  ) -> [String: String] {
    var last: [String: String] = [:]
    let events = open(person, log, turn).flatMap(\.events).filter { $0.position <= turn.upperBound }
    for event in events.sorted(by: { $0.position < $1.position }) {
      let isOnline = event.data["is_online"]?.bool.map { $0 ? "online" : "offline" }
      guard let status = event.name == presence ? event.data["status"]?.string : isOnline else { continue }
      let account = (event.data.members ?? []).filter { ["user_id", "username"].contains($0.name) }
      last[naming.named(.object(account)).text] = status
    }
    return last
  }
}

extension ClientStory.Chapter {
  /// Adds what a user saw between two positions.
  fileprivate mutating func add(_ person: String, _ log: CallLog, _ turn: ClosedRange<Int>, _ naming: inout Naming) {
    var seen = ClientStory.Seen()
    let calls = log.calls.filter { $0.person == person && turn.contains($0.interval.invoked) }
    if calls.contains(where: { $0.status == 429 }) { isThrottled = true }
    seen.calls = Self.lines(calls.filter(\.tellsState).map(\.line), &naming)
    let steady = ClientStory.open(person, log, turn).filter { $0.connected! < turn.lowerBound }
    seen.sockets = steady.count
    seen.events = Self.lines(
      steady.flatMap { socket in
        socket.events.filter { turn.contains($0.position) && $0.name != ClientStory.presence }.map {
          [.string($0.name), $0.data]
        }
      }, &naming)
    self.seen.append(seen)
  }

  /// Values as lines with names. What happens at the same time has no order, so values are named in
  /// the order of their texts without names.
  private static func lines(_ values: [JSONValue], _ naming: inout Naming) -> [String] {
    let masked = values.enumerated().map { (text: Naming.masked($0.element).text, offset: $0.offset) }
    return masked.sorted { ($0.text, $0.offset) < ($1.text, $1.offset) }.map { naming.named(values[$0.offset]).text }
      .sorted()
  }
}

extension LoggedCall {
  /// Whether the answer says anything about the state of the service.
  fileprivate var tellsState: Bool {
    guard let status, status < 500, status != 408, status != 429 else { return false }
    // A socket hears of 503 in words.
    return answer["message"]?.string?.hasSuffix("not available") != true
  }

  fileprivate var line: JSONValue {
    [
      "request": .string(name), "with": arguments, "token": token.map { .string($0) } ?? .null,
      "status": .int(Int64(status ?? 0)), "answer": answer,
    ]
  }
}

extension ClientStory {
  fileprivate static let presence = "user_status"
  /// The most lines of a difference that are shown.
  private static let mostLines = 8

  /// The first turn in which the users of two worlds saw something else; nil if they saw the same.
  static func difference(_ one: ClientStory, _ two: ClientStory, _ relation: WorldRelation) -> Breach? {
    for (a, b) in zip(one.chapters, two.chapters) {
      // How many requests are too many depends on time, and all that follows on their answers.
      if a.isThrottled != b.isThrottled { return nil }
      var lines: [String] = []
      for (index, person) in one.people.enumerated() { lines += differences(a.seen[index], b.seen[index], person) }
      guard !lines.isEmpty else { continue }
      let rest = lines.count > mostLines ? ["and \(lines.count - mostLines) more"] : []
      return Breach(["\(a.title); the second run has \(relation.sentence)"] + lines.prefix(mostLines) + rest)
    }
    return nil
  }

  private static func differences(_ a: Seen, _ b: Seen, _ person: String) -> [String] {
    var lines = lines(of: person, "sees", a.calls, b.calls)
    // A socket that broke by itself in one of the worlds has missed events.
    if a.sockets == b.sockets { lines += Self.lines(of: person, "hears", a.events, b.events) }
    for user in a.presence.keys.sorted() {
      guard let first = a.presence[user], let second = b.presence[user], first != second else { continue }
      lines.append("\(person) was told that \(user) is \(first), and in the second run \(second)")
    }
    return lines
  }

  private static func lines(of person: String, _ verb: String, _ a: [String], _ b: [String]) -> [String] {
    let (first, second) = (more(a, than: b), more(b, than: a))
    return (0..<max(first.count, second.count)).flatMap { index -> [String] in
      let one = index < first.count ? first[index] : nil
      let two = index < second.count ? second[index] : nil
      let same = zip(one ?? "", two ?? "").prefix { $0 == $1 }.count
      return [("first", one), ("second", two)].compactMap { run, line in
        line.map { "\(person) \(verb) only in the \(run) run: \(short($0, same))" }
      }
    }
  }

  private static func more(_ some: [String], than others: [String]) -> [String] {
    var left = others
    return some.filter { line in
      guard let index = left.firstIndex(of: line) else { return true }
      left.remove(at: index)
      return false
    }
  }

  /// A line with its beginning, and with what follows its first `same` characters.
  private static func short(_ line: String, _ same: Int) -> String {
    let (head, before, after) = (60, 40, 200)
    let begin = same > head + before ? "\(line.prefix(head)) … " : ""
    let rest = begin.isEmpty ? line[...] : line.dropFirst(same - before)
    return begin + (rest.count > head + after ? "\(rest.prefix(head + after))…" : rest)
  }
}
