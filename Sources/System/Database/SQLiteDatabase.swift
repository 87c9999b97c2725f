import Environment

/// A durable SQLite database with group commit.
///
/// All waiting transactions run inside one SQLite transaction, and savepoints undo those that
/// throw. Then one sync makes all of them durable, and only then do they return. Transactions run
/// off the event loop, one at a time, so nothing interleaves with them.
///
/// When the disk fails, all waiting transactions throw, and the connection is closed. The next
/// transaction opens the database again from the disk, so the database recovers when the disk does.
actor SQLiteDatabase {
  /// The maximum number of waiting transactions. More are refused, since each holds memory and a
  /// client.
  static let maximumWaiting = 10_000

  private let environment: Environment
  private let file: DatabaseFile
  private let path: String
  private let options: DatabaseOptions
  private let observer: DatabaseObserver
  private let serialExecutor: ActorExecutor
  /// The maximum number of transactions in one commit, so that the first of a long queue does not
  /// wait for the last.
  private let maximumBatch: Int
  private var waiting: [Transaction] = []
  private var isWorking = false
  private var isClosed = false
  /// Opened when a closed database has finished its transactions.
  private let finished = Gate()
  private var isAvailable = true
  private var lastCheck: Instant?

  /// The executor that the environment gave to this actor.
  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  /// Makes a database at `path` in the environment's storage. The first transaction opens it.
  init(
    _ environment: Environment, path: String, migrations: Migrations, options: DatabaseOptions = DatabaseOptions(),
    observer: DatabaseObserver = DatabaseObserver()
  ) {
    self.environment = environment
    self.path = path
    self.options = options
    self.observer = observer
    serialExecutor = environment.executor.forActor("database")
    maximumBatch = environment.limits[.databaseBatch]
    file = DatabaseFile(
      storage: environment.storage, path: path, migrations: migrations, options: options, log: environment.log,
      limits: environment.limits)
  }

  /// Runs `body` in a transaction and returns once it is durable. Runs it twice if another
  /// transaction of its batch throws.
  /// - Throws: `DatabaseError` if the database is not available; the error of `body`; `NodeDown`.
  func transaction(_ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws {
    guard !isClosed else { throw DatabaseError.closed }
    guard waiting.count < Self.maximumWaiting else { throw DatabaseError.overloaded }
    try await withUnsafeThrowingContinuation { continuation in
      waiting.append(Transaction(continuation, body))
      startWork()
    }
  }

  /// Returns whether the database can be written. Writes at most once a second while it can.
  func checkHealth() async -> Bool {
    let now = environment.clock.now
    if isAvailable, let lastCheck, now - lastCheck < .seconds(1) { return true }
    do {
      try await transaction { try await $0.execute("UPDATE health SET checked_at = $1", .int(now.nanoseconds)) }
      return true
    } catch {
      return false
    }
  }

  /// Returns the sizes in bytes of the database and its log, by name. Empty while the disk fails.
  func fileSizes() async -> [(name: String, bytes: Int64)] {
    let (storage, path) = (environment.storage, path)
    let sizes = try? await environment.executor.offload(.disk) {
      try [path, path + "-wal"].map { name in
        let file = try storage.open(name, create: false)
        defer { file.close() }
        return (name: name, bytes: try file.size())
      }
    }
    return sizes ?? []
  }

  /// Waits for the running transactions and closes the file. Later transactions throw
  /// `DatabaseError.closed`.
  func close() async {
    guard !isClosed else { return }
    isClosed = true
    while isWorking { guard await finished.wait(in: environment) else { return } }
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

  /// Commits the waiting transactions in batches until none waits.
  private func work() {
    guard !waiting.isEmpty else {
      isWorking = false
      if isClosed { finished.open() }
      return
    }
    let batch = Array(waiting.prefix(maximumBatch))
    waiting.removeFirst(batch.count)
    let start = environment.clock.now
    let commit = GroupCommit(
      file: file, transactions: batch, options: options, executor: environment.executor)
    environment.executor.offload(.disk, for: self, { commit.run() }) { $0.finish(batch, $1, since: start) }
  }

  private func finish(
    _ batch: [Transaction], _ result: Result<GroupCommit.Outcome, any Error>, since start: Instant
  ) {
    switch result {
    case .success(let outcome):
      note(outcome, batch, since: start)
      for transaction in batch { transaction.finish() }
    case .failure(let error):
      // The node has died or is about to: nothing is known of the commit.
      for transaction in batch { transaction.fail(error) }
    }
    work()
  }

  private func note(_ outcome: GroupCommit.Outcome, _ batch: [Transaction], since start: Instant) {
    switch outcome {
    case .read:
      lastCheck = environment.clock.now
      isAvailable = true
    case .committed(let count, let afterwards):
      lastCheck = environment.clock.now
      isAvailable = true
      observer.committed(count, environment.clock.now - start)
      if let afterwards { environment.log.error("database-checkpoint-failed", ["error": .string(afterwards.reason)]) }
    case .failed(let error):
      environment.log.write(isAvailable ? .error : .debug, "database-failed", ["error": .string(error.reason)])
      isAvailable = false
      observer.failed(error)
      for transaction in batch { transaction.fail(error) }
    }
  }
}
