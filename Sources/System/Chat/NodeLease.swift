import Environment

/// The place of this node among those that share the database of the Chat Service.
///
/// Each node counts a beat up. A node that sees the beat of another one stand still for the time of
/// a lease declares it dead, and removes its sockets. Only the observer's clock decides, so the
/// clocks of nodes and of the server need not agree.
///
/// A node that could not count for the time of a lease closes its sockets, so that their users go
/// to another one. A node that was declared dead begins a new life.
actor NodeLease {
  /// The time for which a node may be silent.
  static let lease: Duration = .seconds(6)
  /// The interval at which a node counts.
  static let interval: Duration = .seconds(2)
  private static let tick: Duration = .milliseconds(250)

  /// What a node does when its place changes.
  struct Actions: Sendable {
    /// Closes all sockets. No socket is admitted until `begin`.
    let stop: @Sendable () async -> Void
    /// Goes on in a new life, from this position of the publications.
    let begin: @Sendable (_ life: String, Position) async -> Void
    /// Publishes what the others are told of users who are gone.
    let publish: @Sendable (PublishedAt) async -> Void
    /// Tells the stored departures.
    let tellDepartures: @Sendable () async -> Void
  }

  private let environment: Environment
  private let database: Database
  private let actions: Actions
  private let serialExecutor: ActorExecutor
  private var life: String
  /// The start of the last count that succeeded.
  private var countedAt: Instant
  /// The time of the last look at the other nodes.
  private var lookedAt: Instant
  /// The beats of the other nodes, and since when they are known.
  private var beats: [String: (beat: Int64, since: Instant)] = [:]
  private var hasStopped = false
  private var isCounting = false
  private var isBeginning = false
  private var isClosed = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes the place of a node that has joined with `life`.
  init(_ environment: Environment, _ database: Database, life: String, _ actions: Actions) {
    self.environment = environment
    self.database = database
    self.life = life
    self.actions = actions
    countedAt = environment.clock.now
    lookedAt = environment.clock.now
    serialExecutor = environment.executor.forActor("node-lease")
  }

  nonisolated func start() { environment.executor.spawn("node-lease") { await self.keep() } }

  /// Leaves in order.
  func leave() async {
    isClosed = true
    let life = life
    do { try await database.transaction { try await ChatTables($0).nodes.leave(life) } } catch {
      // The others find out by themselves.
      environment.log.info("node-not-signed-off", ["error": .string("\(error)")])
    }
  }

  /// Begins a new life after publications were missed.
  func renew() async {
    environment.log.warning("publications-missed")
    do { try await beginAgain() } catch {
      // The next count does not find the old life, or finds the publications missing again.
      environment.log.warning("node-lease", ["error": .string("\(error)")])
    }
  }

  // MARK: The own beat

  private func keep() async {
    var next = environment.clock.now
    while !isClosed {
      let now = environment.clock.now
      if now - countedAt >= Self.lease, !hasStopped {
        hasStopped = true
        environment.log.error("node-cut-off", ["advice": "the chat database does not answer"])
        await actions.stop()
      }
      if now >= next, !isCounting {
        next = now + Self.interval
        isCounting = true
        environment.executor.spawn("node-beat") { await self.count() }
      }
      do { try await environment.clock.sleep(for: Self.tick) } catch { return }
    }
  }

  private func count() async {
    defer { isCounting = false }
    let life = life
    do {
      let begin = environment.clock.now
      let (isAlive, nodes) = try await database.asideTransaction { session in
        let table = ChatTables(session).nodes
        return (try await table.beat(life), try await table.all())
      }
      guard !isClosed, life == self.life else { return }
      if isAlive, !hasStopped { countedAt = begin } else { try await beginAgain() }
      for node in stillStanding(nodes, at: begin) {
        environment.log.warning("node-declared-dead", ["life": .string(node.life)])
        try await database.transaction { try await ChatTables($0).nodes.bury(node) }
      }
      for node in nodes where node.isDead { try await removeSockets(of: node.life) }
    } catch {
      environment.log.info("node-lease", ["error": .string("\(error)")])
    }
  }

  /// Closes the sockets, and joins as a new node.
  private func beginAgain() async throws {
    guard !isBeginning else { return }
    isBeginning = true
    defer { isBeginning = false }
    hasStopped = true
    await actions.stop()
    let new = Hex.encode(environment.entropy.bytes(16))
    let name = environment.node
    let begin = environment.clock.now
    let position = try await database.transaction { session in
      let tables = ChatTables(session)
      try await tables.nodes.join(new, name: name)
      return try await tables.publications.lastPosition()
    }
    guard !isClosed else { return }
    life = new
    countedAt = begin
    hasStopped = false
    await actions.begin(new, position)
  }

  // MARK: The other nodes

  /// The living nodes whose beats stood still for the time of a lease until `begin`, when they were
  /// read again.
  private func stillStanding(_ nodes: [ChatNodesTable.Row], at begin: Instant) -> [ChatNodesTable.Row] {
    let now = environment.clock.now
    // While this node did not look, the others could perhaps not count either.
    if begin - lookedAt > Self.interval + Self.interval { beats = [:] }
    lookedAt = now
    var found: [ChatNodesTable.Row] = []
    var known: [String: (beat: Int64, since: Instant)] = [:]
    for node in nodes where !node.isDead && node.life != life {
      if let before = beats[node.life], before.beat == node.beat {
        known[node.life] = before
        if begin - before.since >= Self.lease { found.append(node) }
      } else {
        known[node.life] = (node.beat, now)
      }
    }
    beats = known
    return found
  }

  /// Removes the sockets of a dead node, and tells who is gone.
  private func removeSockets(of life: String) async throws {
    // Other transactions have to wait for each of these.
    let limit = environment.limits[.nodeSockets]
    while !isClosed {
      let now = environment.clock.wallTime
      let (isDone, news) = try await database.transaction { session in
        try await PresenceTransactions(tables: ChatTables(session)).removeSome(of: life, limit: limit, at: now)
      }
      if let news { await actions.publish(news) }
      if isDone { return await actions.tellDepartures() }
    }
  }
}
