import Environment
import System

/// A user's client of the REST interface of the Chat Service.
final class ChatClient {
  private let account: ChatAccount
  private let environment: Environment
  /// A client of each node of the service.
  private let clients: [HTTPClient]
  private var session = ""
  /// Requests without an answer, or with one that does not say whether they took effect.
  private var unanswered = 0
  private static let password = "correct horse"

  private var user: UserState { account.user }
  private var history: ChatHistory { account.history }
  private var directory: ChatDirectory { account.directory }

  init(_ account: ChatAccount, _ environment: Environment) {
    self.account = account
    self.environment = environment
    clients = account.user.behavior.chatNodes.map {
      HTTPClient(environment, address: SocketAddress(host: $0, port: Scenario.chatAddress.port))
    }
  }

  /// Closes the connections.
  func close() { for client in clients { client.close() } }

  // MARK: Requests

  /// Sends a request once; nil if no answer comes.
  private func once(
    _ method: String, _ path: String, _ body: [JSONValue.Member], at other: HTTPClient? = nil, token: String? = nil
  ) async throws -> (Int, JSONValue)? {
    let index = history.calls.count
    history.calls.append(ServiceCall(person: user.name, what: "\(method) \(path)", interval: history.begin()))
    user.tally.count(.requests)
    let call = user.log.begin(
      user.name, at: other == nil ? Scenario.chatNode : Scenario.usersNode, "\(method) \(path)", .object(body),
      token: token)
    defer { history.end(&history.calls[index].interval) }
    do {
      let target = method == "GET" ? path + "?" + Self.query(body) : path
      // As a load balancer would pick a node.
      let client = other ?? (clients.count == 1 ? clients[0] : user.circumstances.pick(clients))
      let response = try await client.send(
        method, target, fields: token.map { [("authorization", "Bearer " + $0)] } ?? [],
        json: method == "GET" ? nil : .object(body), timeout: user.behavior.patience)
      user.log.end(call, response)
      history.calls[index].status = response.status
      user.lastSeen = "\(method) \(path): \(response.status)"
      if response.status == 503 { user.tally.count(.unavailable) }
      if response.status < 300 { user.tally.count(.successes) }
      return (response.status, user.log.calls[call].answer)
    } catch is NetworkError {
      user.tally.count(.unanswered)
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

  /// Sends a request once; nil unless the answer says whether it took effect.
  private func attempt(
    _ method: String, _ path: String, _ body: [JSONValue.Member], at other: HTTPClient? = nil, token: String? = nil
  ) async throws -> (Int, JSONValue)? {
    guard let answer = try await once(method, path, body, at: other, token: token), answer.0 < 500, answer.0 != 408,
      answer.0 != 429
    else { return nil }
    return answer
  }

  /// Sends a request until the answer says whether it took effect.
  private func answer(_ method: String, _ path: String, _ body: [JSONValue.Member]) async throws -> (Int, JSONValue) {
    while true {
      if let answer = try await attempt(method, path, body) { return answer }
      unanswered += 1
      try await user.pause(mean: .milliseconds(500), environment)
    }
  }

  /// Sends a request with the user's session, and with a new one when the session has ended.
  private func authenticated(
    _ method: String, _ path: String, _ more: [JSONValue.Member]
  ) async throws -> (Int, JSONValue) {
    while true {
      let found = try await answer(method, path, [.init("sessionID", .string(session))] + more)
      if found.0 != 401 { return found }
      session = try await login()
    }
  }

  private var credentials: [JSONValue.Member] {
    [.init("username", .string(user.name)), .init("password", .string(Self.password))]
  }

  // MARK: Accounts and sessions

  func register() async throws {
    // 400: an attempt without an answer has registered the name.
    _ = try await answer("POST", "/register", credentials)
    session = try await login()
  }

  /// Opens a session, however long that takes.
  func login() async throws -> String {
    while true {
      if let session = try await tryToLogin() { return session }
      try await user.pause(mean: .milliseconds(500), environment)
    }
  }

  /// Opens a session; nil if the service does not open one now.
  func tryToLogin() async throws -> String? {
    guard let (status, body) = try await attempt("POST", "/login", credentials), status == 200,
      let session = body["sessionID"]?.string, let id = body["user_id"]?.int
    else { return nil }
    account.loggedIn(as: id)
    return session
  }

  /// Ends a session. Without an answer the session may go on.
  func logout(_ session: String) async throws {
    if try await attempt("POST", "/logout", [.init("sessionID", .string(session))])?.0 == 200 { noteEnd(of: session) }
  }

  /// Ends a session at the User Service, which has to tell the Chat Service. Without an answer the
  /// session may go on.
  func deleteSession(_ session: String) async throws {
    let users = HTTPClient(environment, address: user.usersAddress)
    defer { users.close() }
    guard let token = try await tokens(users)?.1["access_token"]?.string else { return }
    let body: [JSONValue.Member] = [.init("session_id", .string(session))]
    if try await attempt("DELETE", "/delete-session", body, at: users, token: token)?.0 == 200 { noteEnd(of: session) }
  }

  /// Deletes the account at the User Service, or lets an operator erase it, however long that
  /// takes, and registers its name again for a new account. That ends `sessions` and the client's
  /// own session.
  func replaceAccount(_ sessions: [String], byOperator: Bool) async throws {
    while try await !(byOperator ? eraseAccount() : deleteAccount()) {
      try await user.pause(mean: .milliseconds(500), environment)
    }
    user.tally.count(.deletedUsers)
    if byOperator { user.tally.count(.erasedUsers) }
    for session in sessions + [session] { noteEnd(of: session) }
    try await register()
  }

  /// Deletes the account once; true if it is deleted.
  private func deleteAccount() async throws -> Bool {
    let users = HTTPClient(environment, address: user.usersAddress)
    defer { users.close() }
    guard let (status, body) = try await tokens(users) else { return false }
    // 401: an attempt without an answer has deleted it. No other user takes the name.
    if status == 401 { return true }
    guard let token = body["access_token"]?.string else { return false }
    return try await attempt("DELETE", "/delete-user", [], at: users, token: token)?.0 == 200
  }

  /// Erases the account once, as `parley users erase` does; true if it is gone.
  private func eraseAccount() async throws -> Bool {
    let users = HTTPClient(environment, address: user.usersAddress)
    defer { users.close() }
    var erasure = AccountErasure(of: user.name, at: [.users, .chat], isTrial: false)
    var step = erasure.begin()
    while case .send(let request) = step, case .object(let body) = request.body {
      let server = request.service == .users ? users : nil
      guard let answer = try await attempt("POST", request.path, body, at: server, token: history.operatorToken)
      else { return false }
      // An attempt without an answer has erased it. No other user takes the name.
      if answer.0 == 404 { return true }
      step = erasure.next(after: answer)
    }
    guard case .done = step else { return false }
    return true
  }

  /// Logs in at the User Service.
  private func tokens(_ users: HTTPClient) async throws -> (Int, JSONValue)? {
    let account: [JSONValue.Member] = [
      .init("user", .string(user.name)), .init("password", .string(Self.password)),
    ]
    return try await attempt("POST", "/login", account, at: users)
  }

  private func noteEnd(of session: String) {
    user.tally.count(.logouts)
    history.endedSessions[session] = history.time
    directory.rendezvous.notice(within: user.behavior.ending, from: history.time)
  }

  // MARK: Contacts and groups

  /// Adds others to the contacts, as soon as they exist.
  func befriend(_ peers: [String]) async throws {
    for peer in peers {
      while true {
        let (status, body) = try await authenticated("POST", "/addContact", [.init("contact", .string(peer))])
        if status == 200 || status == 400 {
          // The answer may be about an account that the peer has deleted since.
          if let id = body["contact"]?["user_id"]?.int, directory.users[peer] == nil { directory.users[peer] = id }
          break
        }
        try await environment.clock.sleep(for: .milliseconds(200))
      }
    }
  }

  /// Blocks another user for a while, and then makes friends again.
  func block(_ peer: String) async throws {
    guard let other = directory.users[peer] else { return }
    guard try await setContact(peer, other, "blocked") else { return }
    user.tally.count(.blocks)
    try await user.pause(mean: .seconds(1), environment)
    _ = try await setContact(peer, other, "new")
    _ = try await setContact(peer, other, "friend")
  }

  private func setContact(_ peer: String, _ other: Int64, _ status: String) async throws -> Bool {
    try await change(
      .contact(.between(account.id, other), isBlocked: status == "blocked"), "/changeContact",
      [.init("contact", .string(peer)), .init("status", .string(status))])
  }

  /// Requests a change until there is an answer, and notes it in the history; true if it took
  /// effect.
  private func change(_ kind: Change.Kind, _ path: String, _ body: [JSONValue.Member]) async throws -> Bool {
    let (index, before) = (history.changes.count, unanswered)
    history.changes.append(Change(kind: kind, interval: history.begin()))
    let (status, _) = try await authenticated("POST", path, body)
    history.end(&history.changes[index].interval)
    // A refusal after an attempt without an answer may mean that the attempt took effect.
    history.changes[index].succeeded = status == 200 ? true : nil
    history.changes[index].mayComeAgain = unanswered > before
    return status == 200
  }

  func createGroup(_ peers: [String]) async throws {
    // All but one of few, so that one user is outside.
    let members = Array(peers.prefix(max(1, peers.count - 1)))
    let begun = history.begin()
    let (status, body) = try await authenticated(
      "POST", "/createGroup",
      [.init("name", .string("\(user.name)'s")), .init("members", .array(members.map { .string($0) }))])
    guard status == 200, let id = body["group_id"]?.int else { return }
    for name in [user.name] + members {
      guard let member = directory.users[name] else { continue }
      var change = Change(kind: .member(group: id, user: member, isAdded: true), interval: begun, succeeded: true)
      history.end(&change.interval)
      history.changes.append(change)
    }
    directory.groups.append((id, user.name))
  }

  /// Adds or removes a member; true if that took effect.
  func changeMember(_ peer: String, of group: Int64, isAdded: Bool) async throws -> Bool {
    guard let other = directory.users[peer] else { return false }
    let isDone = try await change(
      .member(group: group, user: other, isAdded: isAdded), isAdded ? "/addGroupMember" : "/removeGroupMember",
      [.init("group_id", .int(group)), .init("member", .string(peer))])
    if isDone { user.tally.count(.memberChanges) }
    return isDone
  }

  // MARK: Reading

  /// Reads the newest messages of a conversation, as an application does when it opens a window.
  func look(at peer: String) async throws {
    let (status, body) = try await authenticated(
      "GET", "/getContactMessages", [.init("contact", .string(peer)), .init("limit", 20)])
    guard status == 200, let other = directory.users[peer] else { return }
    user.tally.count(.readings)
    let facts = (body.array ?? []).compactMap { MessageFact($0) }
    history.readings.append(
      Reading(
        person: user.name, user: account.id, conversation: .between(account.id, other), facts: facts, isWhole: false))
  }

  /// Reads every conversation from its beginning, and the presence of all contacts.
  func readEverything(_ peers: [String]) async throws {
    for peer in peers {
      guard let other = directory.users[peer] else { continue }
      try await read("/getContactMessages", [.init("contact", .string(peer))], .between(account.id, other))
    }
    for group in directory.groups.map(\.id) + directory.abandoned {
      try await read("/getGroupMessages", [.init("group_id", .int(group))], .group(group))
    }
    let (status, body) = try await authenticated("GET", "/getContacts", [])
    guard status == 200 else { return }
    for contact in body.array ?? [] {
      history.lastContacts.append((user.name, contact["user_id"]?.int ?? 0))
      guard contact["status"] == "friend" else { continue }
      history.presence.append(
        FinalPresence(
          person: user.name, other: contact["user_id"]?.int ?? 0, isOnline: contact["is_online"] == true))
    }
  }

  private func read(_ path: String, _ which: [JSONValue.Member], _ conversation: Conversation) async throws {
    var facts: [MessageFact] = []
    while true {
      let after = facts.last?.sequence ?? 0
      let (status, body) = try await authenticated(
        "GET", path, which + [.init("after", .int(after)), .init("limit", 100)])
      guard status == 200, let page = body.array else { return }
      facts += page.compactMap { MessageFact($0) }
      if page.count < 100 { break }
    }
    history.readings.append(
      Reading(person: user.name, user: account.id, conversation: conversation, facts: facts, isWhole: true))
  }
}
