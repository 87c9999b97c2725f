/// The User Service: accounts, tokens, sessions (contract section 1).
public actor UserService: Service {
  /// Its database in the data directory.
  public static let database = ServiceDatabase("accounts.db", AccountsSchema.migrations)

  /// Password hashes that may wait for the compute lane; more are answered 503, since each takes long and holds a client.
  static let maximumHashes = 256

  let environment: Environment
  let database: Database
  let options: UserServiceOptions
  let bell: EventBell
  nonisolated let verifier: AccessTokenVerifier
  private let serialExecutor: ActorExecutor
  private let issuer: TokenIssuer
  private var server: HTTPServer?
  private var throttle = LoginThrottle(.init())
  private var hashing = 0
  /// The last second of a login, and how RFC 3339 begins a time in it.
  private var second: (number: Int64, text: String) = (.min, "")

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Where it listens.
  public nonisolated let addresses: [(name: String, address: SocketAddress)]

  /// Starts the service: opens its database, reads or makes its key, listens.
  /// - Throws: `DatabaseError`, `StorageError`, `NetworkError`: what an operator has to mend.
  public static func start(_ environment: Environment, _ options: UserServiceOptions) async throws -> UserService {
    var options = options
    if options.secrets.isEmpty { options.secrets = [try await SecretFile.read(environment)] }
    let metrics = Metrics(service: UserRoutes.description.name)
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database,
      observer: metrics.databaseObserver)
    _ = try await database.transaction { try $0.lastEventID() }
    let reference = ServiceReference<UserService>()
    let server = try HTTPServer(
      environment, address: options.address, service: UserRoutes.description,
      routes: UserRoutes.table(reference, metrics: metrics), metrics: metrics, options: options.server,
      onEnd: { reference.set(nil) })
    let service = UserService(environment, options, database, server)
    reference.set(service)
    server.start()
    return service
  }

  private init(_ environment: Environment, _ options: UserServiceOptions, _ database: Database, _ server: HTTPServer) {
    self.environment = environment
    self.options = options
    self.database = database
    self.server = server
    addresses = [("users", server.address)]
    serialExecutor = environment.executor.forActor("user-service")
    bell = EventBell(environment)
    issuer = TokenIssuer(options)
    verifier = AccessTokenVerifier(environment.clock, options)
  }

  /// Stops taking requests, answers those in flight, closes the database.
  public func drain() async {
    await bell.close()
    await server?.drain()
    server = nil
    await database.close()
  }

  // MARK: Accounts

  func register(_ call: Call) async throws -> Reply {
    let email: EmailAddress
    do throws(EmailAddress.Invalid) {
      email = try EmailAddress(parsing: call.string("email"))
    } catch {
      throw HTTPFailure(400, "email: \(error.reason)")
    }
    let id = Hex.encode(environment.entropy.bytes(32))
    _ = try await register(id, email, username: call.string("username"), password: call.string("password"))
    return .success("user registered", status: 201)
  }

  /// Makes an account; returns its name as it is kept.
  func register(_ id: String, _ email: EmailAddress, username raw: String, password: String) async throws -> String {
    let username: Username
    do throws(Username.Invalid) {
      username = try Username(parsing: raw)
    } catch {
      throw HTTPFailure(400, "username: \(error.reason)")
    }
    guard password.utf8.count <= 1024 else { throw HTTPFailure(400, "password: must have at most 1024 bytes") }
    let salt = environment.entropy.bytes(16)
    let hash = try await hash { [rounds = options.passwordRounds] in
      PasswordHash(of: password, salt: salt, rounds: rounds)
    }
    let now = environment.clock.wallTime.rfc3339
    let byCase = options.planted.contains(.usernamesByCase)
    do {
      try await database.transaction { connection in
        if byCase {
          return try connection.addUserByCase(id: id, email: email, username: username, password: hash, at: now)
        }
        try connection.addUser(id: id, email: email, username: username, password: hash, at: now)
      }
    } catch AccountsFailure.emailTaken {
      throw HTTPFailure(400, "email: already registered")
    } catch AccountsFailure.usernameTaken {
      throw HTTPFailure(400, "username: already taken")
    }
    return username.text
  }

  func login(_ call: Call) async throws -> Reply {
    let user = try await authenticate(call.string("user"), call.string("password"), from: call.peer.host)
    guard let user else { throw HTTPFailure.unauthorized("wrong user or password") }
    return tokens(to: user, family: nil, at: environment.clock.wallTime)
  }

  func checkNode(_ call: Call) async throws -> Reply {
    let user = try await authenticate(call.string("EMAIL"), call.string("PASSWORD"), from: nil)
    return .json(["MESSAGE": user == nil ? "NOT_REGISTERED" : "REGISTERED"])
  }

  /// The id of the user with this name and password, or nil. Takes as long when there is no such user.
  func authenticate(_ name: String, _ password: String, from address: String?) async throws -> String? {
    let isEmail = name.utf8.contains(UInt8(ascii: "@"))
    let key = name.normalized.lowercased().normalized
    try admit(key, address)
    let stored = try await database.transaction { try $0.user(named: key, isEmail: isEmail) }
    let candidate = stored?.password ?? .decoy(rounds: options.passwordRounds)
    let matches = try await hash { candidate.matches(password) }
    // Others may have failed meanwhile; a volley of guesses learns no more than the same guesses one by one.
    try admit(key, address)
    guard let stored, matches else {
      throttle.failed(account: key, address: address ?? "", at: environment.clock.now)
      return nil
    }
    throttle.succeeded(account: key)
    if stored.password.isOutdated(rounds: options.passwordRounds) { try await upgrade(stored, password) }
    let now = environment.clock.wallTime
    // `last_login` is kept to the second: a user who logs in again within it costs no commit.
    if now.seconds != second.number { second = (now.seconds, String(now.rfc3339.utf8.prefix(19))!) }
    if !stored.lastLogin.hasPrefix(second.text) {
      try await database.transaction { try $0.noteLogin(stored.id, at: now.rfc3339) }
    }
    return stored.id
  }

  private func admit(_ account: String, _ address: String?) throws(HTTPFailure) {
    guard let wait = throttle.wait(account: account, address: address ?? "", at: environment.clock.now) else { return }
    let seconds = max(1, Int(wait.inSeconds.rounded(.up)))
    throw HTTPFailure(429, "too many failed logins", fields: [("retry-after", "\(seconds)")])
  }

  private func upgrade(_ user: StoredUser, _ password: String) async throws {
    let salt = environment.entropy.bytes(16)
    let new = try await hash { [rounds = options.passwordRounds] in
      PasswordHash(of: password, salt: salt, rounds: rounds)
    }
    try await database.transaction { try $0.upgradePassword(user.id, from: user.password, to: new) }
  }

  // Inlined, as each function that waits is two switches more.
  @inline(__always)
  private func hash<R: Sendable>(_ work: @escaping @Sendable () -> R) async throws -> R {
    guard hashing < Self.maximumHashes else {
      throw HTTPFailure(503, "too many passwords are being checked", fields: [("retry-after", "1")])
    }
    hashing += 1
    defer { hashing -= 1 }
    return try await environment.executor.offload(.compute, work)
  }

  func deleteUser(_ call: Call) async throws -> Reply {
    let principal = call.principal!
    try await act(principal) { try $0.deleteUser(principal.subject) }
    await bell.ring()
    return .success("user deleted")
  }

  // MARK: Tokens

  func refresh(_ call: Call) async throws -> Reply {
    let now = environment.clock.wallTime
    let claims: TokenClaims
    switch issuer.read(call.string("refresh_token"), as: .refresh, at: verifier.validityTime) {
    case .success(let read): claims = read
    case .failure(let fault): throw fault.failure
    }
    let revokedUntil = now + max(options.refreshTokenLifetime, options.accessTokenLifetime)
    let isFirstUse: Bool
    do {
      isFirstUse =
        options.planted.contains(.refreshInTwoSteps)
        ? try await useRefreshTokenInTwoSteps(claims)
        : try await database.transaction { try $0.useRefreshToken(claims, at: now, revokedUntil: revokedUntil) }
    } catch is AccountsFailure {
      throw HTTPFailure.unauthorized("invalid token")
    }
    guard isFirstUse else {
      environment.log.warning("refresh-token-reused", ["user": .string(claims.subject)])
      throw HTTPFailure.unauthorized("the token was used before: log in again")
    }
    return tokens(to: claims.subject, family: claims.id.family, at: now)
  }

  private func tokens(to user: String, family: String?, at now: Timestamp) -> Reply {
    .json(body: issuer.issue(to: user, family: family, at: now, entropy: environment.entropy))
  }

  // MARK: Sessions

  func addSession(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let now = environment.clock.wallTime.rfc3339
    let principal = call.principal!
    if options.planted.contains(.sessionInTwoSteps) {
      try await translated { try await addSessionInTwoSteps(session, principal.subject, now) }
    } else {
      let family = options.planted.contains(.ignoresRevocation) ? nil : principal.login
      try await translated {
        try await database.transaction { try $0.addSession(session, of: principal.subject, family: family, at: now) }
      }
    }
    return .success("session added")
  }

  func getSessions(_ call: Call) async throws -> Reply {
    try await misbehave()
    let principal = call.principal!
    let sessions: [(id: String, createdAt: String)]
    do {
      sessions = try await act(principal) { connection in
        try connection.requireUser(principal.subject)
        return try connection.sessions(of: principal.subject)
      }
    } catch let failure as HTTPFailure where failure.status == 400 {
      throw HTTPFailure.unauthorized("the user no longer exists")
    }
    let list = sessions.map { ["session_id": .string($0.id), "created_at": .string($0.createdAt)] as JSONValue }
    return .json(["success": true, "sessions": .array(list)])
  }

  func deleteSession(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let principal = call.principal!
    try await act(principal) { try $0.deleteSession(session, of: principal.subject) }
    await bell.ring()
    return .success("session deleted")
  }

  func sessionID(_ call: Call) throws(HTTPFailure) -> String {
    let session = call.string("session_id")
    guard (1...64).contains(session.utf8.count), session.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw HTTPFailure(400, "session_id: must be 1 to 64 visible ASCII characters")
    }
    return session
  }

  /// Runs a transaction in the name of a user, and says in HTTP what stood in its way.
  private func act<R: Sendable>(
    _ principal: Principal, _ body: @escaping @Sendable (SQLConnection) throws -> R
  ) async throws -> R {
    let ignoresRevocation = options.planted.contains(.ignoresRevocation)
    return try await translated {
      try await database.transaction { connection in
        if !ignoresRevocation { try connection.requireLive(principal) }
        return try body(connection)
      }
    }
  }

  /// Says in HTTP what a transaction refused.
  func translated<R: Sendable>(_ body: () async throws -> R) async throws -> R {
    do {
      return try await body()
    } catch let failure as AccountsFailure {
      throw Self.answer(failure)
    }
  }

  private static func answer(_ failure: AccountsFailure) -> HTTPFailure {
    switch failure {
    case .loginRevoked: .unauthorized("the token was revoked: log in again")
    case .userNotFound: HTTPFailure(400, "user not found")
    case .sessionNotFound: HTTPFailure(400, "session_id: no such session of this user")
    case .sessionTaken: HTTPFailure(400, "session_id: already exists")
    case .emailTaken, .usernameTaken: HTTPFailure(400, "already taken")
    }
  }

  // MARK: What services ask

  func health() async throws -> String {
    guard await database.checkHealth() else { throw HTTPFailure(503, "the user database is not available") }
    return "the user database answers"
  }
}

extension Reply {
  static func success(_ message: String, status: Int = 200) -> Reply {
    .json(["success": true, "message": .string(message)], status: status)
  }
}
