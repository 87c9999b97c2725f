import Environment

/// The Customer Server (contract section 3): customers ask for supervised sessions, and speak in
/// them.
///
/// A row for each session takes the place of the customer agents of the documents. It holds what
/// the customer sent that is not in the transcript yet, and the transcript.
public actor CustomerServer: HTTPBackend {
  /// The database of the Customer Server.
  public static let database = ServiceDatabase(
    "customers.db", CustomerSchema.migrations, invariants: CustomerInvariants.all)

  /// Messages in one answer to `GET_MESSAGES`.
  private static let maximumPage = 500
  /// Time for the User Manager to answer a health check.
  private static let managerTimeout: Duration = .seconds(1)

  private let environment: Environment
  private let database: Database
  private let options: CustomerServerOptions
  private let client: AMQPClient
  private let credentials: CredentialServer
  private let serialExecutor: ActorExecutor
  private var pending = PendingInitializations()
  /// The sessions that a request is ending. Each gate opens when that request is done.
  private var ending: [SupervisorID: Gate] = [:]

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Starts the service: opens its database, connects to the broker, and listens.
  /// - Throws: `DatabaseError`, `NetworkError`: a fault that an operator has to mend.
  public static func start(
    _ environment: Environment, _ options: CustomerServerOptions
  ) async throws -> HTTPService<CustomerServer> {
    let metrics = Metrics(service: CustomerRoutes.description.name)
    var databaseOptions = options.database
    databaseOptions.takesTurns = true
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: databaseOptions,
      observer: metrics.databaseObserver)
    // The requests that the last life made are void: nobody waits for their answers.
    try await database.transaction { try await CustomerTables($0).giveUpAll() }
    let listener = try environment.network.listen(options.address, backlog: options.server.backlog, for: .http)
    let customers = CustomerServer(environment, options, database)
    let process = options.server.processMetrics
    let server = HTTPServer(
      environment, listener, service: CustomerRoutes.description,
      routes: CustomerRoutes.table(customers, metrics: metrics) { await database.metrics() + process() },
      metrics: metrics, options: options.server)
    await customers.connect()
    return HTTPService("customers", customers, server)
  }

  private init(_ environment: Environment, _ options: CustomerServerOptions, _ database: Database) {
    self.environment = environment
    self.options = options
    self.database = database
    client = AMQPClient(environment, broker: options.broker)
    credentials = CredentialServer(
      environment, address: options.credentials, serviceToken: options.server.serviceToken)
    serialExecutor = environment.executor.forActor("customer-server")
  }

  private func connect() async {
    await client.declare(QueueNames.declarations)
    await client.consumeEach(QueueNames.toCustomerServer, exclusive: true) { deliveries in
      try await self.take(deliveries)
    }
    client.start()
  }

  /// Stops taking requests and messages, and closes the database.
  public func drain(_ server: HTTPServer) async {
    await server.drain()
    await client.close()
    await credentials.close()
    await database.close()
  }

  // MARK: Requests for a session

  /// Accepts a request for a session. Returns the token that later requests show.
  /// - Throws: `CustomerRefusal`, `DatabaseError`.
  func requestSession(
    _ email: CustomerEmail, password: String, data: JSONValue, from address: String
  ) async throws -> SessionToken {
    guard try await credentials.isRegistered(email, password, from: address) else {
      throw CustomerRefusal.invalidEmailOrPassword
    }
    let token = SessionToken(from: environment.entropy)
    let now = environment.clock.wallTime
    let known: CustomerSession?
    if options.planted(.checksThenSets) {
      known = try await database.transaction { try await CustomerTables($0).session(of: email, at: now) }
      if known == nil {
        try await database.transaction { try await CustomerTables($0).put(email, token: token, data: data, at: now) }
      }
    } else {
      known = try await database.transaction {
        try await CustomerTables($0).request(email, token: token, data: data, at: now)
      }
    }
    if let known { throw CustomerRefusal.sessionExists(known.token) }
    return token
  }

  /// Asks for a supervisor, and returns once one has taken the session. The token is optional.
  /// - Throws: `CustomerRefusal`, `DatabaseError`.
  func initializeSession(_ email: CustomerEmail, shown: SessionToken?) async throws {
    let now = environment.clock.wallTime
    let request = RequestID("start/\(Hex.encode(environment.entropy.bytes(8)))")!
    // Transactions run in the order in which they are requested: an earlier one is stored when this
    // one runs.
    pending.begin(request, of: email)
    defer { pending.finish(request, of: email) }
    let underWay = pending.underWay
    let session = try await database.transaction { connection -> CustomerSession in
      let tables = CustomerTables(connection)
      guard let session = try await tables.session(of: email, at: now), session.mayInitialize(underWay: underWay) else {
        throw CustomerRefusal.noSessionPending
      }
      if let shown, !session.token.matches(shown) { throw CustomerRefusal.invalidSessionToken }
      try await tables.initialize(email, request)
      return session
    }
    var start = QueueMessage(
      "START_SESSION", ["EMAIL": .string(session.email.text), "SESSION_DATA": session.data])
    start.id = request.text
    pending.expect(request)
    await post(start)
    if await supervisorTakes(request) { return }
    // A supervisor may take the session until it is given up.
    let isGivenUp = try await database.transaction { connection in
      let tables = CustomerTables(connection)
      if try await tables.giveUp(email, request) { return true }
      // Otherwise a supervisor has taken it, or an operator has erased it.
      guard try await tables.session(of: email, at: now) != nil else { throw CustomerRefusal.noSessionPending }
      return false
    }
    guard isGivenUp else { return }
    var end = QueueMessage(
      "END_SESSION", ["EMAIL": .string(session.email.text), "REQUEST": .string(request.text)])
    end.id = "end/\(Hex.encode(environment.entropy.bytes(8)))"
    await post(end)
    throw CustomerRefusal.sessionCreationFailed
  }

  /// Waits for a supervisor to take the session of a request. Returns false if none does in time.
  private func supervisorTakes(_ request: RequestID) async -> Bool {
    if pending.takeServed(request) { return true }
    let timer = environment.executor.spawn("initialize-timeout") { [environment, options] in
      // After a cancellation the wait is over, and ending it again does nothing.
      try? await environment.clock.sleep(for: options.initializeTimeout)
      self.pending.end(request, isServed: false)
    }
    defer { timer.cancel() }
    return await withUnsafeContinuation { pending.wait(for: request, $0) }
  }

  /// Queues a message to the manager, after those before. The client sends it until the broker has
  /// it.
  private func post(_ message: QueueMessage) async {
    await client.post(message.sent(to: QueueNames.managerExchange, QueueNames.fromCustomerServer))
  }

  /// Returns where a customer's session stands; nil without a session.
  func status(of email: CustomerEmail) async throws -> CustomerSession.Status? {
    let now = environment.clock.wallTime
    return try await database.transaction { try await CustomerTables($0).session(of: email, at: now) }?.status
  }

  // MARK: Requests in a session

  /// Carries out a command of the customer, `name` and `data`, in its running session.
  /// - Throws: `CustomerRefusal`, `DatabaseError`.
  func handle(
    _ name: String, _ data: JSONValue, of email: CustomerEmail, shown: SessionToken
  ) async throws -> SessionCommand.Answer {
    let supervisor = try await supervisor(of: email, shown: shown)
    switch try SessionCommand(name, data) {
    case .sendMessage(let text): return .messageSent(try await send(text, from: email, to: supervisor))
    case .readMessages(let after):
      let limits = environment.limits
      return .messages(
        try await database.transaction {
          try await CustomerTables($0).transcript(
            of: supervisor, after: TranscriptPosition(after), limit: Self.maximumPage, limits)
        })
    case .addUsers(let count):
      try await tell("ADDITIONAL_USERS", of: supervisor, [.init("USER_COUNT", count.json)])
      return .usersRequested
    case .end:
      try await endSession(of: email, shown: shown, supervisor)
      return .ended
    }
  }

  /// Returns the supervisor of a customer's running session.
  private func supervisor(of email: CustomerEmail, shown: SessionToken) async throws -> SupervisorID {
    let now = environment.clock.wallTime
    guard let session = try await database.transaction({ try await CustomerTables($0).session(of: email, at: now) })
    else {
      throw CustomerRefusal.noSessionRunning
    }
    guard session.token.matches(shown) else { throw CustomerRefusal.invalidSessionToken }
    guard session.status == .running, let supervisor = session.supervisor else {
      throw CustomerRefusal.noSessionRunning
    }
    return supervisor
  }

  /// Ends a session. One of several requests at once ends it, and the others find none.
  private func endSession(of email: CustomerEmail, shown: SessionToken, _ supervisor: SupervisorID) async throws {
    var supervisor = supervisor
    while let other = ending[supervisor] {
      guard await other.wait(in: environment) else { throw NodeDown() }
      supervisor = try await self.supervisor(of: email, shown: shown)
    }
    let (ended, done) = (supervisor, Gate())
    ending[ended] = done
    defer {
      ending[ended] = nil
      done.open()
    }
    try await tell("END_SESSION", of: ended)
    try await database.transaction { try await CustomerTables($0).end(ended) }
  }

  /// Keeps a message of the customer, and sends it to the supervisor.
  private func send(
    _ text: JSONValue, from email: CustomerEmail, to supervisor: SupervisorID
  ) async throws -> SessionMessageID {
    let message = try await database.transaction { connection -> UnheardMessage in
      let tables = CustomerTables(connection)
      if try await tables.isFull(supervisor) { throw CustomerRefusal.tooManyMessages }
      guard let message = try await tables.add(text, from: email, to: supervisor) else {
        throw CustomerRefusal.noSessionRunning
      }
      return message
    }
    try await publish(message.message(to: supervisor, of: .current))
    return message.id
  }

  /// Sends a message about a session to the manager.
  private func tell(_ type: String, of supervisor: SupervisorID, _ more: [JSONValue.Member] = []) async throws {
    var message = QueueMessage(type, .object([.init("SESSION_SUPERVISOR_ID", .string(supervisor.text))] + more))
    message.id = "customer/\(Hex.encode(environment.entropy.bytes(8)))"
    try await publish(message.sent(to: QueueNames.managerExchange, QueueNames.fromCustomerServer))
  }

  /// Publishes a message, and returns once the broker has it.
  private func publish(_ message: AMQPMessage) async throws {
    do { try await client.publish(message) } catch is NetworkError { throw CustomerRefusal.unavailable }
  }

  // MARK: News

  private func take(_ deliveries: [AMQPDelivery]) async throws {
    var news: [CustomerNews] = []
    for delivery in deliveries {
      do throws(QueueMessage.Malformed) { news.append(try CustomerNews(try QueueMessage(delivery))) } catch {
        try await client.publishEach([
          delivery.deadLetter(from: QueueNames.toCustomerServer, because: error.reason, environment.log)
        ])
      }
    }
    let items = news
    let outcome = try await database.transaction { try await CustomerNews.store(items, in: CustomerTables($0)) }
    for request in outcome.served { pending.end(request, isServed: true) }
    for session in outcome.erased {
      try await CustomerErasure.removeTranscript(of: session, in: database, environment.limits)
    }
    try await client.publishEach(outcome.messages)
  }

  // MARK: Erasure

  /// Deletes what a customer has here, and the transcripts of `sessions`. Those of other sessions
  /// go when the manager has removed them.
  func erase(_ email: CustomerEmail, sessions: [SupervisorID], isTrial: Bool) async throws -> JSONValue {
    let found = try await CustomerErasure.erase(
      email, sessions: sessions, isTrial: isTrial, in: database, environment.limits)
    return found.answer(underWay: pending.number(of: email))
  }

  // MARK: Health

  /// Checks the database and the broker; returns a description for `/health`.
  ///
  /// The User Manager is in the description only. Without it requests are still taken, and served
  /// when it is back.
  func health() async throws -> String {
    guard await database.checkHealth() else { throw CustomerRefusal.unavailable }
    if let fault = await client.fault() { throw CustomerRefusal.brokerUnavailable(fault) }
    guard let manager = options.manager else { return "the customer database and the broker answer" }
    let client = HTTPClient(environment, address: manager)
    defer { client.close() }
    let answer = try? await client.send("GET", "/health", timeout: Self.managerTimeout)
    return "the customer database and the broker answer, the User Manager \(answer?.status == 200 ? "too" : "does not")"
  }
}
