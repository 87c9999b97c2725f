import Environment

/// The connected sockets and their users.
///
/// A socket has a row in the database while it is connected, so that a user's presence is a count
/// of rows and does not depend on the order in which sockets open and close. Friends hear of a
/// user's first and last socket in `/`; the User Manager hears of the first and last socket in
/// `/users`.
actor Presence {
  /// The user and the session of a socket.
  struct Member: Sendable {
    let user: ChatUser
    let session: ChatSessionID
    /// What its client shows, if it wants to be recovered.
    var recovery: RecoveryRequest?
  }

  private static let retryInterval: Duration = .milliseconds(250)

  private let environment: Environment
  private let database: Database
  private let directory: SessionDirectory
  private let fanOut: FanOut
  private let userManager: any UserServerBackend
  private let departures: Departures
  /// Marks the rows of this life of the node. Rows of earlier lives are removed at the next start,
  /// or by other nodes. Nil while the node has no place among the others.
  private var life: String?
  private let planted: PlantedBugs
  private let serialExecutor: ActorExecutor
  private var members: [SocketID: Member] = [:]
  /// Closed sockets whose rows are not removed yet, oldest first.
  private var closed = FIFO<(socket: SocketID, member: Member)>()
  private var isRemoving = false
  /// Opened when the row of a closed socket has been removed.
  private let rowsRemoved = Gate()

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// The metrics of the connected sockets.
  func metrics() -> [MetricFamily] {
    [
      MetricFamily("parley_chat_sockets", .gauge, "Sockets that are admitted.", Double(members.count)),
      MetricFamily(
        "parley_chat_sockets_leaving", .gauge, "Closed sockets whose rows are not removed yet.", Double(closed.count)),
    ]
  }

  init(
    _ environment: Environment, _ database: Database, _ directory: SessionDirectory, _ fanOut: FanOut,
    _ userManager: any UserServerBackend, _ departures: Departures, life: String, planted: PlantedBugs
  ) {
    self.environment = environment
    self.database = database
    self.directory = directory
    self.fanOut = fanOut
    self.userManager = userManager
    self.departures = departures
    self.life = life
    self.planted = planted
    serialExecutor = environment.executor.forActor("presence")
  }

  /// The user and the session of a connected socket; nil for any other socket.
  func member(at socket: SocketID) -> Member? { members[socket] }

  /// Waits until no socket is connected and the rows of all closed ones are removed, but not beyond
  /// `deadline`.
  func waitUntilEmpty(before deadline: Instant) async {
    while !(members.isEmpty && closed.isEmpty), await rowsRemoved.wait(until: deadline, in: environment) {}
  }

  /// Begins a new life of the node.
  func begin(_ life: String) { self.life = life }

  /// Admits no socket until the next life.
  func stop() { life = nil }

  // MARK: Opening

  /// Admits a socket on a session. `disconnected` must be called once for each admitted socket.
  /// - Throws: `ChatRefusal`, `DatabaseError`.
  func admit(
    _ socket: SocketID, session: ChatSessionID, token: String?, recovery: RecoveryRequest? = nil
  ) async throws -> (user: ChatUser, recoverable: RecoverableSocket?) {
    var user = try await directory.user(of: session, token: token)
    // A session that has left the cache has not always ended. The question is asked again.
    while await !directory.attach(socket, to: session) {
      user = try await directory.user(of: session, token: token)
    }
    do {
      let member = Member(user: user, session: session, recovery: recovery)
      if socket.namespace != UserServer.namespace { return (user, try await openOnline(socket, member)) }
      try await openAvailable(socket, member)
      return (user, nil)
    } catch {
      await directory.detach(socket, from: session)
      throw error
    }
  }

  /// Stores a socket in `/` and tells the user's friends when it is the first.
  private func openOnline(_ socket: SocketID, _ member: Member) async throws -> RecoverableSocket? {
    let user = member.user
    let recovery = member.recovery.map { (request: $0, new: newRecoveryID(), now: environment.clock.wallTime) }
    // Whatever the socket receives is emitted after this.
    let since = recovery == nil ? Position(0) : await fanOut.lastEmitted
    let (recoverable, news) = try await store(socket, member) {
      tables, isFirst -> (RecoverableSocket?, PublishedAt?) in
      var recoverable: RecoverableSocket?
      if let recovery {
        recoverable = try await tables.recoveries.open(
          recovery.request, for: socket, of: user.number, new: recovery.new, since: since,
          last: try await tables.publications.lastPosition(), at: recovery.now)
      }
      return (recoverable, isFirst ? try await Self.publish(user, isOnline: true, in: tables) : nil)
    }
    members[socket] = member
    if let news { await fanOut.publish(news) }
    return recoverable
  }

  /// Makes a `pid`. With it and a session of the same user, a client gets what it missed.
  private func newRecoveryID() -> String { Hex.encode(environment.entropy.bytes(16)) }

  /// Gives a socket whose client cannot get what it missed a new `pid`.
  func renewRecovery(of socket: SocketID) async throws -> RecoverableSocket {
    let (new, since) = (newRecoveryID(), await fanOut.lastEmitted)
    return try await database.transaction { connection in
      try await ChatTables(connection).recoveries.replace(socket, new: new, since: since)
    }
  }

  /// Stores a socket in `/users` and tells the User Manager.
  private func openAvailable(_ socket: SocketID, _ member: Member) async throws {
    let user = member.user.number
    let connection = try await store(socket, member) { tables, isFirst in
      isFirst ? try await tables.sockets.nextConnection(of: user) : try await tables.sockets.lastConnection(of: user)
    }
    members[socket] = member
    do {
      // Each socket tells it again: for a known connection that changes nothing.
      try await userManager.userIsAvailable(user, connection: connection)
    } catch {
      await disconnected(socket)
      throw ChatRefusal.unavailable(.userManager)
    }
  }

  /// Stores the row of a socket and runs `body` in the same transaction.
  private func store<R: Sendable>(
    _ socket: SocketID, _ member: Member, _ body: @escaping @Sendable (ChatTables, _ isFirst: Bool) async throws -> R
  ) async throws -> R {
    guard let life else { throw ChatRefusal.unavailable(.database) }
    let isShared = database.isShared
    do {
      let result = try await database.transaction { connection in
        let tables = ChatTables(connection)
        if isShared, try await !tables.nodes.isAlive(life) { throw ChatRefusal.unavailable(.database) }
        return try await body(tables, try await tables.sockets.insert(socket, of: member.user.number, life: life))
      }
      guard life == self.life else { throw ChatRefusal.unavailable(.database) }
      return result
    } catch {
      // The row may be stored nevertheless.
      await close(socket, member)
      throw error
    }
  }

  // MARK: Closing

  /// Removes a socket. Does nothing for a socket that is not connected.
  func disconnected(_ socket: SocketID) async {
    guard let member = members.removeValue(forKey: socket) else { return }
    closed.append((socket, member))
    await directory.detach(socket, from: member.session)
    await removeRows()
  }

  private func close(_ socket: SocketID, _ member: Member) async {
    closed.append((socket, member))
    await removeRows()
  }

  /// Removes the rows of closed sockets. A failure is retried: a row that stays would keep its user
  /// online.
  private func removeRows() async {
    guard !isRemoving else { return }
    isRemoving = true
    defer { isRemoving = false }
    while let (socket, member) = closed.first {
      do {
        try await removeRow(socket, member)
        _ = closed.popFirst()
        rowsRemoved.open()
      } catch DatabaseError.closed {
        return
      } catch is NodeDown {
        return
      } catch {
        environment.log.warning("socket-row-stays", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: Self.retryInterval) } catch { return }
      }
    }
  }

  private func removeRow(_ socket: SocketID, _ member: Member) async throws {
    let user = member.user
    let closedAt = member.recovery == nil ? nil : environment.clock.wallTime
    let isAlwaysLast = planted(.presenceByLastEvent)
    let isUserServer = socket.namespace == UserServer.namespace
    let news = try await database.transaction { connection -> PublishedAt? in
      let tables = ChatTables(connection)
      if let closedAt { try await tables.recoveries.close(socket, at: closedAt) }
      let isLast = try await tables.sockets.remove(socket, of: user.number)
      guard isLast || isAlwaysLast else { return nil }
      if !isUserServer { return try await Self.publish(user, isOnline: false, in: tables) }
      try await tables.departures.insert(user.number, try await tables.sockets.lastConnection(of: user.number))
      return nil
    }
    if let news { await fanOut.publish(news) }
    if isUserServer { await departures.tell() }
  }

  private static func publish(
    _ user: ChatUser, isOnline: Bool, in tables: ChatTables
  ) async throws(DatabaseError) -> PublishedAt {
    let listed = ListedUser(number: user.number, username: user.username)
    return try await tables.publications.publish([
      try await PresenceTransactions(tables: tables).status(of: listed, isOnline: isOnline)
    ])
  }
}
