import Environment

/// A database file and its connection. `SQLiteDatabase` uses it in the disk lane, one thread at a time.
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

  init(storage: any Storage, path: String, migrations: Migrations, options: DatabaseOptions, log: Log) {
    self.log = log
    self.storage = storage
    self.path = path
    self.migrations = migrations
    self.options = options
    vfs = StorageVFS(storage)
  }

  private var isSynchronous: Bool { !options.planted(.synchronousOff) }

  /// Returns the connection; opens it if it is closed.
  func connected() async throws(DatabaseError) -> SQLConnection {
    try checkName()
    if let connection { return connection }
    try rewriteLog()
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

  /// Writes the log again as it reads, and syncs it.
  ///
  /// After a failed sync the kernel may mark pages clean that never reached the disk (Rebello et
  /// al., "Can applications recover from fsync failures?", ATC 2020). They read well and are lost
  /// with the power: a checkpoint from such a log, cut off in the middle, would leave a database
  /// that is neither the old nor the new one. Written again, the pages are dirty again, and the
  /// sync reports the truth about them.
  private func rewriteLog() throws(DatabaseError) {
    do throws(StorageError) {
      let log = path + "-wal"
      guard isSynchronous, try storage.exists(log) else { return }
      let file = try storage.open(log, create: false)
      defer { file.close() }
      let size = try file.size()
      guard size > 0 else { return }
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
      defer { buffer.deallocate() }
      var offset: Int64 = 0
      while offset < size {
        let count = try readTwice(file, into: buffer, at: offset)
        guard count > 0 else { break }
        try file.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
        offset += Int64(count)
      }
      try file.sync()
      try storage.syncDirectory()
    } catch {
      throw Self.failure(error)
    }
  }

  private func readTwice(_ file: any File, into buffer: UnsafeMutableRawBufferPointer, at offset: Int64)
    throws(StorageError) -> Int
  {
    let count = try file.read(into: buffer, at: offset)
    let first = VFSFile.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    let again = try file.read(into: buffer, at: offset)
    guard again == count, VFSFile.checksum(UnsafeRawBufferPointer(rebasing: buffer[..<count])) == first else {
      throw .failed("\(path)-wal does not read twice the same")
    }
    return count
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
