import Environment

/// The User Service, as the Chat Service asks it: over HTTP, with the service token.
struct AccountsClient: Sendable {
  /// An account of the User Service.
  struct Account: Sendable {
    let id: String
    let username: String
    /// In the answer about a session: how long it may be used without asking again. The question is what keeps it alive.
    var askAgainAfter: Duration?
  }

  /// Time for an answer.
  static let timeout: Duration = .seconds(5)

  let environment: Environment
  let address: SocketAddress
  let pool: HTTPClientPool
  private let fields: [(name: String, value: String)]

  init(_ environment: Environment, address: SocketAddress, token: String?) {
    self.environment = environment
    self.address = address
    pool = HTTPClientPool(environment, address: address)
    fields = token.map { [("authorization", "Bearer \($0)")] } ?? []
  }

  /// Registers a user of an `address`, by which registrations are limited.
  func register(_ username: String, _ password: String, address: String) async throws -> Account {
    try account(
      try await post(
        "register",
        ["username": .string(username), "password": .string(password), "address": .string(address)]))
  }

  /// Logs in under a new session. When nobody answers it is tried again under another one: the first may be there, but nobody knows it.
  func login(_ user: String, _ password: String, address: String) async throws -> (session: String, account: Account) {
    try await twice { try await loginOnce(user, password, address) }
  }

  private func loginOnce(_ user: String, _ password: String, _ address: String) async throws -> (String, Account) {
    let session = Hex.encode(environment.entropy.bytes(32))
    let answer = try await post(
      "login",
      [
        "user": .string(user), "password": .string(password), "session_id": .string(session),
        "address": .string(address),
      ])
    return (session, try account(answer))
  }

  /// Whose a session is, or nil when there is none.
  func owner(of session: String, token: String?) async throws -> Account? {
    var question: [JSONValue.Member] = [.init("session_id", .string(session))]
    if let token { question.append(.init("token", .string(token))) }
    do {
      return try account(try await ask("session", .object(question)))
    } catch let failure as HTTPFailure where failure.status == 404 || failure.status == 401 {
      return nil
    }
  }

  /// Who has a name, or nil.
  func user(called username: String) async throws -> Account? {
    do {
      return try account(try await ask("user", ["username": .string(username)]))
    } catch let failure as HTTPFailure where failure.status == 404 {
      return nil
    }
  }

  /// Ends a session; false when there is none.
  func logout(_ session: String) async throws -> Bool {
    do {
      _ = try await post("logout", ["session_id": .string(session)])
      return true
    } catch let failure as HTTPFailure where failure.status == 404 {
      return false
    }
  }

  func lastEvent() async throws -> Int64 {
    let answer = try await send("GET", "last-event", nil)
    guard let id = answer["event_id"]?.int else { throw Self.unavailable }
    return id
  }

  /// The next accounts that were deleted after the event `id`, oldest first; empty once there are no more. Asked from 0 on, it
  /// tells of every account that was ever deleted.
  func deletedAccounts(after id: Int64) async throws -> [(event: Int64, account: String)] {
    let answer = try await ask("deleted-users", ["after": .int(id)])
    guard let users = answer["users"]?.array else { throw Self.unavailable }
    return try users.map { user in
      guard let event = user["event_id"]?.int, let account = user["user_id"]?.string else { throw Self.unavailable }
      return (event, account)
    }
  }

  /// The stream of ended sessions and deleted users.
  func events(after id: Int64?) async throws -> EventStreamClient {
    try await EventStreamClient.open(
      environment, address, "/session-events", lastEventID: id.map { "\($0)" }, fields: fields, timeout: Self.timeout)
  }

  func close() async { await pool.close() }

  // MARK: Asking

  static let unavailable = HTTPFailure(503, "the User Service is not available")

  private func account(_ answer: JSONValue) throws -> Account {
    guard let id = answer["user_id"]?.string, let username = answer["username"]?.string else { throw Self.unavailable }
    let askAgainAfter = answer["ask_again_after_ms"]?.int.map { Duration.milliseconds(max(0, $0)) }
    return Account(id: id, username: username, askAgainAfter: askAgainAfter)
  }

  /// A question changes nothing, so it may be asked again: the connection may have been closed before it was sent.
  private func ask(_ what: String, _ body: JSONValue) async throws -> JSONValue {
    try await twice { try await post(what, body) }
  }

  private func twice<R>(_ attempt: () async throws -> R) async throws -> R {
    do {
      return try await attempt()
    } catch let failure as HTTPFailure where failure.status == 503 {
      return try await attempt()
    }
  }

  private func post(_ what: String, _ body: JSONValue) async throws -> JSONValue { try await send("POST", what, body) }

  private func send(_ method: String, _ what: String, _ body: JSONValue?) async throws -> JSONValue {
    let response: HTTPResponse
    do {
      response = try await pool.send(method, "/services/\(what)", fields: fields, json: body, timeout: Self.timeout)
    } catch is NetworkError {
      throw Self.unavailable
    } catch is HTTPError {
      throw Self.unavailable
    }
    let answer = (try? JSONParser.parse(response.body)) ?? .null
    switch response.status {
    case 200..<300: return answer
    case 400, 404, 429:
      let retry = response.fields.filter { $0.name.lowercased() == "retry-after" }
      throw HTTPFailure(response.status, answer["detail"]?.string ?? "refused", fields: retry)
    case 401 where what == "login" || what == "session": throw HTTPFailure(401, answer["detail"]?.string ?? "refused")
    default:
      environment.log.warning("user-service-refuses", ["what": .string(what), "status": .int(Int64(response.status))])
      throw Self.unavailable
    }
  }
}
