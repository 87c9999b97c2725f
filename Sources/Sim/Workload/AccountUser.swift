import Environment
import Simulation
import System

/// A user of the User Service: it registers, logs in, and uses and misuses tokens and sessions.
final class AccountUser: SimulatedUser {
  let state: UserState
  private let history: AccountHistory
  private var agenda: Agenda<AccountAction>

  /// An account that the user has registered or tried to.
  private struct Account {
    let email: String
    let username: String
    let password: String
    /// Whether the service confirmed the registration. Otherwise the account may be another user's.
    var isOurs: Bool
    var key: String { username.lowercased() }
  }

  private var account: Account?
  private var access: TokenFacts?
  private var refresh: TokenFacts?
  /// Refresh tokens that were used.
  private var usedRefresh: [TokenFacts] = []
  /// Tokens that must not work any more.
  private var deadTokens: [TokenFacts] = []
  private var sessions: [String] = []
  private var nextName = 0
  private var nextSession = 0
  private var client: AccountClient?

  var lastSeen: String { client?.lastOperation.map { history.operations[$0].description } ?? "nothing yet" }

  private var stream: ChoiceStream { state.stream }
  private var behavior: UserGroup { state.behavior }

  init(_ state: UserState, history: AccountHistory, agenda: Agenda<AccountAction>) {
    self.state = state
    self.history = history
    self.agenda = agenda
  }

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    let client = AccountClient(state, history, environment)
    self.client = client
    while let action = try await agenda.next(since: begin, environment) {
      try await act(action, client, environment)
      // A restart between two turns would end the connection, and the next request with it.
      if state.turns != nil { client.close() }
    }
    try await state.inTurn(.look, environment) { try await lookAtTheEnd(client) }
    client.close()
    state.isServed = true
  }

  private func act(_ wanted: AccountAction, _ client: AccountClient, _ environment: Environment) async throws {
    switch possible(wanted) {
    case .register: try await register(client)
    case .login: try await login(client)
    case .wrongPassword: try await guess(client)
    case .refresh: try await useRefresh(client)
    case .stealRefresh: try await stealRefresh(client, environment)
    case .replayRefresh: try await replayRefresh(client)
    case .useDeadToken: try await useDeadToken(client)
    case .addSession: try await addSession(client)
    case .getSessions: _ = try await authenticated(.getSessions(access!), client)
    case .deleteSession: try await deleteSession(client)
    case .deleteOthersSession: try await deleteOthersSession(client)
    case .deleteUser: try await deleteUser(client)
    }
  }

  /// The wanted action, or the one that has to come before it.
  private func possible(_ wanted: AccountAction) -> AccountAction {
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

  /// Ends of names in two spellings each, which are the same in NFC. Join controls stand where
  /// RFC 5892 (appendix A) allows them.
  private static let foreignEndings = [
    (" caf\u{E9}", " cafe\u{301}"), (" \u{645}\u{6CC}\u{200C}\u{62E}\u{648}", " \u{645}\u{6CC}\u{200C}\u{62E}\u{648}"),
    (" \u{915}\u{94D}\u{200D}\u{937}", " \u{915}\u{94D}\u{200D}\u{937}"), (" \u{D55C}", " \u{1112}\u{1161}\u{11AB}"),
  ]

  /// The end of the name of this number, in one of its spellings.
  private func foreignEnding(_ number: Int) -> String {
    let ending = Self.foreignEndings[number % Self.foreignEndings.count]
    return stream.chance(0.5) ? ending.0 : ending.1
  }

  private func register(_ client: AccountClient) async throws {
    let base: String
    let mail: String
    var number = nextName
    if behavior.sharedNames > 0 {
      number = stream.choose(behavior.sharedNames)
      base = "name.\(number)\(behavior.tag)"
      mail = behavior.mixesNames ? "name.\(stream.choose(behavior.sharedNames))\(behavior.tag)" : base
    } else {
      nextName += 1
      base = nextName == 1 ? name : "\(name).\(nextName)"
      mail = base
    }
    // Names are unique without regard to case, so users vary the case.
    let written = base + (behavior.foreignNames ? foreignEnding(number) : "")
    let username = stream.chance(0.3) ? written.uppercased() : written
    let email = (stream.chance(0.3) ? mail.uppercased() : mail) + "@example.com"
    var account = Account(email: email, username: username, password: "password of \(name)", isOurs: false)
    let request = Request.register(email: email, username: username, password: account.password)
    let answer = try await client.sendPersistently(request)
    if answer.status == 400 {
      // Taken, after a retry perhaps by the first attempt.
      if behavior.sharedNames > 0, self.account == nil || self.account?.isOurs == false { self.account = nil }
      if behavior.sharedNames == 0 { self.account = account }
      return
    }
    account.isOurs = answer.status == 201
    if account.isOurs { history.newPasswords[account.key] = nil }
    if answer.isSuccess || answer.isUnknown {
      self.account = account
      forgetTokens()
    }
  }

  private func login(_ client: AccountClient) async throws {
    guard let account else { return }
    let byEmail = !behavior.mixesNames && stream.chance(0.5)
    // An operator may have set another password. Now and then the user tries the old one.
    let new = history.newPasswords[account.key].flatMap { stream.chance(0.8) ? $0 : nil }
    let request = Request.login(
      user: byEmail ? account.email : account.username, password: new ?? account.password, account: account.key)
    let answer = try await client.sendPersistently(request)
    if case .tokens(let access, let refresh) = answer {
      self.access = access
      self.refresh = refresh
      self.account?.isOurs = true
    } else if answer.status == 401 {
      // The name is another user's, or was never registered, or an operator has locked the user
      // out.
      if behavior.sharedNames > 0 || !account.isOurs { self.account = nil }
      if let access { keepDead(access) }
      forgetTokens()
    }
  }

  private func guess(_ client: AccountClient) async throws {
    guard let account else { return }
    _ = try await client.sendPersistently(
      .login(user: account.username, password: "a wrong guess", account: account.key))
  }

  private func deleteUser(_ client: AccountClient) async throws {
    let token = access!
    let answer = try await authenticated(.deleteUser(token), client)
    if answer.isSuccess {
      state.tally.count(.deletedUsers)
      keepDead(token)
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

  /// Keeps a few tokens that must not work any more, to try them later.
  private func keepDead(_ token: TokenFacts) {
    deadTokens.append(token)
    if deadTokens.count > 4 { deadTokens.removeFirst() }
  }

  // MARK: Tokens

  private func useRefresh(_ client: AccountClient) async throws {
    let token = refresh!
    refresh = nil
    let answer = try await client.sendPersistently(.refresh(token))
    if case .tokens(let access, let refresh) = answer {
      self.access = access
      self.refresh = refresh
      usedRefresh.append(token)
      if usedRefresh.count > 3 { usedRefresh.removeFirst() }
    } else if answer.status == 401 {
      if let access { keepDead(access) }
      access = nil
      refresh = nil
    }
  }

  /// The owner and a thief use the same refresh token at once.
  private func stealRefresh(_ client: AccountClient, _ environment: Environment) async throws {
    let token = refresh!
    refresh = nil
    state.tally.count(.refreshRaces)
    let thief = AccountClient(state, history, environment)
    let confined = Confined(thief)
    async let stolen = confined.value.send(.refresh(token))
    let own = try await client.send(.refresh(token))
    let other = try await stolen
    thief.close()
    for answer in [own, other] {
      if case .tokens(let access, _) = answer { keepDead(access) }
    }
    // The second use has revoked the login.
    if let access { keepDead(access) }
    access = nil
  }

  private func replayRefresh(_ client: AccountClient) async throws {
    let token = usedRefresh.removeLast()
    state.tally.count(.refreshReplays)
    let answer = try await client.sendPersistently(.refresh(token))
    if answer.status == 401 {
      if let access { keepDead(access) }
      access = nil
      refresh = nil
      usedRefresh = []
    }
  }

  private func useDeadToken(_ client: AccountClient) async throws {
    state.tally.count(.deadTokens)
    let token = stream.pick(deadTokens)
    let request: Request
    switch stream.choose(3) {
    case 0: request = .getSessions(token)
    case 1: request = .addSession(newSession(), token)
    default: request = .deleteSession(sessions.last ?? "none", token)
    }
    _ = try await client.sendPersistently(request)
  }

  // MARK: Sessions

  private func addSession(_ client: AccountClient) async throws {
    let session = newSession()
    let answer = try await authenticated(.addSession(session, access!), client)
    if answer.isSuccess || answer.isUnknown { sessions.append(session) }
  }

  /// The id of a session to add: one that all users compete for, or one of the user's own.
  private func newSession() -> String {
    if behavior.sharedSessions > 0 { return "shared.\(stream.choose(behavior.sharedSessions))\(behavior.tag)" }
    nextSession += 1
    return "\(name)-\(nextSession)"
  }

  private func deleteSession(_ client: AccountClient) async throws {
    let session =
      behavior.sharedSessions > 0
      ? "shared.\(stream.choose(behavior.sharedSessions))\(behavior.tag)"
      : sessions.remove(at: stream.choose(sessions.count))
    _ = try await authenticated(.deleteSession(session, access!), client)
  }

  /// Session ids are not secret, so a user can try that of another one.
  private func deleteOthersSession(_ client: AccountClient) async throws {
    guard let session = history.lastSession(notOf: name) else { return }
    state.tally.count(.trespasses)
    _ = try await authenticated(.deleteSession(session, access!), client)
  }

  private func authenticated(_ request: Request, _ client: AccountClient) async throws -> Answer {
    let answer = try await client.sendPersistently(request)
    if answer.status == 401, let token = request.token {
      keepDead(token)
      if access == token { access = nil }
    }
    return answer
  }

  // MARK: The end

  /// After the faults, a user with an account logs in and lists its sessions until both are
  /// answered. A user without one sends a login that fails.
  private func lookAtTheEnd(_ client: AccountClient) async throws {
    guard let account, account.isOurs else {
      let login = Request.login(user: "nobody.\(name)", password: "password", account: "nobody.\(name)")
      _ = try await client.sendUntilAnswered(login)
      return
    }
    let password = history.newPasswords[account.key] ?? account.password
    let login = Request.login(user: account.username, password: password, account: account.key)
    guard case .tokens(let access, _) = try await client.sendUntilAnswered(login) else { return }
    _ = try await client.sendUntilAnswered(.getSessions(access))
  }
}
