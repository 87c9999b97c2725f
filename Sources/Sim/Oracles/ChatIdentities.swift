import System

/// Who is who at the Chat Service, as the calls of a run show it: the owners of sessions, the user
/// ids of names, and the accounts that may be deleted.
struct ChatIdentities {
  struct User {
    let number: Int64
    /// The username in lower case.
    let name: String
  }

  private(set) var sessions: [String: User] = [:]
  /// The user ids that each name has had.
  private(set) var numbers: [String: [Int64]] = [:]
  /// The position from which on each name certainly has an account, unless it is deleted.
  private(set) var existing: [String: Int] = [:]
  /// The requests that may have deleted the account of a name, by their index in the log.
  private(set) var deletions: [(name: String, call: Int)] = []
  private(set) var deletedNames: Set<String> = []
  /// The names of the accounts of access and refresh tokens.
  private var tokens: [String: String] = [:]

  init(_ log: CallLog) {
    for (index, call) in log.calls.enumerated() {
      guard case .http(let node) = call.way else { continue }
      switch (node, call.name) {
      case (Scenario.chatNode, "POST /login"), (Scenario.chatNode, "GET /login"), (Scenario.chatNode, "POST /register"):
        note(call)
      case (Scenario.chatNode, "POST /addContact"), (Scenario.chatNode, "POST /changeContact"):
        if call.status == 200, let contact = call.answer["contact"], let name = contact["username"]?.string {
          note(contact["user_id"]?.int, of: name.lowercased())
        }
      case (Scenario.usersNode, _): noteAtUserService(call, index)
      default: break
      }
    }
  }

  private mutating func note(_ call: LoggedCall) {
    guard call.status == 200, let name = call.arguments["username"]?.string?.lowercased(),
      let number = call.answer["user_id"]?.int
    else { return }
    note(number, of: name)
    exists(name, from: call.interval.answered)
    if let session = call.answer["sessionID"]?.string { sessions[session] = User(number: number, name: name) }
  }

  private mutating func noteAtUserService(_ call: LoggedCall, _ index: Int) {
    switch call.name {
    case "POST /register":
      guard call.status == 201, let name = call.arguments["username"]?.string else { return }
      exists(name.lowercased(), from: call.interval.answered)
    case "POST /login":
      guard call.status == 200, let name = call.arguments["user"]?.string else { return }
      noteTokens(call.answer, of: name.lowercased())
    case "POST /refresh":
      guard call.status == 200, let token = call.arguments["refresh_token"]?.string, let name = tokens[token] else {
        return
      }
      noteTokens(call.answer, of: name)
    case "DELETE /delete-user":
      guard let token = call.token, let name = tokens[token] else { return }
      deletions.append((name, index))
      deletedNames.insert(name)
    default: break
    }
  }

  private mutating func noteTokens(_ answer: JSONValue, of name: String) {
    for field in ["access_token", "refresh_token"] {
      if let token = answer[field]?.string { tokens[token] = name }
    }
  }

  private mutating func note(_ number: Int64?, of name: String) {
    guard let number, numbers[name]?.contains(number) != true else { return }
    numbers[name, default: []].append(number)
  }

  private mutating func exists(_ name: String, from position: Int) {
    existing[name] = min(existing[name] ?? .max, position)
  }

  /// The only user id that a name has had; nil if it is not known or the account may be deleted.
  func number(of name: String) -> Int64? {
    guard !deletedNames.contains(name), let known = numbers[name], known.count == 1 else { return nil }
    return known[0]
  }

  /// Whether a name certainly has an account from a position on.
  func certainlyExists(_ name: String, at position: Int) -> Bool {
    !deletedNames.contains(name) && existing[name] ?? .max < position
  }

  /// The user who makes a call: the owner of the session in it, or of the socket.
  func caller(of call: LoggedCall, in log: CallLog) -> User? {
    switch call.way {
    case .http: return call.arguments["sessionID"]?.string.flatMap { sessions[$0] }
    case .socket(let socket):
      guard let owner = sessions[log.sockets[socket].session] else { return nil }
      guard let named = call.arguments["sessionID"] else { return owner }
      // A session of another user is refused.
      guard let session = named.string, sessions[session]?.number == owner.number else { return nil }
      return owner
    }
  }
}

extension LoggedCall {
  /// Whether the answer says nothing about the state of the service: the caller was not admitted,
  /// was too slow, or was throttled.
  var isTurnedAway: Bool {
    if case .socket = way { return status == 400 && ChatWords.areAboutSession(answer["message"]?.string ?? "") }
    return status == 401 || status == 408 || status == 429
  }

  /// Whether the request may or may not have taken effect.
  var isUnknown: Bool {
    guard let status else { return true }
    if case .socket = way { return status == 400 && ChatWords.areAboutFailure(answer["message"]?.string ?? "") }
    return status >= 500
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
  ]

  static func areAboutSession(_ text: String) -> Bool { session.contains(text) }

  static func areAboutFailure(_ text: String) -> Bool {
    text.hasSuffix("not available") || text.hasSuffix("stopping") || text == "internal error"
  }
}
