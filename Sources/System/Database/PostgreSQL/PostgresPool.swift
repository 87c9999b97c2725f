import Environment

/// The connections of a service to its PostgreSQL servers.
///
/// Connections are opened when they are needed. When none can be opened, all waiting transactions
/// fail with the reason, and further ones fail at once until the next attempt is due.
actor PostgresPool {
  /// The most transactions that wait for a connection. More are refused, since each holds memory
  /// and a client.
  static let maximumWaiting = 10_000
  /// A connection that was idle for longer is closed: a firewall may have forgotten it.
  private static let idleLimit: Duration = .seconds(60)

  private struct Waiter {
    let deadline: Instant
    let continuation: UnsafeContinuation<PostgresConnection, any Error>
  }

  private let environment: Environment
  private let options: PostgresOptions
  private let serialExecutor: ActorExecutor
  private var idle: [(connection: PostgresConnection, since: Instant)] = []
  /// Connections that are open, in use or idle.
  private var open = 0
  /// Attempts to connect that are under way.
  private var opening = 0
  private var waiting = FIFO<Waiter>()
  /// Ends the waits whose time is over; nil while nobody waits.
  private var watcher: Task<Void, Never>?
  /// The number of the latest watcher.
  private var watches = 0
  private var isClosed = false
  private var failure: (error: DatabaseError, until: Instant)?
  private var backoff = Backoff()
  /// The host that the last successful attempt has used.
  private var preferred = 0
  /// Counts the searches for the primary. Connections of earlier ones are not used again.
  private var generation = 0
  /// Opened when a connection comes back after the pool was closed.
  private let returned = Gate()

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes a pool that runs on the executor of its database, so that calls between the two do not
  /// hop.
  init(_ environment: Environment, _ options: PostgresOptions, on executor: ActorExecutor) {
    self.environment = environment
    self.options = options
    serialExecutor = executor
  }

  // MARK: Connections

  /// Returns a connection that no other task uses. Give it back.
  /// - Throws: `DatabaseError`; `NodeDown`.
  func take() async throws -> PostgresConnection {
    guard !isClosed else { throw DatabaseError.closed }
    while let (connection, _) = idle.popLast() {
      if connection.generation == generation, connection.isUsable { return connection }
      discard(connection)
    }
    let now = environment.clock.now
    if open == 0, opening == 0, let failure, now < failure.until { throw failure.error }
    guard waiting.count < Self.maximumWaiting else { throw DatabaseError.overloaded }
    return try await withUnsafeThrowingContinuation { continuation in
      waiting.append(Waiter(deadline: now + options.patience, continuation: continuation))
      openMore()
      watch()
    }
  }

  /// Takes a connection back.
  func give(_ connection: PostgresConnection) {
    guard !isClosed, connection.generation == generation, connection.isUsable else {
      discard(connection)
      returned.open()
      return openMore()
    }
    if let waiter = waiting.popFirst() {
      if waiting.isEmpty { stopWatching() }
      return waiter.continuation.resume(returning: connection)
    }
    let now = environment.clock.now
    // The last one that was used is taken first, so the others would stay for ever.
    let old = idle.prefix { now - $0.since >= Self.idleLimit }
    for (connection, _) in old { discard(connection) }
    idle.removeFirst(old.count)
    idle.append((connection, now))
  }

  /// Notes that a server takes no writes any more, so that the primary is looked for.
  func leave(_ connection: PostgresConnection) {
    guard connection.generation == generation else { return }
    generation += 1
    // Another host comes first, if there is one.
    preferred = (preferred + 1) % options.url.hosts.count
    environment.log.warning("postgres-read-only", ["server": .string("\(connection.address)")])
  }

  private func discard(_ connection: PostgresConnection) {
    connection.close()
    open -= 1
  }

  /// Closes the idle connections, and waits for those in use.
  func close() async {
    isClosed = true
    for (connection, _) in idle { discard(connection) }
    idle = []
    failWaiting(DatabaseError.closed)
    while open > 0 { guard await returned.wait(in: environment) else { return } }
  }

  // MARK: Opening

  /// Begins to open connections for the tasks that wait, as far as the bound allows.
  private func openMore() {
    while !isClosed, opening < waiting.count, open + opening < options.connections {
      opening += 1
      environment.executor.spawn("postgres-connect") { await self.openOne() }
    }
  }

  private func openOne() async {
    do {
      let connection = try await connect()
      opening -= 1
      open += 1
      failure = nil
      backoff.reset()
      give(connection)
    } catch {
      opening -= 1
      if case .stopped(let reason) = error { return failWaiting(reason) }
      let described = error.error
      if failure == nil { environment.log.error("postgres-unavailable", ["error": .string(described.reason)]) }
      failure = (described, environment.clock.now + backoff.next(environment.entropy))
      // While some connections are open, the tasks wait for those.
      if open == 0, opening == 0 { failWaiting(described) }
    }
  }

  /// Connects to the first server that is wanted, beginning with the last one that was.
  private func connect() async throws(PostgresFailure) -> PostgresConnection {
    let hosts = options.url.hosts
    let (first, generation) = (preferred, generation)
    var reasons: [String] = []
    var last: PostgresFailure?
    for offset in hosts.indices {
      let index = (first + offset) % hosts.count
      do throws(PostgresFailure) {
        let connection = try await PostgresConnection.open(
          environment, options, to: hosts[index], generation: generation)
        if let refusal = refusal(of: connection) {
          connection.close()
          throw .refused(refusal)
        }
        preferred = index
        return connection
      } catch {
        if case .stopped = error { throw error }
        reasons.append("\(hosts[index]): \(error.error.detail)")
        last = error
        // As libpq does: the other servers would refuse the same login.
        if case .server(let fields) = error, ["28", "3D"].contains(fields.code.category) { break }
      }
    }
    if case .server(let fields)? = last, reasons.count == 1, fields.code == .diskFull { throw last! }
    throw .refused(reasons.joined(separator: "; "))
  }

  private func refusal(of connection: PostgresConnection) -> String? {
    switch options.url.target {
    case .any: nil
    case .primary: connection.isStandby ? "the server is a standby" : nil
    case .readWrite, .readOnly, .standby, .preferStandby:
      connection.isStandby ? "the server is a standby" : connection.isReadOnly ? "the server is read-only" : nil
    }
  }

  // MARK: Waiting

  private func failWaiting(_ error: any Error) {
    while let waiter = waiting.popFirst() { waiter.continuation.resume(throwing: error) }
    stopWatching()
  }

  private func watch() {
    guard watcher == nil else { return }
    watches += 1
    let number = watches
    watcher = environment.executor.spawn("postgres-waiting") { await self.endWaits(number) }
  }

  private func stopWatching() {
    watcher?.cancel()
    watcher = nil
  }

  /// Ends the waits whose time is over. All wait for the same time, so the first one ends first.
  private func endWaits(_ number: Int) async {
    while let first = waiting.first {
      do { try await environment.clock.sleep(until: first.deadline) } catch {
        // The node is down, or nobody waited; a later task may watch others by now.
        if number == watches { failWaiting(error) }
        return
      }
      guard number == watches else { return }
      while let waiter = waiting.first, waiter.deadline <= environment.clock.now {
        _ = waiting.popFirst()
        waiter.continuation.resume(
          throwing: failure?.error ?? DatabaseError.unavailable("all connections to the server are in use"))
      }
    }
    watcher = nil
  }
}

extension DatabaseError {
  /// The reason without the words that say that the database is not available.
  fileprivate var detail: String { if case .unavailable(let what) = self { what } else { reason } }
}
