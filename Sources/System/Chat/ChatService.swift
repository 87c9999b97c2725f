import Environment

/// The Chat Service: contacts, groups, messages and presence over REST and Socket.IO (contract section 2), and the User Server
/// (section 4) in its namespace `/users`.
public actor ChatService: Service {
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
  private var parts: Parts?
  /// Sockets that are gone, and whose rows could not be removed yet.
  var departed = FIFO<(id: SocketID, member: Member)>()
  var isSettling = false
  /// Whether a departure was noted since they were read last.
  var hasNewDepartures = false
  var isTellingDepartures = false
  /// For the bug of that name.
  var rememberedMembers: [GroupID: [UserNumber]] = [:]

  /// A socket that is connected, and whose it is.
  struct Member: Sendable {
    let user: ChatUser
    let session: ChatSessionID
  }

  private struct Parts {
    let server: HTTPServer
    let sockets: SocketIOServer
    let fanOut: FanOut
    let users: any UserServerBackend
  }

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Where it listens.
  public nonisolated let addresses: [(name: String, address: SocketAddress)]

  /// Starts the service: opens its database, listens, follows the User Service.
  /// - Throws: `DatabaseError`, `NetworkError`: what an operator has to mend.
  public static func start(
    _ environment: Environment, _ options: ChatServiceOptions,
    users makeBackend: (@Sendable (Environment, UserServerDelivery) async throws -> any UserServerBackend)? = nil
  ) async throws -> ChatService {
    let metrics = Metrics(service: ChatRoutes.description.name)
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: options.database,
      observer: metrics.databaseObserver)
    let life = Hex.encode(environment.entropy.bytes(16))
    let (position, lastRemoval) = try await database.transaction { connection in
      try connection.removeSockets(exceptOf: life)
      return (try connection.lastPosition(), try connection.lastRemoval())
    }
    let reference = ServiceReference<ChatService>()
    var socketOptions = options.sockets
    socketOptions.dropsOnUpgrade = options.planted.contains(.dropsOnUpgrade)
    socketOptions.admitsTwice = options.planted.contains(.admitsTwice)
    let sockets = await SocketIOServer.make(
      environment, options: socketOptions, namespaces: ["/", UserServer.namespace],
      application: ChatApplication(chat: reference))
    let fanOut = FanOut(
      environment, database, sockets, position: position,
      ignoresOrder: options.planted.contains(.emitsInArrivalOrder), makeEvent: ChatPayload.newMessage)
    let server = try HTTPServer(
      environment, address: options.address, service: ChatRoutes.description,
      routes: ChatRoutes.table(reference, sockets, metrics: metrics), metrics: metrics, options: options.server,
      onEnd: { reference.set(nil) })
    let service = ChatService(
      environment, options, database, life, server.address, sockets, fanOut, lastRemoval: lastRemoval)
    let delivery = UserServerDelivery { user, message in await service.deliver(message, to: user) }
    let users = try await makeBackend?(environment, delivery) ?? NoUserManager()
    await service.complete(Parts(server: server, sockets: sockets, fanOut: fanOut, users: users))
    reference.set(service)
    service.directory.start()
    await service.tellDepartures()
    fanOut.start()
    server.start()
    return service
  }

  private init(
    _ environment: Environment, _ options: ChatServiceOptions, _ database: Database, _ life: String,
    _ address: SocketAddress, _ sockets: SocketIOServer, _ fanOut: FanOut, lastRemoval: Int64
  ) {
    self.environment = environment
    self.options = options
    self.database = database
    self.life = life
    addresses = [("chat", address)]
    serialExecutor = environment.executor.forActor("chat-service")
    accounts = AccountsClient(environment, address: options.users, token: options.server.serviceToken)
    directory = SessionDirectory(
      environment, accounts, database, trustsForever: options.planted.contains(.trustsSessionsForever),
      lastRemoval: lastRemoval, onRemoval: { news in await fanOut.publish(news) }
    ) { ended, reason in await sockets.disconnect(ended, reason: reason) }
  }

  private func complete(_ parts: Parts) { self.parts = parts }

  /// Stops taking requests, ends the sockets, closes the database.
  public func drain() async {
    guard let parts else { return }
    await parts.sockets.close()
    await parts.server.drain()
    let deadline = environment.clock.now + .seconds(2)
    while !members.isEmpty || !departed.isEmpty, environment.clock.now < deadline {
      do { try await environment.clock.sleep(for: .milliseconds(5)) } catch { break }
    }
    await parts.users.close()
    await directory.close()
    await parts.fanOut.close()
    await database.close()
    self.parts = nil
  }

  // MARK: What the rest of the service uses

  private func running() throws(ChatRefusal) -> Parts {
    guard let parts else { throw .stopping }
    return parts
  }

  var isRunning: Bool { parts != nil }

  func publish(_ events: [RoomEvent], at position: Int64) async { await parts?.fanOut.publish(events, at: position) }
  func publish(_ published: PublishedAt) async { await parts?.fanOut.publish(published) }
  func tell(_ event: RoomEvent) async { await parts?.fanOut.tell(event) }
  func emit(_ name: String, _ value: JSONValue, to socket: SocketID) async {
    await parts?.sockets.emit(name, SocketPayload([value]), to: socket)
  }
  func close(_ sockets: [SocketID], _ reason: String) async {
    await parts?.sockets.disconnect(sockets, reason: reason)
  }
  func users() throws(ChatRefusal) -> any UserServerBackend { try running().users }

  func note(_ member: Member, at socket: SocketID) { members[socket] = member }
  func forget(_ socket: SocketID) -> Member? { members.removeValue(forKey: socket) }
}
