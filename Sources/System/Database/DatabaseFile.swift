import Environment

/// A database file and its connection. `SQLiteDatabase` uses it in the disk lane, one thread at a
/// time.
final class DatabaseFile: @unchecked Sendable {
  private let storage: any Storage
  private let path: String
  private let migrations: Migrations
  private let options: DatabaseOptions
  private let log: Log
  private let vfs: StorageVFS
  private var connection: SQLConnection?
  /// Whether the file has existed. If so, its absence is a failure, and no new file is made.
  private var existed = false
  private var witness: (any File)?

  init(
    storage: any Storage, path: String, migrations: Migrations, options: DatabaseOptions, log: Log,
    limits: WorkLimits = WorkLimits()
  ) {
    self.log = log
    self.storage = storage
    self.path = path
    self.migrations = migrations
    self.options = options
    vfs = StorageVFS(storage, longestHeld: limits[.databaseWrite])
  }

  private var isSynchronous: Bool { !options.planted(.synchronousOff) }

  /// Returns the connection; opens it if it is closed.
  func connected() async throws(DatabaseError) -> SQLConnection {
    try checkName()
    if let connection { return connection }
    if isSynchronous {
      try Self.asDatabaseError { () throws(StorageError) in try DatabaseLog.rewrite(of: path, in: storage) }
    }
    let connection = try SQLConnection(path: path, vfs: vfs, synchronous: isSynchronous, log: log)
    // The log is copied into the database first, so that a log that cannot be copied is a failure
    // now.
    try checkpoint(connection, "TRUNCATE")
    try await migrations.apply(to: connection)
    witness = try Self.asDatabaseError { () throws(StorageError) in try storage.open(path, create: false) }
    existed = true
    self.connection = connection
    return connection
  }

  /// Closes the connection: after a failure its memory is not trusted.
  func disconnect() {
    connection = nil
    witness?.close()
    witness = nil
  }

  /// Copies the log into the database if it is long and nobody copies the two (`DatabaseCopy`).
  func checkpointWhenLong() throws(DatabaseError) {
    guard let connection, let witness, vfs.logEnd > options.longLog else { return }
    if vfs.logEnd <= options.longestLog {
      if try Self.asDatabaseError({ () throws(StorageError) in try witness.isBeingCopied() }) { return }
    }
    try checkpoint(connection, "RESTART")
  }

  private func checkpoint(_ connection: SQLConnection, _ mode: String) throws(DatabaseError) {
    _ = try connection.query(SQLText("PRAGMA wal_checkpoint(\(mode))")) { $0.int(0) }
  }

  private func checkName() throws(DatabaseError) {
    do throws(StorageError) {
      if let witness {
        if try witness.isStillNamed() { return }
        disconnect()
      }
      if existed, try !storage.exists(path) { throw .notFound(path) }
    } catch {
      throw Self.failure(error)
    }
  }

  /// Runs `work`, and throws its error as one of the database.
  static func asDatabaseError<R>(_ work: () throws(StorageError) -> R) throws(DatabaseError) -> R {
    do throws(StorageError) { return try work() } catch { throw failure(error) }
  }

  private static func failure(_ error: StorageError) -> DatabaseError {
    switch error {
    case .full: .full
    case .locked(let path): .locked(path)
    default: .failed("\(error)")
    }
  }
}
