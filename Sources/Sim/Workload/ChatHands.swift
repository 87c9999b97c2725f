import Environment
import System

/// A person's hands at the REST interface of the Chat Service.
final class ChatHands: @unchecked Sendable {
  private let person: Chatter
  private let environment: Environment
  private let client: HTTPClient
  private var session = ""
  /// Requests so far that nobody answered, or with an error that says nothing of what was done.
  private var unanswered = 0
  private static let password = "correct horse"

  init(_ person: Chatter, _ environment: Environment) {
    self.person = person
    self.environment = environment
    client = HTTPClient(environment, address: Scenario.chatAddress)
  }

  // MARK: Asking

  /// One request; nil when no answer came.
  private func once(
    _ method: String, _ path: String, _ body: [JSONValue.Member], at other: HTTPClient? = nil, token: String? = nil
  ) async throws -> (Int, JSONValue)? {
    let history = person.history
    let index = history.calls.count
    history.calls.append(ServiceCall(person: person.name, what: "\(method) \(path)", interval: history.begin()))
    person.tally.count(.requests)
    defer { history.end(&history.calls[index].interval) }
    do {
      let target = method == "GET" ? path + "?" + Self.query(body) : path
      let response = try await (other ?? client).send(
        method, target, fields: token.map { [("authorization", "Bearer " + $0)] } ?? [],
        json: method == "GET" ? nil : .object(body), timeout: person.behavior.patience)
      history.calls[index].status = response.status
      person.lastSeen = "\(method) \(path): \(response.status)"
      if response.status == 503 { person.tally.count(.unavailable) }
      if response.status < 300 { person.tally.count(.successes) }
      return (response.status, (try? JSONParser.parse(response.body)) ?? .null)
    } catch is NetworkError {
      person.tally.count(.unanswered)
      return nil
    } catch is HTTPError {
      return nil
    }
  }

  private static func query(_ body: [JSONValue.Member]) -> String {
    body.map { member in
      let text = member.value.string ?? member.value.text
      return "\(member.name)=\(PercentEncoding.encode(text))"
    }.joined(separator: "&")
  }

  /// Asks once; nil when there is no answer that says anything.
  private func attempt(
    _ method: String, _ path: String, _ body: [JSONValue.Member], at other: HTTPClient? = nil, token: String? = nil
  ) async throws -> (Int, JSONValue)? {
    guard let answer = try await once(method, path, body, at: other, token: token), answer.0 < 500, answer.0 != 408,
      answer.0 != 429
    else { return nil }
    return answer
  }

  /// Asks until there is an answer that says something.
  private func answer(_ method: String, _ path: String, _ body: [JSONValue.Member]) async throws -> (Int, JSONValue) {
    while true {
      if let answer = try await attempt(method, path, body) { return answer }
      unanswered += 1
      try await environment.clock.sleep(for: person.stream.exponential(mean: .milliseconds(500)))
    }
  }

  /// Asks in the name of the person, with a new session when the old one is gone.
  private func asMyself(_ method: String, _ path: String, _ more: [JSONValue.Member]) async throws -> (Int, JSONValue) {
    while true {
      let found = try await answer(method, path, [.init("sessionID", .string(session))] + more)
      if found.0 != 401 { return found }
      session = try await login()
    }
  }

  private func credentials() -> [JSONValue.Member] {
    [.init("username", .string(person.name)), .init("password", .string(Self.password))]
  }

  // MARK: Coming in

  func register() async throws {
    // 400: an attempt without an answer did it.
    _ = try await answer("POST", "/register", credentials())
    session = try await login()
  }

  /// A new session, however long it takes.
  func login() async throws -> String {
    while true {
      if let session = try await tryToLogin() { return session }
      try await environment.clock.sleep(for: person.stream.exponential(mean: .milliseconds(500)))
    }
  }

  /// A new session; nil when there is none to be had now.
  func tryToLogin() async throws -> String? {
    guard let (status, body) = try await attempt("POST", "/login", credentials()), status == 200,
      let session = body["sessionID"]?.string, let user = body["user_id"]?.int
    else { return nil }
    person.user = user
    person.history.note(user, of: person.name)
    person.commons.users[person.name] = user
    return session
  }

  /// Ends a session. Without an answer it may go on.
  func logout(_ session: String) async throws {
    if try await attempt("POST", "/logout", [.init("sessionID", .string(session))])?.0 == 200 { ended(session) }
  }

  /// Ends a session at the User Service, from where the Chat Service has to hear of it. Without an answer it may go on.
  func deleteSession(_ session: String) async throws {
    let users = HTTPClient(environment, address: Scenario.usersAddress)
    defer { users.close() }
    let account: [JSONValue.Member] = [
      .init("user", .string(person.name)), .init("password", .string(Self.password)),
    ]
    guard let token = try await attempt("POST", "/login", account, at: users)?.1["access_token"]?.string else { return }
    let body: [JSONValue.Member] = [.init("session_id", .string(session))]
    if try await attempt("DELETE", "/delete-session", body, at: users, token: token)?.0 == 200 { ended(session) }
  }

  /// Deletes the account at the User Service, however long it takes, and registers its name again: that is another account.
  /// All that were on `sessions` or on the hands' own session are then told.
  func replaceAccount(_ sessions: [String]) async throws {
    while try await !deleteAccount() {
      try await environment.clock.sleep(for: person.stream.exponential(mean: .milliseconds(500)))
    }
    person.tally.count(.deletedUsers)
    for session in sessions + [session] { ended(session) }
    try await register()
  }

  /// Whether the account is deleted.
  private func deleteAccount() async throws -> Bool {
    let users = HTTPClient(environment, address: Scenario.usersAddress)
    defer { users.close() }
    let account: [JSONValue.Member] = [
      .init("user", .string(person.name)), .init("password", .string(Self.password)),
    ]
    guard let (status, body) = try await attempt("POST", "/login", account, at: users) else { return false }
    // An attempt without an answer did it: nobody else has the name.
    if status == 401 { return true }
    guard let token = body["access_token"]?.string else { return false }
    return try await attempt("DELETE", "/delete-user", [], at: users, token: token)?.0 == 200
  }

  private func ended(_ session: String) {
    person.tally.count(.logouts)
    person.history.endedSessions[session] = person.history.time
    person.commons.notice(within: person.behavior.ending, from: person.history.time)
  }

  // MARK: Contacts and groups

  func befriend(_ peers: [String]) async throws {
    for peer in peers {
      while true {
        let (status, body) = try await asMyself("POST", "/addContact", [.init("contact", .string(peer))])
        if status == 200 || status == 400 {
          // An answer may tell of an account that the peer has deleted meanwhile.
          if let id = body["contact"]?["user_id"]?.int, person.commons.users[peer] == nil {
            person.commons.users[peer] = id
          }
          break
        }
        // Not yet there.
        try await environment.clock.sleep(for: .milliseconds(200))
      }
    }
  }

  /// Blocks somebody for a while, then makes friends again.
  func block(_ peer: String) async throws {
    guard let other = person.commons.users[peer] else { return }
    guard try await setContact(peer, other, "blocked") else { return }
    person.tally.count(.blocks)
    try await environment.clock.sleep(for: person.stream.exponential(mean: .seconds(1)))
    _ = try await setContact(peer, other, "new")
    _ = try await setContact(peer, other, "friend")
  }

  private func setContact(_ peer: String, _ other: Int64, _ status: String) async throws -> Bool {
    try await change(
      .contact(.between(person.user, other), isBlocked: status == "blocked"), "/changeContact",
      [.init("contact", .string(peer)), .init("status", .string(status))])
  }

  /// Changes something until there is an answer, and writes down when; whether it was done.
  private func change(_ kind: Change.Kind, _ path: String, _ body: [JSONValue.Member]) async throws -> Bool {
    let history = person.history
    let (index, before) = (history.changes.count, unanswered)
    history.changes.append(Change(kind: kind, interval: history.begin()))
    let (status, _) = try await asMyself("POST", path, body)
    history.end(&history.changes[index].interval)
    // A refusal after an attempt without an answer may mean that that one was done.
    history.changes[index].succeeded = status == 200 ? true : nil
    history.changes[index].mayComeAgain = unanswered > before
    return status == 200
  }

  func createGroup(_ peers: [String]) async throws {
    // All but one when there are few, so that somebody is outside.
    let members = Array(peers.prefix(max(1, peers.count - 1)))
    let history = person.history
    let begun = history.begin()
    let (status, body) = try await asMyself(
      "POST", "/createGroup",
      [.init("name", .string("\(person.name)'s")), .init("members", .array(members.map { .string($0) }))])
    guard status == 200, let id = body["group_id"]?.int else { return }
    for name in [person.name] + members {
      guard let user = person.commons.users[name] else { continue }
      var change = Change(kind: .member(group: id, user: user, isAdded: true), interval: begun, succeeded: true)
      history.end(&change.interval)
      history.changes.append(change)
    }
    person.commons.groups.append((id, person.name))
  }

  /// Adds or removes a member; whether that was done.
  func changeMember(_ peer: String, of group: Int64, isAdded: Bool) async throws -> Bool {
    guard let other = person.commons.users[peer] else { return false }
    let isDone = try await change(
      .member(group: group, user: other, isAdded: isAdded), isAdded ? "/addGroupMember" : "/removeGroupMember",
      [.init("group_id", .int(group)), .init("member", .string(peer))])
    if isDone { person.tally.count(.memberChanges) }
    return isDone
  }

  // MARK: Looking

  /// Reads some of a conversation, as an application does when it opens a window.
  func look(at peer: String) async throws {
    let (status, body) = try await asMyself(
      "GET", "/getContactMessages", [.init("contact", .string(peer)), .init("limit", 20)])
    guard status == 200, let other = person.commons.users[peer] else { return }
    person.tally.count(.readings)
    let facts = (body.array ?? []).compactMap { MessageFact($0) }
    person.history.readings.append(
      Reading(
        person: person.name, user: person.user, conversation: .between(person.user, other), facts: facts, isWhole: false
      ))
  }

  /// Reads every conversation from its beginning, and who is there.
  func readEverything(_ peers: [String]) async throws {
    for peer in peers {
      guard let other = person.commons.users[peer] else { continue }
      try await read("/getContactMessages", [.init("contact", .string(peer))], .between(person.user, other))
    }
    for group in person.commons.groups.map(\.id) + person.commons.abandoned {
      try await read("/getGroupMessages", [.init("group_id", .int(group))], .group(group))
    }
    let (status, body) = try await asMyself("GET", "/getContacts", [])
    guard status == 200 else { return }
    for contact in body.array ?? [] {
      person.history.lastContacts.append((person.name, contact["user_id"]?.int ?? 0))
      guard contact["status"] == "friend" else { continue }
      person.history.presence.append(
        FinalPresence(
          person: person.name, other: contact["user_id"]?.int ?? 0, isOnline: contact["is_online"] == true))
    }
  }

  private func read(_ path: String, _ which: [JSONValue.Member], _ conversation: Conversation) async throws {
    var facts: [MessageFact] = []
    while true {
      let after = facts.last?.sequence ?? 0
      let (status, body) = try await asMyself(
        "GET", path, which + [.init("after", .int(after)), .init("limit", 100)])
      guard status == 200, let page = body.array else { return }
      facts += page.compactMap { MessageFact($0) }
      if page.count < 100 { break }
    }
    person.history.readings.append(
      Reading(person: person.name, user: person.user, conversation: conversation, facts: facts, isWhole: true))
  }
}
