import Environment

/// The Chat Service: contacts, groups, messages and presence over REST and Socket.IO (contract section 2), and the User Server
/// (section 4) in its namespace `/users`.
public actor ChatService: HTTPBackend {
  /// Its database in the data directory.
  public static let database = ServiceDatabase("chat.db", ChatSchema.migrations)

  let environment: Environment
  let database: Database
  let accounts: AccountsClient
  let directory: SessionDirectory
  let options: ChatServiceOptions
  /// Names this life of the node in the rows that end with it.
  let life: String
  private let serialExecutor: ActorExecutor
  private(set) var members: [SocketID: Member] = [:]
  private let sockets: SocketIOServer<ChatApplication>
  private let fanOut: FanOut
  private let users: any UserServerBackend
  private(set) var isRunning = true
  /// Sockets that are gone, and whose rows could not be removed yet.
  var departed = FIFO<(id: SocketID, member: Member)>()
  var isSettling = false
  /// Whether a departure was noted since they were read last.
  var hasNewDepartures = false
  var isTellingDepartures = false

  /// A socket that is connected, and whose it is.
  struct Member: Sendable {
    let user: ChatUser
    let session: ChatSessionID
  }

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Starts the service: opens its database, listens, follows the User Service.
  /// - Throws: `DatabaseError`, `NetworkError`: what an operator has to mend.
  public static func start(
    _ environment: Environment, _ options: ChatServiceOptions,
    users makeBackend: (@Sendable (Environment, UserServerDelivery) async throws -> any UserServerBackend)? = nil
  ) async throws -> HTTPService<ChatService> {
    let metrics = Metrics(service: ChatRoutes.description.name)
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database,
      observer: metrics.databaseObserver)
    let life = Hex.encode(environment.entropy.bytes(16))
    let (position, lastRemoval) = try await database.transaction { connection in
      try connection.removeSockets(exceptOf: life)
      return (try connection.lastPosition(), try connection.lastRemoval())
    }
    var socketOptions = options.sockets
    socketOptions.planted = options.planted
    let sockets = SocketIOServer<ChatApplication>(
      environment, options: socketOptions, namespaces: ["/", UserServer.namespace])
    let fanOut = FanOut(
      environment, database, sockets, position: position,
      planted: options.planted, makeEvent: ChatPayload.newMessage)
    let listener = try environment.network.listen(options.address, backlog: options.server.backlog)
    let delivery = UserServerDelivery { user, message in
      await fanOut.tell(UserServer.sessionMessage(message, to: user))
    }
    let users = try await makeBackend?(environment, delivery) ?? NoUserManager()
    let chat = ChatService(
      environment, options, database, life, sockets, fanOut, users, lastRemoval: lastRemoval)
    let server = HTTPServer(
      environment, listener, service: ChatRoutes.description,
      routes: ChatRoutes.table(chat, sockets, metrics: metrics), metrics: metrics, options: options.server)
    chat.directory.start()
    await chat.tellDepartures()
    fanOut.start()
    return HTTPService("chat", chat, server)
  }

  private init(
    _ environment: Environment, _ options: ChatServiceOptions, _ database: Database, _ life: String,
    _ sockets: SocketIOServer<ChatApplication>, _ fanOut: FanOut, _ users: any UserServerBackend,
    lastRemoval: Int64
  ) {
    self.environment = environment
    self.options = options
    self.database = database
    self.life = life
    self.sockets = sockets
    self.fanOut = fanOut
    self.users = users
    serialExecutor = environment.executor.forActor("chat-service")
    accounts = AccountsClient(environment, address: options.users, token: options.server.serviceToken)
    directory = SessionDirectory(
      environment, accounts, database, planted: options.planted,
      lastRemoval: lastRemoval, onRemoval: { news in await fanOut.publish(news) }
    ) { ended, reason in await sockets.disconnect(ended, reason: reason) }
  }

  /// Stops taking requests, ends the sockets, closes the database.
  public func drain(_ server: HTTPServer) async {
    guard isRunning else { return }
    await sockets.close()
    await server.drain()
    let deadline = environment.clock.now + .seconds(2)
    while !members.isEmpty || !departed.isEmpty, environment.clock.now < deadline {
      do { try await environment.clock.sleep(for: .milliseconds(5)) } catch { break }
    }
    await users.close()
    await directory.close()
    await fanOut.close()
    await database.close()
    isRunning = false
  }

  // MARK: What the rest of the service uses

  func publish(_ events: [RoomEvent], at position: Int64) async { await fanOut.publish(events, at: position) }
  func publish(_ published: PublishedAt) async { await fanOut.publish(published) }
  func tell(_ event: RoomEvent) async { await fanOut.tell(event) }
  func emit(_ name: String, _ value: JSONValue, to socket: SocketID) async {
    await sockets.emit(name, SocketPayload([value]), to: socket)
  }
  func close(_ sockets: [SocketID], _ reason: String) async {
    await self.sockets.disconnect(sockets, reason: reason)
  }

  /// The User Manager, as long as the service runs.
  func userManager() throws(ChatRefusal) -> any UserServerBackend {
    guard isRunning else { throw .stopping }
    return users
  }

  func note(_ member: Member, at socket: SocketID) { members[socket] = member }
  func forget(_ socket: SocketID) -> Member? { members.removeValue(forKey: socket) }
}
