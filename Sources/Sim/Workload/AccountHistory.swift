import System

/// The claims of a token, read without its key.
struct TokenFacts: Hashable, Sendable {
  let raw: String
  let subject: String
  let family: String
  let id: String
  let expires: Int64
  /// The account of the token: its username in lower case.
  let account: String

  init?(_ raw: String, account: String) {
    let parts = raw.utf8.split(separator: UInt8(ascii: "."))
    guard parts.count == 3, let payload = Base64URL.decode(parts[1]), let claims = try? JSONParser.parse(payload),
      let subject = claims["sub"]?.string, let id = claims["jti"]?.string, let expires = claims["exp"]?.int
    else { return nil }
    self.raw = raw
    self.subject = subject
    self.id = id
    self.expires = expires
    self.account = account
    family = String(id.prefix { $0 != "." })
  }
}

/// A request to the User Service.
enum Request: Sendable {
  case register(email: String, username: String, password: String)
  case login(user: String, password: String, account: String)
  case refresh(TokenFacts)
  case addSession(String, TokenFacts)
  case getSessions(TokenFacts)
  case deleteSession(String, TokenFacts)
  case deleteUser(TokenFacts)
  case operate(OperatorRequest)

  /// The access or refresh token in the request.
  var token: TokenFacts? {
    switch self {
    case .register, .login, .operate: nil
    case .refresh(let token), .addSession(_, let token), .getSessions(let token), .deleteSession(_, let token),
      .deleteUser(let token):
      token
    }
  }
}

/// A request of an operator.
struct OperatorRequest: Sendable {
  /// What is done, or with `isTrial` only tried.
  let action: OperatorAction
  var isTrial = false
  /// The user id, and the username in lower case.
  let subject: String
  let account: String
  /// The new password, if one is set.
  var password: String?
  /// The token that operators show.
  let token: String

  /// Whether it ends the sessions and tokens of the account.
  var revokes: Bool { !isTrial && action != .enable }
}

/// The answer to a request, as its user saw it.
enum Answer: Sendable {
  /// No answer came. The request may or may not have taken effect.
  case none
  case status(Int)
  case tokens(access: TokenFacts, refresh: TokenFacts)
  case sessions([String])

  var status: Int? {
    switch self {
    case .none: nil
    case .status(let status): status
    case .tokens, .sessions: 200
    }
  }

  /// Whether the request may or may not have taken effect: no answer came, or a 5xx.
  var isUnknown: Bool { status.map { $0 >= 500 } ?? true }
  /// Whether the service turned the request away unread: it arrived too slowly, or after too many
  /// wrong guesses. It had no effect and shows nothing of the service's state.
  var isTurnedAway: Bool { status == 408 || status == 429 }
  /// Whether the request took effect.
  var isSuccess: Bool { status.map { (200..<300).contains($0) } ?? false }
}

/// A request and its answer, as the user saw them.
struct Operation: Sendable {
  let id: Int
  let person: String
  let request: Request
  /// The positions of the request and the answer in the order of all requests and answers.
  let invoked: Int
  var answered = Int.max
  /// The same in virtual nanoseconds.
  let invokedAt: Int64
  var answeredAt = Int64.max
  /// The service's wall clock at the request and at the answer, in seconds.
  let wallAtInvocation: Int64
  var wallAtAnswer = Int64.max
  var answer = Answer.none
}

extension Operation: CustomStringConvertible {
  var description: String {
    let what =
      switch request {
      case .register(let email, let username, _): "register \(username) <\(email)>"
      case .login(let user, let password, _): "login \(user) with \(password)"
      case .refresh(let token): "refresh \(token.account)'s \(token.id.suffix(6)) of login \(token.family.prefix(6))"
      case .addSession(let session, let token): "add-session \(session) as \(token.account)/\(token.subject.prefix(6))"
      case .getSessions(let token): "get-sessions as \(token.account)/\(token.subject.prefix(6))"
      case .deleteSession(let session, let token):
        "delete-session \(session) as \(token.account)/\(token.subject.prefix(6))"
      case .deleteUser(let token): "delete-user as \(token.account)/\(token.subject.prefix(6))"
      case .operate(let operation):
        "\(operation.isTrial ? "try to " : "")\(operation.action.rawValue) \(operation.account)/\(operation.subject.prefix(6))"
          + (operation.password.map { " to \($0)" } ?? "")
      }
    let result =
      switch answer {
      case .none: "no answer"
      case .status(let status): "\(status)"
      case .tokens(let access, _): "200, tokens for \(access.subject.prefix(6)) of login \(access.family.prefix(6))"
      case .sessions(let sessions): "200 [\(sessions.joined(separator: ", "))]"
      }
    let end = answeredAt == .max ? "" : "–\(VirtualTime.text(answeredAt))"
    return "\(VirtualTime.text(invokedAt))\(end) \(person): \(what) → \(result)"
  }
}

/// The requests to the User Service and their answers, in one order.
final class AccountHistory: Timeline {
  private(set) var operations: [Operation] = []
  /// The token that operators show.
  var operatorToken = Scenario.serviceToken
  /// The passwords that operators have set, by account.
  var newPasswords: [String: String] = [:]
  private let wall: () -> Int64

  /// `wall` is the wall clock of the User Service, in seconds.
  init(now: @escaping () -> Int64, wall: @escaping () -> Int64) {
    self.wall = wall
    super.init(now: now)
  }

  /// Notes the beginning of a request. Returns its number.
  func begin(_ person: String, _ request: Request) -> Int {
    operations.append(
      Operation(
        id: operations.count, person: person, request: request, invoked: next(), invokedAt: time,
        wallAtInvocation: wall()))
    return operations.count - 1
  }

  func end(_ id: Int, _ answer: Answer) {
    operations[id].answered = next()
    operations[id].answeredAt = time
    operations[id].wallAtAnswer = wall()
    operations[id].answer = answer
  }

  /// The users that have logged in, each once, by its first token.
  var subjects: [TokenFacts] {
    var known: Set<String> = []
    return operations.compactMap { operation in
      guard case .tokens(let access, _) = operation.answer, known.insert(access.subject).inserted else { return nil }
      return access
    }
  }

  /// The session that another user added last.
  func lastSession(notOf person: String) -> String? {
    for operation in operations.reversed()
    where operation.person != person && operation.person != Scenario.bystander && operation.answer.isSuccess {
      if case .addSession(let session, _) = operation.request { return session }
    }
    return nil
  }
}
