import Environment

/// What a database promises; all of it by default.
public struct DatabaseOptions: Sendable {
  /// Bytes in the log after which it is copied into the database. Under load a long one costs fewer syncs.
  public var longLog: Int64 = 4 << 20
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// Everything that is promised.
  public init() {}
}

/// What a database does, told to whoever counts it.
public struct DatabaseObserver: Sendable {
  /// A commit that wrote, with how many transactions were in it.
  public var committed: @Sendable (_ transactions: Int) -> Void
  /// The database failed, and everybody who waited was told.
  public var failed: @Sendable (DatabaseError) -> Void

  /// Makes an observer.
  public init(
    committed: @escaping @Sendable (_ transactions: Int) -> Void = { _ in },
    failed: @escaping @Sendable (DatabaseError) -> Void = { _ in }
  ) {
    self.committed = committed
    self.failed = failed
  }
}

/// A durable SQLite database with group commit.
///
/// All transactions that wait run inside one SQLite transaction, and those that throw are undone by savepoints; then one sync
/// makes all of them durable, and then all are answered: nothing is answered before. A transaction is a synchronous closure that runs
/// off the event loop, one at a time, so there is no interleaving inside one.
///
/// When the disk fails, everybody who waits gets the error, the connection is given up, and the next transaction opens the
/// database anew from what is on the disk: it recovers by itself when the disk does.
public actor Database {
  /// Transactions that may wait; more are refused, since each holds memory and a client.
  static let maximumWaiting = 10_000
  /// Transactions in one commit, so that a long queue does not make the first of them wait for the last.
  static let maximumBatch = 512

  private let environment: Environment
  private let file: DatabaseFile
  private let options: DatabaseOptions
  private let observer: DatabaseObserver
  private let serialExecutor: ActorExecutor
  private var waiting: [Transaction] = []
  private var isWorking = false
  private var isClosed = false
  private var isAvailable = true
  private var lastCheck: Instant?

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// A database at `path` in the environment's storage; nothing is opened before the first transaction.
  public init(
    _ environment: Environment, path: String, migrations: Migrations, options: DatabaseOptions = DatabaseOptions(),
    observer: DatabaseObserver = DatabaseObserver()
  ) {
    self.environment = environment
    self.options = options
    self.observer = observer
    serialExecutor = environment.executor.forActor("database")
    file = DatabaseFile(
      storage: environment.storage, path: path, migrations: migrations, options: options, log: environment.log)
  }

  /// Runs `body` in a transaction and returns what it returned, once that is durable. When `body` throws, its changes are
  /// undone and its error is thrown here. It may be run twice, so it has no effect but on the database.
  /// - Throws: `DatabaseError` when the database is not available; what `body` throws; `NodeDown`.
  @discardableResult
  public func transaction<R: Sendable>(_ body: @escaping @Sendable (SQLConnection) throws -> R) async throws -> R {
    guard !isClosed else { throw DatabaseError.closed }
    guard waiting.count < Self.maximumWaiting else { throw DatabaseError.overloaded }
    // The transaction itself knows nothing of the type, which the runtime would look up again and again.
    let returned = Returned<R>()
    try await withUnsafeThrowingContinuation { continuation in
      waiting.append(Transaction(continuation) { returned.value = try body($0) })
      startWork()
    }
    return returned.value!
  }

  private final class Returned<R: Sendable>: @unchecked Sendable {
    var value: R?
  }

  /// Whether the database can be written now. Asks the disk at most once a second while all is well.
  public func checkHealth() async -> Bool {
    let now = environment.clock.now
    if isAvailable, let lastCheck, now - lastCheck < .seconds(1) { return true }
    do {
      try await transaction { try $0.execute("UPDATE health SET checked_at = $1", .int(now.nanoseconds)) }
      return true
    } catch {
      return false
    }
  }

  /// Waits for the transactions under way and gives the file up. Later transactions throw `DatabaseError.closed`.
  public func close() async {
    guard !isClosed else { return }
    isClosed = true
    while isWorking {
      do { try await environment.clock.sleep(for: .milliseconds(1)) } catch { return }
    }
    do {
      try await environment.executor.offload(.disk) { [file] in file.disconnect() }
    } catch {
      environment.log.error("database-close-failed", ["error": .string("\(error)")])
    }
  }

  private func startWork() {
    guard !isWorking else { return }
    isWorking = true
    environment.executor.post(to: self) { $0.work() }
  }

  /// Commits what waits, and then what came meanwhile, until nothing does.
  private func work() {
    guard !waiting.isEmpty else {
      isWorking = false
      return
    }
    let batch = Array(waiting.prefix(Self.maximumBatch))
    waiting.removeFirst(batch.count)
    let commit = GroupCommit(file: file, transactions: batch, options: options)
    environment.executor.offload(.disk, for: self, { commit.run() }) { $0.finish(batch, $1) }
  }

  private func finish(_ batch: [Transaction], _ result: Result<GroupCommit.Outcome, any Error>) {
    switch result {
    case .success(let outcome):
      note(outcome, batch)
      for transaction in batch { transaction.finish() }
    case .failure(let error):
      // The node died, or is about to: nobody may believe anything.
      for transaction in batch { transaction.fail(error) }
    }
    work()
  }

  private func note(_ outcome: GroupCommit.Outcome, _ batch: [Transaction]) {
    switch outcome {
    case .read:
      lastCheck = environment.clock.now
      isAvailable = true
    case .committed(let count, let afterwards):
      lastCheck = environment.clock.now
      isAvailable = true
      observer.committed(count)
      if let afterwards { environment.log.error("database-checkpoint-failed", ["error": .string(afterwards.reason)]) }
    case .failed(let error):
      environment.log.write(isAvailable ? .error : .debug, "database-failed", ["error": .string(error.reason)])
      isAvailable = false
      observer.failed(error)
      for transaction in batch { transaction.fail(error) }
    }
  }
}
