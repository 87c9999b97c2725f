import Environment

/// How the Customer Server is set up.
public struct CustomerServerOptions: Sendable {
  /// Where it listens.
  public var address = SocketAddress(host: "127.0.0.1", port: 5500)
  /// Who says whether an email and a password belong together.
  public var credentials = SocketAddress(host: "127.0.0.1", port: 8001)
  /// Where the User Manager is, which `/health` asks how it is; nil when nobody has said.
  public var manager: SocketAddress?
  /// Where the broker is.
  public var broker = BrokerAddress(address: SocketAddress(host: "127.0.0.1", port: 5672))
  /// How the HTTP server behaves.
  public var server = HTTPServerOptions()
  /// What the database promises.
  public var database = DatabaseOptions()
  /// Time for a supervisor to take a session.
  public var initializeTimeout: Duration = .seconds(5)
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}

/// The Customer Server: customers ask for supervised sessions (contract section 3). What the customer agents of the documents are, is
/// here a row for each session: what it heard, and what it said that is not in the transcript yet.
public actor CustomerServer: HTTPBackend {
  /// Its database in the data directory.
  public static let database = ServiceDatabase("customers.db", CustomerSchema.migrations)

  let environment: Environment
  let database: Database
  let options: CustomerServerOptions
  let client: AMQPClient
  private let credentials: HTTPClientPool
  private let serialExecutor: ActorExecutor
  /// Those who wait for a supervisor, by the id of their request: an email may have a later one.
  private var waiting: [String: Waiter] = [:]

  private enum Waiter {
    /// The request is on its way, and nobody waits yet.
    case expected
    /// The answer came before anybody waited for it.
    case answered
    case waits(UnsafeContinuation<Bool, Never>)
  }

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Starts the service: opens its database, connects to the broker, listens.
  /// - Throws: `DatabaseError`, `NetworkError`: what an operator has to mend.
  public static func start(
    _ environment: Environment, _ options: CustomerServerOptions
  ) async throws -> HTTPService<CustomerServer> {
    let metrics = Metrics(service: CustomerRoutes.description.name)
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database,
      observer: metrics.databaseObserver)
    // What was being initialized when the last life ended is asked for anew.
    _ = try await database.transaction {
      try $0.execute("UPDATE customer_sessions SET status = 'PENDING' WHERE status = 'INITIALIZING'")
    }
    let listener = try environment.network.listen(options.address, backlog: options.server.backlog)
    let customers = CustomerServer(environment, options, database)
    let server = HTTPServer(
      environment, listener, service: CustomerRoutes.description,
      routes: CustomerRoutes.table(customers, metrics: metrics), metrics: metrics, options: options.server)
    await customers.connect()
    return HTTPService("customers", customers, server)
  }

  private init(_ environment: Environment, _ options: CustomerServerOptions, _ database: Database) {
    self.environment = environment
    self.options = options
    self.database = database
    client = AMQPClient(environment, broker: options.broker)
    credentials = HTTPClientPool(environment, address: options.credentials)
    serialExecutor = environment.executor.forActor("customer-server")
  }

  private func connect() async {
    await client.declare(QueueNames.declarations)
    await client.consumeEach(QueueNames.toCustomerServer, exclusive: true) { deliveries in
      try await self.take(deliveries)
    }
    client.start()
  }

  /// Stops taking requests, closes the database.
  public func drain(_ server: HTTPServer) async {
    await server.drain()
    await client.close()
    await credentials.close()
    await database.close()
  }

  // MARK: Requests

  private static func key(of call: Call) throws(HTTPFailure) -> String {
    guard let email = CustomerEmail(call.string("EMAIL")) else {
      throw HTTPFailure(400, "EMAIL: must have an @ and at most 255 bytes")
    }
    return email.key
  }

  func requestSession(_ call: Call) async throws -> Reply {
    let email = call.string("EMAIL")
    let key = try Self.key(of: call)
    guard call.body["PERSONA_TYPE"] == "CUSTOMERS", UserCount(call.body["DATA"]?["USER_COUNT"]) != nil else {
      throw CustomerRoutes.failure(400, "INVALID_REQUEST")
    }
    guard try await isRegistered(email, call.string("PASSWORD"), call.client.host) else {
      throw CustomerRoutes.failure(401, "INVALID_EMAIL_OR_PASSWORD")
    }
    let token = Hex.encode(environment.entropy.bytes(32))
    let now = environment.clock.wallTime
    let data = call.body["DATA"] ?? .object([])
    let known: CustomerSession?
    if options.planted(.checksThenSets) {
      known = try await database.transaction { try $0.customerSession(key, at: now) }
      if known == nil {
        try await database.transaction {
          try $0.noteRequest(email, key: key, token: token, data: data, at: now)
        }
      }
    } else {
      known = try await database.transaction {
        try $0.requestSession(email, key: key, token: token, data: data, at: now)
      }
    }
    if let known {
      // Whoever knows the password may have lost the token.
      return .json(["MESSAGE": "SESSION_ALREADY_RUNNING", "SESSION_TOKEN": .string(known.token)], status: 400)
    }
    return .json(["MESSAGE": "SESSION_CREATION_REQUEST_ACCEPTED", "SESSION_TOKEN": .string(token)])
  }

  /// Asks the credential server.
  private func isRegistered(_ email: String, _ password: String, _ address: String) async throws -> Bool {
    let fields = options.server.serviceToken.map { [(name: "authorization", value: "Bearer \($0)")] } ?? []
    let question: JSONValue = [
      "EMAIL": .string(email), "PASSWORD": .string(password), "TYPE": "CUSTOMERS", "ADDRESS": .string(address),
    ]
    do {
      let response = try await credentials.ask(
        "POST", "/check_node", fields: fields, json: question, timeout: .seconds(5))
      if response.status == 429 {
        throw HTTPFailure(
          429, "TOO_MANY_ATTEMPTS", fields: response.fields.filter { $0.name.lowercased() == "retry-after" })
      }
      if response.status != 200 {
        environment.log.warning("credential-server-refuses", ["status": .int(Int64(response.status))])
      }
      guard response.status == 200, let answer = try? JSONParser.parse(response.body)["MESSAGE"]?.string else {
        throw CustomerRoutes.failure(500, "SESSION_CREATION_FAILED")
      }
      return answer == "REGISTERED"
    } catch is NetworkError {
      throw CustomerRoutes.failure(500, "SESSION_CREATION_FAILED")
    } catch is HTTPError {
      throw CustomerRoutes.failure(500, "SESSION_CREATION_FAILED")
    }
  }

  /// Asks for a supervisor and waits until one has taken the session.
  func initializeSession(_ call: Call) async throws -> Reply {
    let key = try Self.key(of: call)
    let shown = call.body["SESSION_TOKEN"]?.string
    let now = environment.clock.wallTime
    let request = "start/\(Hex.encode(environment.entropy.bytes(8)))"
    let session = try await database.transaction { database -> CustomerSession? in
      guard let session = try database.customerSession(key, at: now), session.status == .pending else { return nil }
      // A wrong token changes nothing.
      if shown.map({ Cryptography.constantTimeEqual($0.utf8, session.token.utf8) }) ?? true {
        try database.initializes(key, request: request)
      }
      return session
    }
    guard let session else { throw CustomerRoutes.failure(404, "NO_SESSION_PENDING") }
    if let shown, !Cryptography.constantTimeEqual(shown.utf8, session.token.utf8) {
      throw CustomerRoutes.failure(401, "INVALID_SESSION_TOKEN")
    }
    var start = QueueMessage("START_SESSION", ["EMAIL": .string(session.email), "SESSION_DATA": session.data])
    start.id = request
    waiting[request] = .expected
    await post(start)
    if await supervisorComes(request) { return .json(["MESSAGE": "SESSION_INITIALIZED"]) }
    let isPending = try await database.transaction { try $0.givesUp(key, request: request) }
    // One may have come at the last moment.
    guard isPending else { return .json(["MESSAGE": "SESSION_INITIALIZED"]) }
    var end = QueueMessage("END_SESSION", ["EMAIL": .string(session.email), "REQUEST": .string(request)])
    end.id = "end/\(Hex.encode(environment.entropy.bytes(8)))"
    await post(end)
    throw CustomerRoutes.failure(500, "SESSION_CREATION_FAILED")
  }

  /// Waits until a supervisor has taken the session that a request is for; false when none does in time.
  private func supervisorComes(_ request: String) async -> Bool {
    if case .answered? = waiting[request] {
      waiting[request] = nil
      return true
    }
    let timer = environment.executor.spawn("initialize-timeout") { [environment, options] in
      // Cancelled by the answer, it wakes nobody: the request is not waited for any more.
      try? await environment.clock.sleep(for: options.initializeTimeout)
      self.wake(request, false)
    }
    defer { timer.cancel() }
    return await withUnsafeContinuation { waiting[request] = .waits($0) }
  }

  func wake(_ request: String, _ runs: Bool) {
    switch waiting[request] {
    case nil, .answered?: break
    case .expected?: waiting[request] = .answered
    case .waits(let continuation)?:
      waiting[request] = nil
      continuation.resume(returning: runs)
    }
  }

  /// Sends a message to the manager, after those before. The client sends it again until the broker has it, so nobody waits.
  private func post(_ message: QueueMessage) async {
    await client.post(message.sent(to: QueueNames.managerExchange, QueueNames.fromCustomerServer))
  }

  func handleRequest(_ call: Call) async throws -> Reply {
    let key = try Self.key(of: call)
    let now = environment.clock.wallTime
    guard let session = try await database.transaction({ try $0.customerSession(key, at: now) }) else {
      throw CustomerRoutes.failure(404, "NO_SESSION_RUNNING")
    }
    guard Cryptography.constantTimeEqual(call.string("SESSION_TOKEN").utf8, session.token.utf8) else {
      throw CustomerRoutes.failure(401, "INVALID_SESSION_TOKEN")
    }
    guard session.status == .running, let supervisor = session.supervisor else {
      throw CustomerRoutes.failure(404, "NO_SESSION_RUNNING")
    }
    let data = call.body["DATA"] ?? .object([])
    switch call.string("REQUEST") {
    case "SEND_MESSAGE": return try await say(data["MESSAGE"], key, supervisor)
    case "GET_MESSAGES":
      let after = data["AFTER"] ?? 0
      guard let after = after.int else { throw CustomerRoutes.failure(400, "INVALID_REQUEST") }
      let messages = try await database.transaction { try $0.transcript(supervisor, after: after, limit: 500) }
      return .json(["MESSAGE": "MESSAGES", "MESSAGES": .array(messages)])
    case "ADDITIONAL_USERS":
      let count = data["USER_COUNT"] ?? 1
      guard UserCount(count) != nil else { throw CustomerRoutes.failure(400, "INVALID_REQUEST") }
      try await tell("ADDITIONAL_USERS", ["SESSION_SUPERVISOR_ID": .string(supervisor.text), "USER_COUNT": count])
      return .json(["MESSAGE": "ADDITIONAL_USERS_REQUESTED"])
    case "END_SESSION":
      try await tell("END_SESSION", ["SESSION_SUPERVISOR_ID": .string(supervisor.text)])
      try await database.transaction { try $0.sessionEnds(supervisor) }
      return .json(["MESSAGE": "SESSION_ENDED"])
    default: throw CustomerRoutes.failure(400, "INVALID_REQUEST")
    }
  }

  /// Sends a message to the manager, and returns once the broker has it.
  private func tell(_ type: String, _ data: JSONValue) async throws {
    var message = QueueMessage(type, data)
    message.id = "customer/\(Hex.encode(environment.entropy.bytes(8)))"
    try await publish(message.sent(to: QueueNames.managerExchange, QueueNames.fromCustomerServer))
  }

  private func publish(_ message: AMQPMessage) async throws {
    do { try await client.publish(message) } catch is NetworkError {
      throw HTTPFailure(503, "SERVICE_UNAVAILABLE")
    }
  }

  /// Keeps what the customer says, and sends it to the supervisor: it is answered once the broker has it.
  private func say(_ message: JSONValue?, _ key: String, _ supervisor: SupervisorID) async throws -> Reply {
    guard let message, message.bytes.count <= 65_536 else { throw CustomerRoutes.failure(400, "INVALID_REQUEST") }
    let kept = try await database.transaction { database -> (id: String, previous: String?)? in
      if try database.hasTooMuchUnheard(supervisor) { throw HTTPFailure(429, "TOO_MANY_MESSAGES") }
      return try database.customerSays(message, key, supervisor)
    }
    guard let (id, previous) = kept else { throw CustomerRoutes.failure(404, "NO_SESSION_RUNNING") }
    try await publish(Self.customerMessage(id, previous, message, supervisor))
    return .json(["MESSAGE": "MESSAGE_SENT", "MESSAGE_ID": .string(id)])
  }

  static func customerMessage(
    _ id: String, _ previous: String?, _ message: JSONValue, _ supervisor: SupervisorID
  ) -> AMQPMessage {
    var members: [JSONValue.Member] = [.init("MESSAGE_ID", .string(id)), .init("MESSAGE", message)]
    if let previous { members.append(.init("PREVIOUS", .string(previous))) }
    return QueueMessage("CUSTOMER_MESSAGE", .object(members))
      .sent(to: QueueNames.supervisorExchange, QueueNames.fromCustomer(to: supervisor))
  }

  func status(of email: String) async throws -> Reply {
    guard let key = CustomerEmail(email)?.key else { throw CustomerRoutes.failure(400, "INVALID_REQUEST") }
    let now = environment.clock.wallTime
    let session = try await database.transaction { try $0.customerSession(key, at: now) }
    switch session?.status {
    case nil: return .json(["MESSAGE": "IDLE"])
    case .pending?, .initializing?: return .json(["MESSAGE": "PENDING"])
    case .running?: return .json(["MESSAGE": "RUNNING"])
    }
  }

  func health() async throws -> String {
    guard await database.checkHealth() else { throw HTTPFailure(503, "SERVICE_UNAVAILABLE") }
    if let fault = await self.client.fault() { throw HTTPFailure(503, "SERVICE_UNAVAILABLE: \(fault)") }
    guard let manager = options.manager else { return "the customer database and the broker answer" }
    let client = HTTPClient(environment, address: manager)
    defer { client.close() }
    // Without it requests are still taken, and served when it is back: so its absence is told, and is no 503.
    let answer = try? await client.send("GET", "/health", timeout: Self.managerPatience)
    return "the customer database and the broker answer, the User Manager \(answer?.status == 200 ? "too" : "does not")"
  }

  /// Time for the User Manager to say how it is.
  private static let managerPatience: Duration = .seconds(1)
}
