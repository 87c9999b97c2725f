import Environment

/// The User Service: accounts, tokens and sessions (contract section 1).
public actor UserService: HTTPBackend {
  /// Its database in the data directory.
  public static let database = ServiceDatabase(
    "accounts.db", AccountsSchema.migrations, invariants: AccountsInvariants.all)

  let environment: Environment
  let database: Database
  let options: UserServiceOptions
  let bell: EventBell
  nonisolated let verifier: AccessTokenVerifier
  private let serialExecutor: ActorExecutor
  private let issuer: TokenIssuer
  private var isDraining = false
  var throttle = LoginThrottle(.init())
  /// When this node has last removed failures that do not count any more.
  private var lastForgotten: Instant?
  private var registrations: RecentEvents<ClientAddress>
  let passwords: PasswordHasher
  let sessionRules: SessionRules
  /// The second of the last login, and its RFC 3339 text.
  private var second: (number: Int64, text: String) = (.min, "")

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Starts the service: opens its database, reads or makes its key, and listens.
  /// - Throws: `DatabaseError`, `StorageError` or `NetworkError`, which an operator has to mend.
  public static func start(_ environment: Environment, _ options: UserServiceOptions) async throws -> HTTPService<
    UserService
  > {
    var options = options
    if options.secrets.isEmpty { options.secrets = [try await SecretFile.read(environment)] }
    let metrics = Metrics(service: UserRoutes.description.name)
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database,
      observer: metrics.databaseObserver)
    let now = environment.clock.wallTime
    for user in try await database.transaction({ try await AccountsTables($0).completeRows(at: now) }) {
      environment.log.warning(
        "account-name-taken",
        ["user": .string(user.value), "advice": "another account has its email or username: change it"])
    }
    let listener = try environment.network.listen(options.address, backlog: options.server.backlog, for: .http)
    let users = UserService(environment, options, database)
    let process = options.server.processMetrics
    let server = HTTPServer(
      environment, listener, service: UserRoutes.description,
      routes: UserRoutes.table(users, metrics: metrics) { await database.metrics() + process() },
      metrics: metrics, options: options.server)
    let service = HTTPService("users", users, server)
    if options.sessionLifetime > .zero { environment.executor.spawn("session-sweep") { await users.sweepSessions() } }
    return service
  }

  private init(_ environment: Environment, _ options: UserServiceOptions, _ database: Database) {
    self.environment = environment
    self.options = options
    self.database = database
    serialExecutor = environment.executor.forActor("user-service")
    bell = EventBell(environment, every: database.isOnServer ? EventBell.poll : EventBell.heartbeat)
    registrations = RecentEvents(limit: options.registrationLimit, window: .seconds(15 * 60))
    sessionRules = SessionRules(lifetime: options.sessionLifetime, maximum: options.maximumSessions)
    passwords = PasswordHasher(environment, rounds: options.passwordRounds)
    issuer = TokenIssuer(options)
    verifier = AccessTokenVerifier(environment.clock, issuer, planted: options.planted)
  }

  /// Stops taking requests, answers those in flight, and closes the database.
  public func drain(_ server: HTTPServer) async {
    isDraining = true
    await bell.close()
    await server.drain()
    await database.close()
  }

  // MARK: Accounts

  func register(_ call: Call) async throws -> Reply {
    let email: EmailAddress
    do throws(EmailAddress.Invalid) {
      email = try EmailAddress(parsing: call.string("email"))
    } catch {
      if options.planted(.failsOnInvalidNames) { throw error }
      throw AccountRefusal.invalid("email: \(error.reason)")
    }
    let id = newAccountID()
    _ = try await register(
      id, email, username: call.string("username"), password: call.string("password"), from: call.client.host)
    return .success("user registered", status: 201)
  }

  /// Adds an account.
  /// - Returns: Its username, normalized.
  func register(
    _ id: AccountID, _ email: EmailAddress, username raw: String, password: String, from host: String?
  ) async throws -> String {
    let username: Username
    let chosen: Password
    do throws(Username.Invalid) {
      username = try Username(parsing: raw)
    } catch {
      throw AccountRefusal.invalid("username: \(error.reason)")
    }
    do throws(Password.Invalid) {
      chosen = try Password(choosing: password)
    } catch {
      throw AccountRefusal.invalid("password: \(error.reason)")
    }
    let byCase = options.planted(.usernamesByCase)
    // No password is hashed for a name that is taken.
    if !byCase { try await database.transaction { try await AccountsTables($0).requireFree(email, username) } }
    try admitRegistration(from: host.flatMap(ClientAddress.init))
    let hash = try await passwords.hash(chosen, in: .registrations)
    let now = environment.clock.wallTime.rfc3339
    try await database.transaction { connection in
      if byCase {
        return try await connection.addUserByCase(id, email: email, username: username, password: hash, at: now)
      }
      try await AccountsTables(connection).users.add(id, email: email, username: username, password: hash, at: now)
    }
    return username.text
  }

  /// Counts a registration. Registrations from this machine or an unknown address are not limited.
  private func admitRegistration(from address: ClientAddress?) throws(AccountRefusal) {
    guard options.registrationLimit > 0, let address, !address.isLoopback else { return }
    let now = environment.clock.now
    if let wait = registrations.wait(address, at: now) { throw .tooMany(.registrations, retryAfter: wait) }
    registrations.add(address, at: now)
  }

  func newAccountID() -> AccountID { AccountID(Hex.encode(environment.entropy.bytes(32))) }

  func login(_ call: Call) async throws -> Reply {
    let user = try await authenticate(
      call.string("user"), call.string("password"), from: ClientAddress(call.client.host))
    guard let user else { throw AccountRefusal.wrongCredentials }
    return tokens(to: user.id, family: nil, generation: user.generation, at: environment.clock.wallTime)
  }

  func checkNode(_ call: Call) async throws -> Reply {
    var isRegistered = false
    do {
      isRegistered =
        try await authenticate(
          call.string("EMAIL"), call.string("PASSWORD"), from: ClientAddress(told: call.body["ADDRESS"])) != nil
    } catch AccountRefusal.accountDisabled {}
    return .json(["MESSAGE": isRegistered ? "REGISTERED" : "NOT_REGISTERED"])
  }

  /// Returns the account with this name and password, or nil. Takes as long if no account has the
  /// name.
  /// - Throws: also `AccountRefusal.accountDisabled`, which only who knows the password learns.
  func authenticate(_ name: String, _ password: String, from address: ClientAddress?) async throws -> StoredUser? {
    guard let name = AccountName(name) else {
      throw AccountRefusal.invalid("the name of an account has at most \(AccountName.maximumBytes) bytes")
    }
    try admit(nil, address)
    let stored = try await database.transaction { try await AccountsTables($0).find(name) }
    let account = stored.map { LoginThrottle.Account(id: $0.id) } ?? .init(unknown: name)
    try await admit(account)
    let password = Password(trying: password)
    let lane = address.map { HashingLane.logins($0) } ?? .loginsFromAnywhere
    let match = try await passwords.match(password, stored?.password, in: lane)
    // Checked again, so that guesses sent at once learn no more than the same guesses one by one.
    let isRefused = stored?.isDisabled == true && !options.planted(.ignoresDisabling)
    try await count(account, address, isRight: stored != nil && match != .none && !isRefused)
    guard let stored, match != .none else { return nil }
    if isRefused { throw AccountRefusal.accountDisabled }
    if match == .unprepared || stored.password.isOutdated(rounds: options.passwordRounds) {
      let new = try await passwords.hash(password, in: lane)
      try await database.transaction {
        try await AccountsTables($0).users.setPassword(stored.id, from: stored.password, to: new)
      }
    }
    let now = environment.clock.wallTime
    // `last_login` has seconds, so a second login in the same second needs no commit.
    if now.seconds != second.number { second = (now.seconds, String(now.rfc3339.utf8.prefix(19))!) }
    if !stored.lastLogin.hasPrefix(second.text) {
      try await database.transaction { try await AccountsTables($0).users.setLastLogin(stored.id, to: now.rfc3339) }
    }
    return stored
  }

  /// Counts an attempt in memory.
  func noteAttempt(_ account: LoginThrottle.Account?, _ address: ClientAddress?, isRight: Bool) {
    if !isRight { return throttle.failed(account: account, address: address, at: environment.clock.now) }
    if let account { throttle.succeeded(account: account) }
  }

  /// Whether it is time to remove old failures from the table. Notes that it is done.
  func mayForget(every period: Duration) -> Bool {
    let now = environment.clock.now
    if let lastForgotten, now - lastForgotten < period { return false }
    lastForgotten = now
    return true
  }

  /// Refuses an attempt at an account or from an address, by the counts in memory.
  func admit(_ account: LoginThrottle.Account?, _ address: ClientAddress?) throws(AccountRefusal) {
    let now = environment.clock.now
    let wait = max(
      account.flatMap { throttle.wait(account: $0, at: now) } ?? .zero,
      throttle.wait(address: address, at: now) ?? .zero)
    if wait > .zero { throw .tooMany(.failedLogins, retryAfter: wait) }
  }

  func deleteUser(_ call: Call) async throws -> Reply {
    let principal = call.principal!
    _ = try await act(principal) { try await $0.deleteUser(principal.account, generation: $1) }
    await bell.ring()
    return .success("user deleted")
  }

  // MARK: Tokens

  func refresh(_ call: Call) async throws -> Reply {
    let now = environment.clock.wallTime
    let claims: TokenClaims
    switch issuer.read(call.string("refresh_token"), as: .refresh, at: verifier.validityTime) {
    case .success(let read): claims = read
    case .failure(let fault): throw fault.refusal
    }
    let revokedUntil = max(claims.expires, now + max(options.refreshTokenLifetime, options.accessTokenLifetime))
    let isFirstUse: Bool
    do {
      isFirstUse =
        options.planted(.refreshInTwoSteps)
        ? try await useRefreshTokenInTwoSteps(claims)
        : try await database.transaction {
          try await AccountsTables($0).tokens.useRefreshToken(claims, at: now, revokedUntil: revokedUntil)
        }
    } catch is AccountRefusal {
      throw AccountRefusal.invalidToken
    }
    guard isFirstUse else {
      environment.log.warning("refresh-token-reused", ["user": .string(claims.subject.value)])
      throw AccountRefusal.tokenUsed
    }
    return tokens(to: claims.subject, family: claims.id.family, generation: claims.generation, at: now)
  }

  private func tokens(to user: AccountID, family: LoginID?, generation: Int64, at now: Timestamp) -> Reply {
    .json(
      body: issuer.issue(to: user, family: family, generation: generation, at: now, entropy: environment.entropy))
  }

  // MARK: Sessions

  func addSession(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let now = environment.clock.wallTime
    let principal = call.principal!
    if options.planted(.sessionInTwoSteps) {
      try await addSessionInTwoSteps(session, of: principal.account, at: now)
    } else {
      let admitsRevoked = options.planted(.ignoresRevocation)
      let login = admitsRevoked ? nil : principal.loginID
      let generation = admitsRevoked ? nil : principal.generation
      let rules = sessionRules
      let endedOthers = try await database.transaction {
        try await AccountsTables($0).sessions.add(
          session, of: principal.account, login: login, generation: generation, at: now, rules)
      }
      if endedOthers { await bell.ring() }
    }
    return .success("session added")
  }

  func getSessions(_ call: Call) async throws -> Reply {
    try await misbehave()
    let principal = call.principal!
    let now = environment.clock.wallTime
    let rules = sessionRules
    let sessions: [UserSession]
    do {
      sessions = try await act(principal) { tables, generation in
        try await tables.users.require(principal.account, generation: generation)
        return try await tables.sessions.list(of: principal.account, at: now, rules)
      }
    } catch AccountRefusal.userNotFound {
      throw AccountRefusal.accountDeleted
    }
    let listed = options.planted(.listsSessionsByID) && options.database.servers != nil ? Self.byID(sessions) : sessions
    let list = listed.map { ["session_id": .string($0.id.value), "created_at": .string($0.createdAt)] as JSONValue }
    return .json(["success": true, "sessions": .array(list)])
  }

  func deleteSession(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let principal = call.principal!
    try await act(principal) { try await $0.sessions.delete(session, of: principal.account, generation: $1) }
    await bell.ring()
    return .success("session deleted")
  }

  /// Ends sessions that were unused for too long, until the service drains.
  private func sweepSessions() async {
    let rules = sessionRules
    let limit = Int64(environment.limits[.sessionSweep])
    while !isDraining {
      do {
        try await environment.clock.sleep(for: max(.milliseconds(100), sessionRules.precision))
        let now = environment.clock.wallTime
        while try await database.transaction({
          try await AccountsTables($0).sessions.endUnused(at: now, rules, limit: limit)
        }) > 0 {
          await bell.ring()
        }
      } catch is NodeDown {
        return
      } catch {
        // The database has logged the failure; the next sweep ends these sessions.
      }
    }
  }

  func sessionID(_ call: Call) throws(AccountRefusal) -> UserSessionID {
    guard let session = UserSessionID(call.string("session_id")) else {
      throw .invalid("session_id: must be 1 to 64 visible ASCII characters")
    }
    return session
  }

  /// Runs a transaction on behalf of a user whose login is not revoked. `body` has to refuse tokens
  /// of another generation than it gets, when it locks or requires the user.
  private func act<R: Sendable>(
    _ principal: Principal, _ body: @escaping @Sendable (AccountsTables, Int64?) async throws -> R
  ) async throws -> R {
    let looksUpRevocation = !options.planted(.ignoresRevocation)
    return try await database.transaction { connection in
      let tables = AccountsTables(connection)
      if looksUpRevocation { try await tables.tokens.requireLive(principal.loginID) }
      return try await body(tables, looksUpRevocation ? principal.generation : nil)
    }
  }

  // MARK: Health

  func health() async throws -> String {
    guard await database.checkHealth() else { throw AccountRefusal.databaseUnavailable }
    return "the user database answers"
  }
}

extension Reply {
  static func success(_ message: String, status: Int = 200) -> Reply {
    .json(["success": true, "message": .string(message)], status: status)
  }
}
