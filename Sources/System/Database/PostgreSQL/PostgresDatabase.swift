import Environment

/// The tables of a service in a PostgreSQL database, which several nodes may share.
///
/// Transactions run at READ COMMITTED on a pool of connections. One that the server undoes because
/// of others, or whose connection ends before COMMIT was sent, runs again. When the connection ends
/// after that, the table `last_commits` tells on another one whether the transaction is durable; if
/// it is not, it runs again.
actor PostgresDatabase: RemoteDatabase {
  /// Whose transactions take turns.
  enum Turns: Sendable {
    /// Transactions run side by side.
    case none
    /// Those of this process, which owns the tables. With a claim it replaces a certain owner only.
    case alone(DatabaseClaim?)
    /// Those of all nodes that share the tables.
    case shared
  }

  /// The most attempts at a transaction that conflicts with others.
  private static let maximumConflicts = 10
  /// The most attempts at a transaction whose connections end.
  private static let maximumLosses = 4
  /// The rows of connections that have committed nothing for this time are removed from
  /// `last_commits`.
  private static let memory: Duration = .seconds(3600)

  /// The owner of tables that several nodes share.
  private static let allNodes = "all nodes"
  /// The time for which a node that shares tables may do nothing in a transaction. All others wait
  /// meanwhile.
  private static let standstill: Duration = .seconds(2)

  private let migrations: Migrations
  private let observer: DatabaseObserver
  let pool: PostgresPool
  private let serialExecutor: ActorExecutor
  private var isMigrated = false
  private var isMigrating = false
  private let migrated = Gate()
  private var lastCheck: Instant?
  private var isAvailable = true
  private var nextForgetting: Instant?
  /// The server's time when rows of `last_commits` were last removed.
  private var serverTime: String?
  /// The transactions that take turns and wait for theirs.
  var turns = FIFO<PostgresTurn>()
  var isTakingTurns = false
  /// The owner of the tables, whose transactions take turns: this process, or all nodes. Nil if
  /// transactions run side by side.
  let owner: String?
  private let turnsOf: Turns
  /// The connection that waits for wake-ups, while there is one.
  var listener: PostgresConnection?
  var isClosed = false
  let service: String
  let environment: Environment
  /// Whether several nodes share the tables.
  var isShared: Bool { owner == Self.allNodes }

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes a database. The first transaction connects, and brings the tables of the service to
  /// their newest version.
  init(
    _ environment: Environment, _ options: PostgresOptions, service: String, turns: Turns, migrations: Migrations,
    observer: DatabaseObserver
  ) {
    var options = options
    turnsOf = turns
    switch turns {
    case .none: owner = nil
    case .alone(nil): owner = Hex.encode(environment.entropy.bytes(16))
    case .alone(let claim?):
      owner = claim.life
      options.idleTimeout = Self.standstill
    case .shared:
      owner = Self.allNodes
      options.idleTimeout = Self.standstill
      options.wakeUps = PostgresWakeUps(channel: "parley_\(service)", sender: Hex.encode(environment.entropy.bytes(8)))
    }
    self.environment = environment
    self.service = service
    self.migrations = migrations
    self.observer = observer
    serialExecutor = environment.executor.forActor("postgres")
    pool = PostgresPool(environment, options, on: serialExecutor)
  }

  func asideTransaction(_ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws {
    try await transaction(of: 1, body)
  }

  func transaction(_ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws {
    if owner != nil { try await takeTurn(body) } else { try await transaction(of: 1, body) }
  }

  /// Runs a transaction that stands for `count` of the service's.
  func transaction(of count: Int, _ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws {
    do {
      if !isMigrated { try await migrate() }
      try await forgetConnections()
      let start = environment.clock.now
      let hasWritten = try await perform(body)
      (isAvailable, lastCheck) = (true, environment.clock.now)
      if hasWritten { observer.committed(count, environment.clock.now - start) }
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
    let (migrations, service, owner, turnsOf) = (migrations, service, owner, turnsOf)
    for attempt in 1... {
      do {
        _ = try await perform(isMarked: false) {
          try await migrations.apply(toServer: $0, service: service)
          guard let owner else { return }
          if case .alone(let claim?) = turnsOf {
            try await ServiceOwners($0).claim(service, claim)
          } else {
            try await ServiceOwners($0).claim(service, owner)
          }
        }
        isMigrated = true
        return
      } catch DatabaseError.unknownOutcome(let reason) {
        // The version in the database tells whether it was durable, so that asking again is safe.
        guard attempt < Self.maximumLosses else { throw DatabaseError.unavailable(reason) }
      }
    }
  }

  /// Removes rows of `last_commits` that nobody asks for any more, once in a while. Their times are
  /// the server's, so that the clocks of nodes need not agree.
  private func forgetConnections() async throws {
    let now = environment.clock.now
    if let nextForgetting, now < nextForgetting { return }
    nextForgetting = now + Self.memory
    let before = serverTime
    let time = Returned<String>()
    _ = try await perform { session in
      if let before { try await session.execute(LastCommits.forget, .text(before)) }
      time.value = try await session.first("SELECT now()") { $0.text(0) }
    }
    serverTime = time.value
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

  func close() async {
    isClosed = true
    listener?.close()
    await pool.close()
  }

  // MARK: Attempts

  /// Runs a transaction until it is durable or nothing helps. Returns whether it has written.
  private func perform(
    isMarked: Bool = true, _ body: @escaping @Sendable (SQLSession) async throws -> Void
  ) async throws -> Bool {
    var conflicts = 0
    var losses = 0
    var conflictDelays = Backoff(shortest: .milliseconds(1))
    var lossDelays = Backoff()
    while true {
      let failure: PostgresFailure
      switch try await attempt(isMarked: isMarked, body) {
      case .committed(let hasWritten): return hasWritten
      case .thrown(let error): throw error
      case .unknown(.stopped(let error), _), .failed(.stopped(let error)): throw error
      case .failed(let reason): failure = reason
      case .unknown(let reason, let mark):
        guard let mark, let isDurable = try await isDurable(mark) else {
          throw DatabaseError.unknownOutcome(reason.error.reason)
        }
        if isDurable { return true }
        failure = reason
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

  private func attempt(
    isMarked: Bool, _ body: (SQLSession) async throws -> Void
  ) async throws -> PostgresTransaction.Outcome {
    let connection = try await pool.take()
    let outcome = await PostgresTransaction(connection, isMarked: isMarked).run(environment.log, body)
    if case .failed(let failure) = outcome, failure.remedy == .anotherServer { await pool.leave(connection) }
    await pool.give(connection)
    return outcome
  }

  /// Undoes the transaction that has read a row of `last_commits`.
  private struct LastCommit: Error {
    let number: Int64?
  }

  /// Returns whether a transaction is durable, once it is not open any more. Returns nil if no
  /// server tells.
  private func isDurable(_ mark: CommitMark) async throws -> Bool? {
    var delays = Backoff()
    for _ in 0..<Self.maximumLosses {
      let outcome: PostgresTransaction.Outcome
      do {
        outcome = try await attempt(isMarked: false) { session in
          throw LastCommit(number: try await session.first(LastCommits.read, .text(mark.connection)) { $0.int(0) })
        }
      } catch is DatabaseError {
        return nil
      }
      switch outcome {
      case .thrown(let last as LastCommit): return last.number == mark.number
      case .failed(.stopped(let error)): throw error
      case .failed(let failure) where failure.remedy != .none:
        try await environment.clock.sleep(for: delays.next(environment.entropy))
      case .committed, .thrown, .failed, .unknown: return nil
      }
    }
    return nil
  }
}
