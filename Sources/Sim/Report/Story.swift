import System

/// The story of a failure: the promise, the events that break it, and the events around them, in
/// the order of time.
public struct Story {
  /// A sentence with its time.
  public struct Sentence: Sendable {
    let at: Int64
    /// Whether the event breaks the promise.
    let isEvidence: Bool
    let text: String
  }

  /// The story begins this long before the first event that breaks the promise.
  private static let lead: Int64 = 2_000_000_000
  /// Transfers of the same messages belong to the story for this long after the last event that
  /// breaks the promise.
  private static let tail: Int64 = 3_000_000_000
  private static let mostSentences = 60
  /// The least number of other sentences, however many break the promise.
  private static let leastSentences = 30
  /// The broken promise.
  public let violation: Violation
  /// The sentences, in order of time.
  public let sentences: [Sentence]
  /// The number of sentences that were left out.
  public let omitted: Int
  /// The time of the breach, at the end of its millisecond, since events give times in
  /// milliseconds. Nil for a promise about the end of the run.
  let brokenAt: Int64?
  /// The time from the first to the last sentence.
  let span: ClosedRange<Int64>?

  /// Up to this many actions are all in the story. Of more, only those of the users that the events
  /// name.
  private static let fewActs = 24

  /// Makes the story of a broken promise. `acts` are the actions of the users.
  public init(_ violation: Violation, _ record: RunRecord, acts: [Act] = []) {
    self.violation = violation
    let times = violation.events.flatMap(Self.times)
    let first = (times.min() ?? 0) - Self.lead
    let last = times.max() ?? .max
    brokenAt = times.max().map { $0 + 999_999 }
    let spans = Self.spans(violation, record)
    var found = violation.events.map {
      Sentence(at: Self.times($0).first ?? last, isEvidence: true, text: $0)
    }
    for mark in record.marks where mark.at >= first && mark.at <= last {
      guard let text = Self.sentence(mark) else { continue }
      found.append(Sentence(at: mark.at, isEvidence: false, text: text))
    }
    let sessions = Set(record.states.filter { $0.group == "sessions" }.map(\.subject)).filter { session in
      violation.events.contains { $0.contains(word: session) }
    }
    for state in record.states where state.at >= first && state.at <= last {
      // The states of the sessions and users that the events name, with the pool of a session's
      // users.
      let isAbout =
        state.group == "pool"
        ? !sessions.isEmpty || violation.events.contains { $0.contains(word: state.subject) }
        : sessions.contains(state.subject)
      guard isAbout else { continue }
      found.append(Sentence(at: state.at, isEvidence: false, text: "\(state.subject) is now \(state.value)"))
    }
    let texts = violation.oracle == RunOracles.noTrap.name ? [] : Self.texts(violation.events)
    let people = record.nodes.filter { name in violation.events.contains { $0.contains(word: name) } }
    let near = acts.filter { $0.at.nanoseconds >= first && $0.at.nanoseconds <= last }
    for act in near where near.count <= Self.fewActs || people.contains(act.who) {
      found.append(
        Sentence(at: act.at.nanoseconds, isEvidence: false, text: "\(act.who) starts to \(Self.words(act.action))"))
    }
    let end = last == .max ? last : last + Self.tail
    for arrow in record.arrows where arrow.sentAt >= first && arrow.sentAt <= end {
      // Transfers of the messages that the events name. If they name none, transfers of the users
      // that they name, near their times.
      let isNear = texts.isEmpty && spans.contains { $0.contains(arrow.sentAt) }
      // A process that dies names no user.
      let isTheirs =
        isNear
        && (people.contains(arrow.from) || people.contains(arrow.to) || violation.oracle == RunOracles.noTrap.name)
      for message in arrow.messages where isTheirs || texts.contains(where: { message.detail.contains(word: $0) }) {
        let fate =
          arrow.isLost
          ? " (never arrives)" : arrow.arrivedAt == nil ? " (not arrived when the run ends)" : ""
        found.append(
          Sentence(
            at: arrow.sentAt, isEvidence: false,
            text: "\(arrow.from) → \(arrow.to): \(Self.brief(message.summary))\(fate)"))
      }
    }
    let ordered = found.enumerated().sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
    // Keep all evidence, and of the other sentences those nearest to the breach.
    let room = max(Self.leastSentences, Self.mostSentences - violation.events.count)
    let kept = Set(ordered.indices.filter { !ordered[$0].isEvidence }.suffix(room))
    sentences = ordered.indices.filter { ordered[$0].isEvidence || kept.contains($0) }.map { ordered[$0] }
    omitted = ordered.count - sentences.count
    let timed = sentences.map(\.at).filter { $0 != .max }
    span = timed.min().flatMap { first in timed.max().map { first...$0 } }
  }

  /// The times of the events that break the promise. For `live` and for a process that died, the
  /// end of the run.
  private static func spans(_ violation: Violation, _ record: RunRecord) -> [ClosedRange<Int64>] {
    switch violation.oracle {
    case "live": [record.lastAt - lead...record.lastAt]
    case RunOracles.noTrap.name: [record.lastAt - 50_000_000...record.lastAt]
    default:
      violation.events.compactMap { event in
        let times = times(event)
        return times.min().flatMap { first in times.max().map { first - 1_000_000...$0 + 1_000_000 } }
      }
    }
  }

  /// The story as text.
  public var text: String {
    var lines = ["Promised (\(violation.oracle)): \(violation.promise).", "", "What happened:"]
    if omitted > 0 { lines.append("         … \(omitted) earlier events of the same users") }
    for sentence in sentences {
      let time = sentence.at == .max ? "at the end" : VirtualTime.text(sentence.at)
      let space = String(repeating: " ", count: max(0, 10 - time.count))
      lines.append("\(space)\(time)  \(sentence.isEvidence ? "● " : "  ")\(Self.withoutTime(sentence))")
    }
    lines += ["", "● marks an event that breaks the promise."]
    return lines.joined(separator: "\n")
  }

  /// The nodes that the story names.
  func nodes(among names: [String]) -> [String] {
    names.filter { name in sentences.contains { $0.text.contains(word: name) } }
  }

  private static func withoutTime(_ sentence: Sentence) -> String {
    guard sentence.isEvidence, let word = sentence.text.split(separator: " ").first, times(String(word)).count > 0
    else {
      return sentence.text
    }
    return String(sentence.text.dropFirst(word.count + 1))
  }

  /// An action in words: `send-direct` is "send direct".
  private static func words(_ action: String) -> String { action.replacing("-", with: " ") }

  static func brief(_ text: String) -> String { text.count <= 160 ? text : text.prefix(160) + " …" }

  static func sentence(_ mark: RunRecord.Mark) -> String? {
    switch mark.kind {
    case .fault: mark.text
    case .mended: mark.text
    case .crash: "\(mark.node) crashes (\(mark.text))"
    // All nodes start at the beginning, so that is left out.
    case .boot: mark.at == 0 ? nil : "\(mark.node) starts (\(mark.text))"
    case .pause: "\(mark.node) is paused"
    case .resume: "\(mark.node) resumes"
    case .drain: "\(mark.node) stops gracefully"
    case .ended: "\(mark.node) exits: \(mark.text)"
    case .diskFault: "the disk of \(mark.node) fails: \(mark.text)"
    case .log: "\(mark.node) logs \(mark.text)"
    case .reset, .refused, .diskSync, .connect, .accepted, .send, .close, .diskWrite, .arrive, .lost: nil
    }
  }

  /// The times in a text, as oracles write them: `12.345s`.
  static func times(_ text: String) -> [Int64] {
    var found: [Int64] = []
    for word in text.split(whereSeparator: { " –,;()".contains($0) }) where word.hasSuffix("s") {
      let parts = word.dropLast().split(separator: ".")
      guard parts.count == 2, parts[1].count == 3, let seconds = Int64(parts[0]), let rest = Int64(parts[1]) else {
        continue
      }
      found.append(seconds * 1_000_000_000 + rest * 1_000_000)
    }
    return found
  }

  /// The contents of messages, such as `ann-1/7`, and the email addresses that the events name.
  private static func texts(_ events: [String]) -> [String] {
    let words = events.flatMap { $0.split(whereSeparator: { " \"'<>,;:()[]→".contains($0) }).map(String.init) }
    var texts: [String] = []
    for word in words where !texts.contains(word) {
      if word.contains("/") && word.last?.isNumber == true || word.contains("@") { texts.append(word) }
    }
    return texts
  }
}

extension String {
  /// Whether the text contains the word, not followed by a digit.
  fileprivate func contains(word: String) -> Bool {
    let (bytes, wanted) = (Array(utf8), Array(word.utf8))
    guard !wanted.isEmpty, bytes.count >= wanted.count else { return false }
    var start = 0
    while start + wanted.count <= bytes.count {
      if bytes[start] == wanted[0], bytes[start..<start + wanted.count].elementsEqual(wanted) {
        let end = start + wanted.count
        if end == bytes.count || !(UInt8(ascii: "0")...UInt8(ascii: "9") ~= bytes[end]) { return true }
      }
      start += 1
    }
    return false
  }
}
