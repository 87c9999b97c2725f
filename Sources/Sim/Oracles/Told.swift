import Simulation
import System

/// What open sockets were told, against what their users have read and done.
///
/// Whoever changes a contact or a group, and everybody whom it concerns, is told on every socket
/// that was open before. So is a user who sees a contact or a group twice, and sees it changed. An
/// event that is refused without an acknowledgement is answered by an `error`.
struct ToldEvidence {
  /// What was not told, in words.
  private(set) var missing: [[String]] = []

  private let log: CallLog
  /// In the order of their begins.
  private let disturbances: [ClosedRange<Int64>]
  /// The time without a fault in which a change is published and an abandoned socket ends, in
  /// nanoseconds.
  private let patience: Int64
  /// When the run ended.
  private let end: Int64

  init() {
    let log = CallLog { 0 }
    self.init(log, Identities(log), disturbances: [], vanishing: .zero, end: 0)
  }

  /// `vanishing` is the longest time in which an abandoned socket is not noticed.
  init(
    _ log: CallLog, _ identities: Identities, disturbances: [ClosedRange<Int64>], vanishing: Duration, end: Int64
  ) {
    self.log = log
    self.disturbances = disturbances.sorted { $0.lowerBound < $1.lowerBound }
    patience = max(CallLog.news, vanishing + .seconds(3)).nanoseconds
    self.end = end
    judgeChanges(identities)
    judgeNews(identities)
    judgeErrors()
  }

  static let oracle = Oracle(
    "told", "an open socket is told of every change and every error", .atOnce, over: \.told
  ) { evidence in evidence.missing.first.map { [Breach($0)] } ?? [] }

  /// Whether a socket was open after a time for so long, without a fault, that it was told or has
  /// ended.
  private func hears(_ socket: SocketRecord, after time: Int64) -> Bool {
    let limit = min(socket.endedAt, end)
    var begin = time
    for disturbance in disturbances where disturbance.upperBound > time && disturbance.lowerBound < limit {
      if disturbance.lowerBound - begin >= patience { return true }
      begin = max(begin, disturbance.upperBound)
    }
    return limit - begin >= patience
  }

  // MARK: Changes

  /// A contact or a group as a user has seen it: its status, or its members.
  private struct View {
    let call: Int
    let value: String
  }

  private mutating func judgeChanges(_ identities: Identities) {
    var views: [Int64: [String: [View]]] = [:]
    for (index, call) in log.calls.enumerated() where call.status == 200 {
      guard let user = identities.caller(of: call, in: log)?.number else { continue }
      for (thing, value) in Self.seen(call) {
        views[user, default: [:]][thing, default: []].append(View(call: index, value: value))
      }
    }
    for (index, socket) in log.sockets.enumerated() where socket.namespace == "/" && socket.connected != nil {
      guard let owners = identities.sessions[socket.session]?.owners, owners.count == 1,
        let things = views[owners.first!.number]
      else { continue }
      judge(index, things)
    }
  }

  private mutating func judge(_ index: Int, _ things: [String: [View]]) {
    let socket = log.sockets[index]
    var told: [String: [(position: Int, value: String)]] = [:]
    for event in socket.events {
      if let (thing, value) = Self.told(event.name, event.data) {
        told[thing, default: []].append((event.position, value))
      }
    }
    var first: (second: Int, lines: [String])?
    for thing in things.keys.sorted() {
      let views = things[thing]!
      for (before, after) in zip(views, views.dropFirst()) where before.value != after.value {
        let (one, two) = (log.calls[before.call].interval, log.calls[after.call].interval)
        guard one.answered < two.invoked, socket.connected! < one.invoked,
          hears(socket, after: two.answeredAt),
          !(told[thing] ?? []).contains(where: { $0.position > one.invoked && $0.value == after.value })
        else { continue }
        if first.map({ $0.second < after.call }) ?? false { continue }
        let opened = "\(VirtualTime.text(socket.connectedAt)) \(socket.person) opens a socket"
        first = (after.call, [opened, log.say(before.call), log.say(after.call), "and the socket was not told"])
      }
    }
    if let first { missing.append(first.lines) }
  }

  /// What a user sees in an answer.
  private static func seen(_ call: LoggedCall) -> [(thing: String, value: String)] {
    switch call.name {
    case "GET /getContacts": (call.answer.array ?? []).compactMap(contact)
    case "GET /getGroups": (call.answer.array ?? []).compactMap(group)
    case "POST /addContact", "add_contact", "POST /changeContact":
      [call.answer["contact"].flatMap(contact)].compactMap(\.self)
    // Whoever leaves a group sees it without them, and is told of a group without members.
    case "POST /createGroup", "POST /addGroupMember": [group(call.answer)].compactMap(\.self)
    default: []
    }
  }

  /// What an event tells.
  private static func told(_ name: String, _ data: JSONValue) -> (thing: String, value: String)? {
    switch name {
    case "contact_added", "contact_changed": contact(data)
    // Only a new contact is asked for.
    case "contact_request": data["user_id"]?.int.map { ("contact \($0)", "new") }
    case "group_changed": group(data)
    default: nil
    }
  }

  private static func contact(_ value: JSONValue) -> (thing: String, value: String)? {
    guard let user = value["user_id"]?.int, let status = value["status"]?.string else { return nil }
    return ("contact \(user)", status)
  }

  private static func group(_ value: JSONValue) -> (thing: String, value: String)? {
    guard let id = value["group_id"]?.int, let members = value["members"]?.array else { return nil }
    return ("group \(id)", members.map { $0.string ?? "" }.sorted().joined(separator: ", "))
  }

  // MARK: News

  /// What a user has to be told after a request that succeeded.
  private struct News {
    let call: Int
    let thing: String
    let value: String
  }

  private mutating func judgeNews(_ identities: Identities) {
    var news: [Int64: [News]] = [:]
    for (index, call) in log.calls.enumerated() where call.status == 200 {
      guard let user = identities.caller(of: call, in: log)?.number else { continue }
      for (reader, thing, value) in Self.news(of: call, by: user, identities) {
        news[reader, default: []].append(News(call: index, thing: thing, value: value))
      }
    }
    for socket in log.sockets where socket.namespace == "/" && socket.connected != nil {
      guard let owners = identities.sessions[socket.session]?.owners, owners.count == 1 else { continue }
      let told = socket.events.compactMap { event in
        Self.told(event.name, event.data).map { (position: event.position, thing: $0.thing, value: $0.value) }
      }
      let missed = (news[owners.first!.number] ?? []).first { news in
        let interval = log.calls[news.call].interval
        return socket.connected! < interval.invoked
          && hears(socket, after: interval.answeredAt)
          && !told.contains { $0.position > interval.invoked && $0.thing == news.thing && $0.value == news.value }
      }
      guard let missed else { continue }
      missing.append([
        "\(VirtualTime.text(socket.connectedAt)) \(socket.person) opens a socket", log.say(missed.call),
        "and the socket was not told: \(missed.thing), \(missed.value)",
      ])
    }
  }

  /// The users whom a request concerns, with what they are told. A request to add a contact may
  /// change nothing, and then nobody is told.
  private static func news(
    of call: LoggedCall, by user: Int64, _ identities: Identities
  ) -> [(reader: Int64, thing: String, value: String)] {
    switch call.name {
    case "POST /changeContact":
      guard let other = call.answer["contact"]?["user_id"]?.int, let status = call.answer["contact"]?["status"]?.string
      else { return [] }
      return [(user, "contact \(other)", status), (other, "contact \(user)", status)]
    case "POST /createGroup", "POST /addGroupMember", "POST /removeGroupMember":
      guard let (thing, value) = group(call.answer) else { return [] }
      let members = (call.answer["members"]?.array ?? []).compactMap { $0.string }
      var news = members.compactMap { name in
        identities.number(of: name.lowercased()).map { (reader: $0, thing: thing, value: value) }
      }
      // Whoever has left is told of a group without members.
      if let name = call.arguments["member"]?.string?.lowercased(), call.name == "POST /removeGroupMember",
        let leaver = identities.number(of: name), !members.contains(where: { $0.lowercased() == name })
      {
        news.append((leaver, thing, ""))
      }
      return news
    default: return []
    }
  }

  // MARK: Errors

  private mutating func judgeErrors() {
    var owed: [Int: [Int]] = [:]
    for (index, call) in log.calls.enumerated() where call.isSilent && call.isMalformed {
      guard case .socket(let number) = call.way else { continue }
      let (socket, time) = (log.sockets[number], call.interval.invokedAt)
      guard let connected = socket.connected, connected < call.interval.invoked, hears(socket, after: time)
      else { continue }
      owed[number, default: []].append(index)
    }
    for number in owed.keys.sorted() {
      let calls = owed[number]!
      let errors = log.sockets[number].events.filter { $0.name == "error" }.map(\.position)
      for (place, call) in calls.enumerated() {
        let position = log.calls[call].interval.invoked
        guard errors.count(where: { $0 > position }) < calls.count - place else { continue }
        missing.append([log.say(call), "and no error came"])
        break
      }
    }
  }
}
