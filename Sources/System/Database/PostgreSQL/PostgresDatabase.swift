import Environment

/// The tables of a service in a PostgreSQL database, which several nodes may share.
///
/// Transactions run at READ COMMITTED on a pool of connections. One that the server undoes because
/// of others, or whose connection ends before COMMIT was sent, runs again. When the connection ends
/// after that, only the caller can find out what happened, by the id of what it wrote:
/// `DatabaseError.unknownOutcome`.
actor PostgresDatabase: RemoteDatabase {
  /// The most attempts at a transaction that conflicts with others.
  private static let maximumConflicts = 10
  /// The most attempts at a transaction whose connections end.
  private static let maximumLosses = 4

  private let environment: Environment
  private let service: String
  private let migrations: Migrations
  private let observer: DatabaseObserver
  private let pool: PostgresPool
  private let serialExecutor: ActorExecutor
  private var isMigrated = false
  private var isMigrating = false
  private let migrated = Gate()
  private var lastCheck: Instant?
  private var isAvailable = true

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes a database. The first transaction connects, and brings the tables of the service to
  /// their newest version.
  init(
    _ environment: Environment, _ options: PostgresOptions, service: String, migrations: Migrations,
    observer: DatabaseObserver
  ) {
    self.environment = environment
    self.service = service
    self.migrations = migrations
    self.observer = observer
    serialExecutor = environment.executor.forActor("postgres")
    pool = PostgresPool(environment, options, on: serialExecutor)
  }

  func transaction(_ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws {
    do {
      if !isMigrated { try await migrate() }
      let start = environment.clock.now
      let hasWritten = try await perform(body)
      (isAvailable, lastCheck) = (true, environment.clock.now)
      if hasWritten { observer.committed(1, environment.clock.now - start) }
    } catch {
      if let failure = error as? DatabaseError, failure.isUnavailable { note(failure) }
      throw error
    }
  }

  private func note(_ failure: DatabaseError) {
    environment.log.write(isAvailable ? .error : .debug, "database-failed", ["error": .string(failure.reason)])
    isAvailable = false
    observer.failed(failure)
  }

  /// Brings the tables to the newest version. Tasks that come meanwhile wait.
  private func migrate() async throws {
    while isMigrating { guard await migrated.wait(in: environment) else { throw NodeDown() } }
    if isMigrated { return }
    isMigrating = true
    defer {
      isMigrating = false
      migrated.open()
    }
    let (migrations, service) = (migrations, service)
    for attempt in 1... {
      do {
        _ = try await perform { try await migrations.apply(toServer: $0, service: service) }
        isMigrated = true
        return
      } catch DatabaseError.unknownOutcome(let reason) {
        // The version in the database tells whether it was durable, so that asking again is safe.
        guard attempt < Self.maximumLosses else { throw DatabaseError.unavailable(reason) }
      }
    }
  }

  func checkHealth() async -> Bool {
    let now = environment.clock.now
    if isAvailable, let lastCheck, now - lastCheck < .seconds(1) { return true }
    let service = SQLValue.text(service)
    do {
      // A real write, which a full disk or a standby refuses.
      try await transaction {
        try await $0.execute("UPDATE schema_versions SET version = version WHERE service = $1", service)
      }
      return true
    } catch {
      return false
    }
  }

  func close() async { await pool.close() }

  // MARK: Attempts

  /// Runs a transaction until it is durable or nothing helps. Returns whether it has written.
  private func perform(_ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws -> Bool {
    var conflicts = 0
    var losses = 0
    var conflictDelays = Backoff(shortest: .milliseconds(1))
    var lossDelays = Backoff()
    while true {
      let connection = try await pool.take()
      let outcome = await PostgresTransaction(connection).run(environment.log, body)
      if case .failed(let failure) = outcome, failure.remedy == .anotherServer { await pool.leave(connection) }
      await pool.give(connection)
      let failure: PostgresFailure
      switch outcome {
      case .committed(let hasWritten): return hasWritten
      case .thrown(let error): throw error
      case .unknown(.stopped(let error)), .failed(.stopped(let error)): throw error
      case .unknown(let failure): throw DatabaseError.unknownOutcome(failure.error.reason)
      case .failed(let reason): failure = reason
      }
      switch failure.remedy {
      case .none: throw failure.error
      case .again:
        conflicts += 1
        guard conflicts < Self.maximumConflicts else { throw failure.error }
        try await environment.clock.sleep(for: conflictDelays.next(environment.entropy))
      case .anotherConnection, .anotherServer:
        losses += 1
        guard losses < Self.maximumLosses else { throw failure.error }
        try await environment.clock.sleep(for: lossDelays.next(environment.entropy))
      }
    }
  }
}
