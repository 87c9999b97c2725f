import Environment
import Simulation
import System

/// Somebody who lives in a simulated world, as a run waits for them.
protocol Inhabitant: AnyObject, Sendable {
  var name: String { get }
  /// Whether the last look at everything, after the faults, is done.
  var isServed: Bool { get }
  /// Whether a throttle holds them up in the end: the service promises that as well.
  var isThrottled: Bool { get }
  /// What they saw last, for a run that does not end.
  var lastSeen: String { get }
  func live(_ environment: Environment) async throws
}

extension Inhabitant {
  var isThrottled: Bool { false }
}

/// A simulated user of the User Service: a node of its own, with the real HTTP client.
final class Person: Inhabitant, @unchecked Sendable {
  let name: String
  let behavior: People
  private let stream: ChoiceStream
  private let history: AccountHistory
  private let tally: Tally
  private let service: SocketAddress

  /// The account that the person registered last, or tried to.
  struct Account {
    let email: String
    let username: String
    let password: String
    /// Whether the service said 201. Otherwise the account may be ours or not.
    var isOurs: Bool
    var key: String { username.lowercased() }
  }

  private(set) var account: Account?
  private var access: TokenFacts?
  private var refresh: TokenFacts?
  private var usedRefresh: [TokenFacts] = []
  private var deadTokens: [TokenFacts] = []
  private var sessions: [String] = []
  private var nextName = 0
  private var nextSession = 0
  private var agenda: Agenda<Action>
  private(set) var isServed = false
  private(set) var isThrottled = false
  private var lastOperation: Int?
  var lastSeen: String { lastOperation.map { history.operations[$0].description } ?? "nothing yet" }

  init(
    _ name: String, behavior: People, stream: ChoiceStream, history: AccountHistory, tally: Tally, scenario: Scenario
  ) {
    self.name = name
    self.behavior = behavior
    self.stream = stream
    self.history = history
    self.tally = tally
    agenda = Agenda(of: name, weights: behavior.actions, thinkTime: behavior.thinkTime, scenario: scenario)
    service = Scenario.usersAddress
  }

  // MARK: The day

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let client = HTTPClient(environment, address: service)
    while let action = try await agenda.next(since: begin, stream, tally, environment) {
      try await act(action, client, environment)
    }
    try await lookAtTheEnd(client, environment)
    client.close()
    isServed = true
  }

  private func act(_ wanted: Action, _ client: HTTPClient, _ environment: Environment) async throws {
    switch possible(wanted) {
    case .register: try await register(client, environment)
    case .login: try await login(client, environment)
    case .wrongPassword: try await guess(client, environment)
    case .refresh: try await useRefresh(client, environment)
    case .stealRefresh: try await stealRefresh(client, environment)
    case .replayRefresh: try await replayRefresh(client, environment)
    case .useDeadToken: try await useDeadToken(client, environment)
    case .addSession: try await addSession(client, environment)
    case .getSessions: _ = try await authenticated(.getSessions(access!), client, environment)
    case .deleteSession: try await deleteSession(client, environment)
    case .deleteOthersSession: try await deleteOthersSession(client, environment)
    case .deleteUser: try await deleteUser(client, environment)
    }
  }

  /// Who has no account registers; who has no token logs in; and so on.
  private func possible(_ wanted: Action) -> Action {
    if wanted == .register { return account?.isOurs == true && behavior.sharedNames == 0 ? .login : .register }
    guard account != nil else { return .register }
    switch wanted {
    case .login, .wrongPassword: return wanted
    case .refresh, .stealRefresh: return refresh == nil ? .login : wanted
    case .replayRefresh: return usedRefresh.isEmpty ? (refresh == nil ? .login : .refresh) : wanted
    case .useDeadToken: return deadTokens.isEmpty ? (access == nil ? .login : .getSessions) : wanted
    case .deleteSession:
      return access == nil ? .login : sessions.isEmpty && behavior.sharedSessions == 0 ? .addSession : wanted
    case .addSession:
      if access == nil { return .login }
      return sessions.count >= 8 && behavior.sharedSessions == 0 ? .deleteSession : wanted
    default: return access == nil ? .login : wanted
    }
  }

  // MARK: Accounts

  private func register(_ client: HTTPClient, _ environment: Environment) async throws {
    let base: String
    let mail: String
    if behavior.sharedNames > 0 {
      base = "name.\(stream.choose(behavior.sharedNames))\(behavior.tag)"
      mail = behavior.mixesNames ? "name.\(stream.choose(behavior.sharedNames))\(behavior.tag)" : base
    } else {
      nextName += 1
      base = nextName == 1 ? name : "\(name).\(nextName)"
      mail = base
    }
    // Unique without regard to case: so case is what people differ in.
    let username = stream.chance(0.3) ? base.uppercased() : base
    let email = (stream.chance(0.3) ? mail.uppercased() : mail) + "@example.com"
    var account = Account(email: email, username: username, password: "password of \(name)", isOurs: false)
    let request = Request.register(email: email, username: username, password: account.password)
    let answer = try await persistently(request, client, environment)
    if answer.status == 400 {
      // Taken. After a retry it may have been our own first try that took it.
      if behavior.sharedNames > 0, self.account == nil || self.account?.isOurs == false { self.account = nil }
      if behavior.sharedNames == 0 { self.account = account }
      return
    }
    account.isOurs = answer.status == 201
    if answer.isSuccess || answer.isUnknown {
      self.account = account
      forgetTokens()
    }
  }

  private func login(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let account else { return }
    let byEmail = !behavior.mixesNames && stream.chance(0.5)
    let request = Request.login(
      user: byEmail ? account.email : account.username, password: account.password, account: account.key)
    let answer = try await persistently(request, client, environment)
    if case .tokens(let access, let refresh) = answer {
      self.access = access
      self.refresh = refresh
      self.account?.isOurs = true
    } else if answer.status == 401 {
      // Somebody else has the name, or it was never registered.
      self.account = nil
      forgetTokens()
    }
  }

  private func guess(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let account else { return }
    _ = try await persistently(
      .login(user: account.username, password: "a wrong guess", account: account.key), client, environment)
  }

  private func deleteUser(_ client: HTTPClient, _ environment: Environment) async throws {
    let token = access!
    let answer = try await authenticated(.deleteUser(token), client, environment)
    if answer.isSuccess {
      tally.count(.deletedUsers)
      bury(token)
    }
    if answer.isSuccess || answer.isUnknown || answer.status == 400 {
      account = nil
      forgetTokens()
    }
  }

  private func forgetTokens() {
    access = nil
    refresh = nil
    usedRefresh = []
    sessions = []
  }

  /// Keeps a few tokens that no longer ought to work, to try them.
  private func bury(_ token: TokenFacts) {
    deadTokens.append(token)
    if deadTokens.count > 4 { deadTokens.removeFirst() }
  }

  // MARK: Tokens

  private func useRefresh(_ client: HTTPClient, _ environment: Environment) async throws {
    let token = refresh!
    refresh = nil
    take(try await persistently(.refresh(token), client, environment), from: token)
  }

  private func take(_ answer: Answer, from token: TokenFacts) {
    if case .tokens(let access, let refresh) = answer {
      self.access = access
      self.refresh = refresh
      usedRefresh.append(token)
      if usedRefresh.count > 3 { usedRefresh.removeFirst() }
    } else if answer.status == 401 {
      if let access { bury(access) }
      access = nil
      refresh = nil
    }
  }

  /// Two clients show the same token: the owner, and somebody who stole it.
  private func stealRefresh(_ client: HTTPClient, _ environment: Environment) async throws {
    let token = refresh!
    refresh = nil
    tally.count(.refreshRaces)
    let thief = HTTPClient(environment, address: service)
    async let stolen = once(.refresh(token), thief, environment)
    let own = try await once(.refresh(token), client, environment)
    let other = try await stolen
    thief.close()
    for answer in [own, other] {
      if case .tokens(let access, _) = answer { bury(access) }
    }
    // Whoever came second has revoked the login.
    if let access { bury(access) }
    access = nil
  }

  private func replayRefresh(_ client: HTTPClient, _ environment: Environment) async throws {
    let token = usedRefresh.removeLast()
    tally.count(.refreshReplays)
    let answer = try await persistently(.refresh(token), client, environment)
    if answer.status == 401 {
      if let access { bury(access) }
      access = nil
      refresh = nil
      usedRefresh = []
    }
  }

  private func useDeadToken(_ client: HTTPClient, _ environment: Environment) async throws {
    tally.count(.deadTokens)
    let token = stream.pick(deadTokens)
    let request: Request
    switch stream.choose(3) {
    case 0: request = .getSessions(token)
    case 1: request = .addSession(newSession(), token)
    default: request = .deleteSession(sessions.last ?? "none", token)
    }
    _ = try await persistently(request, client, environment)
  }

  // MARK: Sessions

  private func addSession(_ client: HTTPClient, _ environment: Environment) async throws {
    let session = newSession()
    let answer = try await authenticated(.addSession(session, access!), client, environment)
    if answer.isSuccess || answer.isUnknown { sessions.append(session) }
  }

  /// The id of a session to add: one of those that all fight for, or one of one's own.
  private func newSession() -> String {
    if behavior.sharedSessions > 0 { return "shared.\(stream.choose(behavior.sharedSessions))\(behavior.tag)" }
    nextSession += 1
    return "\(name)-\(nextSession)"
  }

  private func deleteSession(_ client: HTTPClient, _ environment: Environment) async throws {
    let session =
      behavior.sharedSessions > 0
      ? "shared.\(stream.choose(behavior.sharedSessions))\(behavior.tag)"
      : sessions.remove(at: stream.choose(sessions.count))
    _ = try await authenticated(.deleteSession(session, access!), client, environment)
  }

  /// Ids are no secret: whoever knows one tries.
  private func deleteOthersSession(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let session = history.lastSession(notOf: name) else { return }
    tally.count(.trespasses)
    _ = try await authenticated(.deleteSession(session, access!), client, environment)
  }

  private func authenticated(_ request: Request, _ client: HTTPClient, _ environment: Environment) async throws
    -> Answer
  {
    let answer = try await persistently(request, client, environment)
    if answer.status == 401, let token = request.token {
      bury(token)
      if access == token { access = nil }
    }
    return answer
  }

  // MARK: Asking

  /// Asks, and asks again when nothing came back or the service could not: people do, and that is where double effects come from.
  private func persistently(_ request: Request, _ client: HTTPClient, _ environment: Environment) async throws -> Answer
  {
    var answer = try await once(request, client, environment)
    var attempts = 1
    while answer.isUnknown || answer.status == 408, attempts < 3 {
      tally.count(.retries)
      try await environment.clock.sleep(for: stream.exponential(mean: .milliseconds(500)))
      answer = try await once(request, client, environment)
      attempts += 1
    }
    return answer
  }

  private func once(_ request: Request, _ client: HTTPClient, _ environment: Environment) async throws -> Answer {
    let id = history.begin(name, request)
    tally.count(.requests)
    let answer = try await exchange(request, client, environment)
    history.end(id, answer)
    note(answer)
    lastOperation = id
    return answer
  }

  private func exchange(_ request: Request, _ client: HTTPClient, _ environment: Environment) async throws -> Answer {
    let bytes = request.bytes(host: service)
    do {
      if stream.chance(behavior.cutOff) {
        tally.count(.cutOffs)
        try await hangUp(bytes, client, environment)
        return .none
      }
      var pieces: [(count: Int, pause: Duration)] = []
      if stream.chance(behavior.slow) {
        tally.count(.slowRequests)
        let size = stream.pick([1, 1, 7, 40])
        pieces = Array(repeating: (size, behavior.slowPause), count: bytes.count / size)
      }
      let response = try await client.send(bytes, pieces: pieces, timeout: behavior.patience)
      return Answer(response, to: request)
    } catch let error as NetworkError {
      if error == .refused { tally.count(.refused) }
      return .none
    } catch is HTTPError {
      return .none
    }
  }

  /// Sends the request and goes away without waiting for what comes.
  private func hangUp(_ bytes: [UInt8], _ client: HTTPClient, _ environment: Environment) async throws {
    let patience = stream.duration(.zero...(.milliseconds(8)))
    do {
      _ = try await client.send(bytes, timeout: patience)
    } catch NetworkError.timedOut {
      return
    }
    client.abandon()
  }

  private func note(_ answer: Answer) {
    switch answer.status {
    case nil: tally.count(.unanswered)
    case let status? where status < 300: tally.count(.successes)
    case 400: tally.count(.conflicts)
    case 401: tally.count(.unauthorized)
    case 408: tally.count(.requestTimeouts)
    case 429: tally.count(.throttled)
    case 503: tally.count(.unavailable)
    default: break
    }
  }

  /// When all faults are over: whoever has an account logs in and looks at the sessions, until that is answered.
  private func lookAtTheEnd(_ client: HTTPClient, _ environment: Environment) async throws {
    guard let account, account.isOurs else { return try await knock(client, environment) }
    let login = Request.login(user: account.username, password: account.password, account: account.key)
    let answer = try await untilAnswered(login, client, environment)
    guard case .tokens(let access, _) = answer else { return }
    _ = try await untilAnswered(.getSessions(access), client, environment)
  }

  private func untilAnswered(_ request: Request, _ client: HTTPClient, _ environment: Environment) async throws
    -> Answer
  {
    while true {
      let answer = try await once(request, client, environment)
      if !answer.isUnknown, !answer.isTurnedAway { return answer }
      isThrottled = answer.status == 429
      try await environment.clock.sleep(for: answer.status == 429 ? .seconds(60) : .seconds(1))
    }
  }

  /// Who has no account asks for something all the same.
  private func knock(_ client: HTTPClient, _ environment: Environment) async throws {
    _ = try await untilAnswered(
      .login(user: "nobody.\(name)", password: "password", account: "nobody.\(name)"), client, environment)
  }
}
