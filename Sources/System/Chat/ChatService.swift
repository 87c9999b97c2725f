import Environment

/// The Chat Service: contacts, groups, messages and presence over REST and Socket.IO (contract
/// section 2), and the User Server (section 4) in the namespace `/users`.
public struct ChatService: HTTPBackend {
  /// Its database in the data directory.
  public static let database = ServiceDatabase(
    "chat.db", ChatSchema.migrations, invariants: ChatInvariants.all)

  /// The time for which `drain` waits until the rows of closed sockets are removed.
  private static let patience: Duration = .seconds(2)

  private let environment: Environment
  private let database: Database
  private let directory: SessionDirectory
  private let sockets: SocketIOServer<ChatApplication>
  private let fanOut: FanOut
  private let userManager: any UserServerBackend
  private let presence: Presence
  /// Nil if messages are kept for good.
  private let retention: RetentionPasses?
  /// The place among the nodes that share the database; nil if this node has it for itself.
  private let place: NodeLease?

  /// Starts the service: opens its database, listens, and follows the events of the User Service.
  ///
  /// `makeBackend` connects to the User Manager; without it, users cannot serve sessions.
  /// - Throws: `DatabaseError`, `NetworkError`: an operator has to act.
  public static func start(
    _ environment: Environment, _ options: ChatServiceOptions,
    users makeBackend: (@Sendable (Environment, UserServerDelivery) async throws -> any UserServerBackend)? = nil
  ) async throws -> HTTPService<ChatService> {
    let metrics = Metrics(service: ChatRoutes.description.name)
    var databaseOptions = options.database
    databaseOptions.takesTurns = true
    databaseOptions.isShared = options.isOneOfSeveral
    let database = Database(
      environment, path: Self.database.path, migrations: Self.database.migrations, options: databaseOptions,
      observer: metrics.databaseObserver)
    let life = Hex.encode(environment.entropy.bytes(16))
    let (isShared, now) = (database.isShared, environment.clock.wallTime)
    let (position, lastRemoval) = try await database.transaction { connection in
      let tables = ChatTables(connection)
      if isShared {
        try await tables.nodes.join(life, name: environment.node)
      } else {
        try await PresenceTransactions(tables: tables).removeAll(exceptOf: life, at: now)
      }
      return (try await tables.publications.lastPosition(), try await tables.users.lastRemoval())
    }
    var socketOptions = options.sockets
    socketOptions.planted = options.planted
    let sockets = SocketIOServer<ChatApplication>(
      environment, options: socketOptions, namespaces: ["/", UserServer.namespace])
    let fanOut = FanOut(environment, database, sockets, position: position, planted: options.planted)
    let listener = try environment.network.listen(options.address, backlog: options.server.backlog, for: .http)
    let userManager =
      try await makeBackend?(environment, UserServerDelivery(environment, database, fanOut)) ?? NoUserManager()

    let accounts = AccountsClient(environment, address: options.users, token: options.server.serviceToken)
    let directory = SessionDirectory(
      environment, accounts, database, planted: options.planted, lastRemoval: lastRemoval,
      onRemoval: { news in await fanOut.publish(news) }
    ) { ended, reason in await sockets.disconnect(ended, reason: reason) }
    let departures = Departures(environment, database, userManager, planted: options.planted)
    let presence = Presence(
      environment, database, directory, fanOut, userManager, departures, life: life, planted: options.planted)

    let endpoints = ChatEndpoints(
      environment, ChatUsers(accounts: accounts, directory: directory), database, fanOut, userManager,
      planted: options.planted)
    let application = ChatApplication(
      sockets: sockets, presence: presence, directory: directory, contacts: endpoints.contacts,
      messages: endpoints.messages,
      userServer: UserServer(environment: environment, userManager: userManager), fanOut: fanOut,
      recoveries: Recoveries(environment, fanOut))
    let retention = RetentionPasses(
      environment, "message-retention", options.retention,
      MessageRetention(
        environment, database, fanOut, options.retention, isOneOfSeveral: options.isOneOfSeveral
      ).pass)
    let process = options.server.processMetrics
    let server = HTTPServer(
      environment, listener, service: ChatRoutes.description,
      routes: ChatRoutes.table(endpoints, metrics: metrics) {
        await presence.metrics() + fanOut.metrics() + database.metrics() + process()
          + [retention?.removed].compactMap { $0.map(MessageRetention.metric) }
      }
        + sockets.routes(path: "/socket.io/", for: application) + ConsolePage.routes,
      metrics: metrics, options: options.server)

    directory.start()
    await departures.tell()
    fanOut.start()
    retention?.start()
    let chat = ChatService(
      environment: environment, database: database, directory: directory, sockets: sockets, fanOut: fanOut,
      userManager: userManager, presence: presence, retention: retention,
      place: isShared ? place(environment, database, life, presence, directory, fanOut, departures) : nil)
    if let place = chat.place {
      await fanOut.afterLoss { await place.renew() }
      place.start()
    }
    return HTTPService("chat", chat, server)
  }

  /// Makes the place of a node that has joined with `life`.
  private static func place(
    _ environment: Environment, _ database: Database, _ life: String, _ presence: Presence,
    _ directory: SessionDirectory, _ fanOut: FanOut, _ departures: Departures
  ) -> NodeLease {
    let actions = NodeLease.Actions(
      stop: {
        await presence.stop()
        await directory.closeAll(because: "the node was cut off from its database")
      },
      begin: { life, position in
        await fanOut.skip(to: position)
        await presence.begin(life)
      }, publish: { await fanOut.publish($0) }, tellDepartures: { await departures.tell() })
    return NodeLease(environment, database, life: life, actions)
  }

  /// Closes the sockets, answers the requests in flight, and closes the database.
  public func drain(_ server: HTTPServer) async {
    await sockets.close()
    await server.drain()
    let deadline = environment.clock.now + Self.patience
    await presence.waitUntilEmpty(before: deadline)
    await place?.leave()
    await userManager.close()
    await directory.close()
    await fanOut.close()
    await retention?.close()
    await database.close()
  }
}
