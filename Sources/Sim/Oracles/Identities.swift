import System

/// Who is who, as the calls of a run show it: the owners of sessions and tokens, the user ids of
/// names, and the accounts that may be deleted.
struct Identities {
  struct User: Hashable {
    /// The user id at the Chat Service; negative if nobody has seen it.
    let number: Int64
    /// The username in lower case.
    let name: String
  }

  /// A session that works at the Chat Service.
  struct Session {
    /// The users who may own it. There are several if different users may have opened it, or if the
    /// account of its owner may have been deleted and its name registered again.
    var owners: Set<User> = []
    /// The position from which on it certainly exists, until it is ended.
    var begun = Int.max
    /// The requests that may have opened it.
    var openings = 0
  }

  private(set) var sessions: [String: Session] = [:]
  /// The user ids that each name has had.
  private(set) var numbers: [String: [Int64]] = [:]
  private var seen: Set<Int64> = []
  /// The position from which on each name certainly has an account, unless it is deleted.
  private(set) var existing: [String: Int] = [:]
  /// The requests that may have deleted the account of a name, by their index in the log.
  private(set) var deletions: [(name: String, call: Int)] = []
  private(set) var deletedNames: Set<String> = []
  /// The requests by which an operator may have changed an account: its password, its sessions, or
  /// whether it can log in, with its name, which is nil if nobody knows it.
  private(set) var operations: [(name: String?, call: Int)] = []
  /// The names that may have been registered with each email, both in lower case.
  private(set) var emails: [String: Set<String>] = [:]
  /// All names that somebody may have registered, in lower case.
  private var names: Set<String> = []
  /// The names of the accounts that access and refresh tokens may belong to.
  private var tokens: [String: Set<String>] = [:]
  private var strangers: [String: Int64] = [:]
  /// The names of accounts by their ids at the User Service, as operators have seen them.
  private var accountNames: [String: String] = [:]

  init(_ log: CallLog) {
    for call in log.calls where call.status == 200 { learn(call.answer) }
    for socket in log.sockets { for event in socket.events { learn(event.data) } }
    for call in log.calls where call.name == "POST /register" && (call.status == 201 || call.isUnknown) {
      noteName(call.arguments)
    }
    for (index, call) in log.calls.enumerated() where !call.isMalformed {
      switch call.way {
      case .http(Scenario.chatNode): noteAtChatService(call, index)
      case .http(Scenario.usersNode): noteAtUserService(call, index)
      case .http, .socket: continue
      }
    }
    // The owner of a token is known only when all names are.
    for call in log.calls where !call.isMalformed {
      if case .http(Scenario.usersNode) = call.way { noteOpening(call) }
    }
    for call in log.calls where call.way == .http(Scenario.usersNode) && call.name == "GET /get-sessions" {
      noteList(call)
    }
  }

  // MARK: User ids and emails

  /// Learns the user ids and emails in an answer or an event.
  private mutating func learn(_ value: JSONValue) {
    switch value {
    case .array(let elements): for element in elements { learn(element) }
    case .object(let members):
      for member in members { learn(member.value) }
      noteName(value)
      for (id, name) in [("user_id", "username"), ("sender_id", "sender_username")] {
        guard let number = value[id]?.int, !seen.contains(number), let name = value[name]?.string else { continue }
        seen.insert(number)
        numbers[name.lowercased(), default: []].append(number)
      }
    default: return
    }
  }

  private mutating func noteName(_ value: JSONValue) {
    guard let name = value["username"]?.string?.lowercased() else { return }
    names.insert(name)
    if let email = value["email"]?.string?.lowercased() { emails[email, default: []].insert(name) }
  }

  /// The names that a login with a username or an email may be of. An email that nobody has seen
  /// may be of any.
  private func names(of user: String) -> Set<String> {
    user.contains("@") ? emails[user] ?? names : [user]
  }

  /// The only user id that a name has had; nil if it is not known or the account may be deleted.
  func number(of name: String) -> Int64? {
    guard !deletedNames.contains(name), let known = numbers[name], known.count == 1 else { return nil }
    return known[0]
  }

  /// The user ids that a name may stand for. One that nobody has seen is negative.
  mutating func allNumbers(of name: String) -> [Int64] {
    if let known = numbers[name] { return known }
    let number = strangers[name] ?? -Int64(strangers.count + 1)
    strangers[name] = number
    return [number]
  }

  // MARK: Accounts

  private mutating func exists(_ name: JSONValue?, from position: Int) {
    guard let name = name?.string?.lowercased() else { return }
    existing[name] = min(existing[name] ?? .max, position)
  }

  /// Whether a name certainly has an account from a position on.
  func certainlyExists(_ name: String, at position: Int) -> Bool {
    !deletedNames.contains(name) && !mayBeOperated([name]) && existing[name] ?? .max < position
  }

  /// Whether an operator may have changed an account with one of these names.
  func mayBeOperated(_ names: Set<String>) -> Bool {
    operations.contains { operation in operation.name.map(names.contains) ?? true }
  }

  private mutating func noteAtChatService(_ call: LoggedCall, _ index: Int) {
    if call.mayErase { noteErasure(call.arguments["user_id"], index) }
    guard call.status == 200 else { return }
    switch call.name {
    case "POST /register": exists(call.answer["username"], from: call.interval.answered)
    case "POST /login", "GET /login":
      exists(call.answer["username"], from: call.interval.answered)
      guard let session = call.answer["sessionID"]?.string, let number = call.answer["user_id"]?.int,
        let name = call.answer["username"]?.string?.lowercased()
      else { return }
      open(session, [User(number: number, name: name)], call)
    default: return
    }
  }

  private mutating func noteAtUserService(_ call: LoggedCall, _ index: Int) {
    if let id = call.answer["user_id"]?.string, let name = call.answer["username"]?.string?.lowercased() {
      accountNames[id] = name
    }
    if call.mayOperate { operations.append((call.answer["username"]?.string?.lowercased(), index)) }
    if call.mayErase { noteErasure(call.arguments["user"], index) }
    switch call.name {
    case "POST /register":
      if call.status == 201 { exists(call.arguments["username"], from: call.interval.answered) }
    case "POST /services/register":
      if call.status == 201 { exists(call.answer["username"], from: call.interval.answered) }
    case "POST /login":
      guard call.status == 200, let user = call.arguments["user"]?.string?.lowercased() else { return }
      noteTokens(call.answer, of: names(of: user))
    case "POST /refresh":
      guard call.status == 200, let token = call.arguments["refresh_token"]?.string, let names = tokens[token] else {
        return
      }
      noteTokens(call.answer, of: names)
    case "DELETE /delete-user":
      guard !call.isTurnedAway, call.status != 400, let token = call.token, let names = tokens[token] else { return }
      for name in names.sorted() { deletions.append((name, index)) }
      deletedNames.formUnion(names)
    default: return
    }
  }

  /// Notes an erasure of an account by an operator, or of any account if nobody knows its name.
  private mutating func noteErasure(_ account: JSONValue?, _ index: Int) {
    let name = account?.string.flatMap { accountNames[$0] }
    for name in name.map({ [$0] }) ?? numbers.keys.sorted() {
      deletions.append((name, index))
      deletedNames.insert(name)
    }
  }

  private mutating func noteTokens(_ answer: JSONValue, of names: Set<String>) {
    for field in ["access_token", "refresh_token"] {
      if let token = answer[field]?.string { tokens[token] = names }
    }
  }

  // MARK: Sessions

  /// Notes a session whose id the client has chosen.
  private mutating func noteOpening(_ call: LoggedCall) {
    guard call.status == 200 || call.isUnknown, let session = call.arguments["session_id"]?.string else { return }
    switch call.name {
    case "POST /add-session":
      guard let token = call.token, let names = tokens[token] else { return }
      open(session, of: names, call)
    case "POST /services/login":
      guard let user = (call.answer["username"] ?? call.arguments["user"])?.string?.lowercased() else { return }
      open(session, of: names(of: user), call)
    default: return
    }
  }

  /// Notes the sessions in a list, and that they are the caller's. Where the answer to a login was
  /// lost, its session is first seen here.
  private mutating func noteList(_ call: LoggedCall) {
    guard call.status == 200, let token = call.token, let names = tokens[token] else { return }
    for entry in call.answer["sessions"]?.array ?? [] {
      guard let session = entry["session_id"]?.string else { continue }
      if sessions[session] == nil {
        open(session, of: names, call)
      } else {
        sessions[session]!.owners.formUnion(users(of: names))
        sessions[session]!.begun = min(sessions[session]!.begun, call.interval.answered)
      }
    }
  }

  /// The users who have had one of these names.
  private mutating func users(of names: Set<String>) -> Set<User> {
    Set(names.sorted().flatMap { name in allNumbers(of: name).map { User(number: $0, name: name) } })
  }

  private mutating func open(_ session: String, of names: Set<String>, _ call: LoggedCall) {
    open(session, users(of: names), call)
  }

  private mutating func open(_ session: String, _ owners: Set<User>, _ call: LoggedCall) {
    var known = sessions[session] ?? Session()
    known.owners.formUnion(owners)
    if call.status == 200 { known.begun = min(known.begun, call.interval.answered) }
    known.openings += 1
    sessions[session] = known
  }

  /// The users who may make a call: the owners of the session in it, or of the socket.
  func callers(of call: LoggedCall, in log: CallLog) -> Set<User> {
    func owners(_ session: JSONValue?) -> Set<User> { session?.string.flatMap { sessions[$0]?.owners } ?? [] }
    switch call.way {
    case .http: return owners(call.arguments["sessionID"])
    case .socket(let socket):
      let own = sessions[log.sockets[socket].session]?.owners ?? []
      // A session of another user is refused.
      return call.arguments["sessionID"] == nil ? own : own.intersection(owners(call.arguments["sessionID"]))
    }
  }

  /// The user who makes a call; nil if there is none, or more than one may have made it.
  func caller(of call: LoggedCall, in log: CallLog) -> User? {
    let callers = callers(of: call, in: log)
    return callers.count == 1 ? callers.first : nil
  }
}

extension LoggedCall {
  /// Whether the answer says nothing about the state of the service: the caller was not admitted,
  /// was too slow, or was throttled.
  var isTurnedAway: Bool {
    if case .socket = way { return status == 400 && ChatWords.areAboutSession(answer["message"]?.string ?? "") }
    return status == 401 || status == 408 || status == 429
  }

  /// Whether it is a request by which an operator may have changed an account.
  var mayOperate: Bool {
    name.hasPrefix("POST /operator/users/") && arguments["dry_run"] != true && (status == 200 || isUnknown)
  }

  /// Whether it is a request of an operator that may have removed an account for good.
  var mayErase: Bool { name == "POST /operator/users/erase" && mayOperate }

  /// Whether the request may or may not have taken effect.
  var isUnknown: Bool {
    guard let status else { return true }
    if case .socket = way { return status == 400 && ChatWords.areAboutFailure(answer["message"]?.string ?? "") }
    return status >= 500
  }

  /// The status of an answer; nil without one. On a socket the text of a refusal stands for 404.
  var refusal: Int? {
    if case .socket = way, answer["message"]?.string?.hasSuffix("no such user") == true { return 404 }
    return status
  }

  /// The position of the answer, or `Int.max` if the request may take effect later.
  var answered: Int { isUnknown ? .max : interval.answered }

  /// The outcome for the model. `read` takes its value from the answer.
  func outcome<Value: Hashable & Sendable>(_ read: (JSONValue) -> Value?) -> Outcome<Value> {
    if isUnknown { return .unknown }
    if status == 200 { return read(answer).map { .done($0) } ?? .refused(200) }
    return .refused(status!)
  }
}

/// The texts of refusals on a socket, which has no statuses.
enum ChatWords {
  private static let session = [
    "no such session", "the account is deleted", "the socket is closed", "sessionID: belongs to another user",
    "a session id this short needs its owner's access token",
  ]

  static func areAboutSession(_ text: String) -> Bool { session.contains(text) }

  static func areAboutFailure(_ text: String) -> Bool {
    text.hasSuffix("not available") || text.hasSuffix("stopping") || text == "internal error"
  }
}
