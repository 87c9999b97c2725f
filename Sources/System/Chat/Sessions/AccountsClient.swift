import Environment

/// A client of the User Service's endpoints for services. All methods throw `ChatRefusal`:
/// `.unavailable(.userService)` when the User Service does not answer, fails, or refuses the
/// service token.
struct AccountsClient: Sendable {
  /// An account of the User Service.
  struct Account: Sendable {
    let id: AccountID
    let username: String
    /// For the owner of a session: the time after which the session must be asked about again. The
    /// question counts as a use, without which the session would expire.
    var askAgainAfter: Duration?
  }

  /// The time within which a question must be answered.
  static let timeout: Duration = .seconds(5)
  static let unavailable = ChatRefusal.unavailable(.userService)

  private let environment: Environment
  private let address: SocketAddress
  let pool: HTTPClientPool
  private let fields: [(name: String, value: String)]

  init(_ environment: Environment, address: SocketAddress, token: String?) {
    self.environment = environment
    self.address = address
    pool = HTTPClientPool(environment, address: address)
    fields = token.map { [("authorization", "Bearer \($0)")] } ?? []
  }

  /// Registers an account. The User Service limits the registrations of each client `address`.
  func register(_ username: String, _ password: String, address: String) async throws -> Account {
    let answer = try await post(
      "register",
      ["username": .string(username), "password": .string(password), "address": .string(address)])
    return try account(answer)
  }

  /// Logs in and starts a session. When the first attempt is not answered, the second one takes a
  /// new session id: the first session may exist, but nobody knows its id.
  func login(
    _ user: String, _ password: String, address: String
  ) async throws -> (session: ChatSessionID, account: Account) {
    try await withRetry {
      let session = ChatSessionID(random: environment.entropy)
      let answer = try await post(
        "login",
        [
          "user": .string(user), "password": .string(password), "session_id": .string(session.value),
          "address": .string(address),
        ])
      return (session, try account(answer))
    }
  }

  /// The account of a session; nil when the session does not exist or `token` is not its owner's.
  func owner(of session: ChatSessionID, token: String?) async throws -> Account? {
    var question: [JSONValue.Member] = [.init("session_id", .string(session.value))]
    if let token { question.append(.init("token", .string(token))) }
    let answer = try await ask("session", .object(question))
    return answer.status == 404 || answer.status == 401 ? nil : try account(answer)
  }

  /// The account with a name; nil when there is none.
  func user(called username: String) async throws -> Account? {
    let answer = try await ask("user", ["username": .string(username)])
    return answer.status == 404 ? nil : try account(answer)
  }

  /// Ends a session. Returns false when it does not exist.
  func logout(_ session: ChatSessionID) async throws -> Bool {
    let answer = try await post("logout", ["session_id": .string(session.value)])
    if answer.status == 404 { return false }
    _ = try answer.body()
    return true
  }

  /// The id of the latest event of the User Service.
  func lastEvent() async throws -> Int64 {
    let answer = try await send("GET", "last-event", nil).body()
    guard let id = answer["event_id"]?.int else { throw Self.unavailable }
    return id
  }

  /// A page of the accounts that were deleted after the event `id`, oldest first; empty at the end.
  /// From 0 on the pages list all deletions that there ever were.
  func deletedAccounts(after id: Int64) async throws -> [(event: Int64, account: AccountID)] {
    let answer = try await ask("deleted-users", ["after": .int(id)]).body()
    guard let users = answer["users"]?.array else { throw Self.unavailable }
    return try users.map { user in
      guard let event = user["event_id"]?.int, let account = user["user_id"]?.string else { throw Self.unavailable }
      return (event, AccountID(account))
    }
  }

  /// Opens the stream of ended sessions and deleted users, from after the event `id`.
  func events(after id: Int64?) async throws -> EventStreamClient {
    try await EventStreamClient.open(
      environment, address, "/session-events", lastEventID: id.map { "\($0)" }, fields: fields, timeout: Self.timeout)
  }

  func close() async { await pool.close() }

  // MARK: Requests

  /// An answer with a status that means something to the Chat Service: 2xx, 400, 404, 429, or 401
  /// to a password or token.
  private struct Answer {
    let status: Int
    let json: JSONValue
    let retryAfter: String?

    /// The body of a success; otherwise throws the refusal.
    func body() throws(ChatRefusal) -> JSONValue {
      let detail = json["detail"]?.string ?? "refused"
      switch status {
      case 200..<300: return json
      case 400: throw .invalid(detail)
      case 401: throw .wrongCredentials(detail)
      case 429: throw .tooManyAttempts(detail, retryAfter: retryAfter)
      default: throw AccountsClient.unavailable
      }
    }
  }

  private func account(_ answer: Answer) throws(ChatRefusal) -> Account {
    let body = try answer.body()
    guard let id = body["user_id"]?.string, let username = body["username"]?.string else { throw Self.unavailable }
    let askAgainAfter = body["ask_again_after_ms"]?.int.map { Duration.milliseconds(max(0, $0)) }
    return Account(id: AccountID(id), username: username, askAgainAfter: askAgainAfter)
  }

  /// Asks a question, which changes nothing and so may be repeated: the User Service may have
  /// closed the kept connection before the request was sent.
  private func ask(_ endpoint: String, _ body: JSONValue) async throws -> Answer {
    try await withRetry { try await post(endpoint, body) }
  }

  private func withRetry<R>(_ attempt: () async throws -> R) async throws -> R {
    do {
      return try await attempt()
    } catch ChatRefusal.unavailable(.userService) {
      return try await attempt()
    }
  }

  private func post(_ endpoint: String, _ body: JSONValue) async throws -> Answer {
    try await send("POST", endpoint, body)
  }

  private func send(_ method: String, _ endpoint: String, _ body: JSONValue?) async throws -> Answer {
    let response: HTTPResponse
    do {
      response = try await pool.send(method, "/services/\(endpoint)", fields: fields, json: body, timeout: Self.timeout)
    } catch is NetworkError {
      throw Self.unavailable
    } catch is HTTPError {
      throw Self.unavailable
    }
    switch response.status {
    case 200..<300, 400, 404, 429: break
    case 401 where endpoint == "login" || endpoint == "session": break
    default:
      environment.log.warning(
        "user-service-refuses", ["what": .string(endpoint), "status": .int(Int64(response.status))])
      throw Self.unavailable
    }
    return Answer(
      status: response.status, json: (try? JSONParser.parse(response.body)) ?? .null,
      retryAfter: response.fields.first { $0.name.lowercased() == "retry-after" }?.value)
  }
}
