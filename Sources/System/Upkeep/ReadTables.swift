import Environment

/// Where a command that only reads finds the tables of services.
public protocol ReadTables {
  /// Runs `body`, which only reads, on the tables of a service, as of one moment. Returns nil if
  /// the service has none.
  /// - Throws: `DatabaseError`, also for tables of another release; the error of `body`.
  func read<R: Sendable>(
    _ database: ServiceDatabase, _ body: @escaping @Sendable (SQLSession) async throws -> R
  ) throws -> R?
}

extension ServiceDatabase {
  /// Runs `body` on a copy of the database that nobody else uses.
  /// - Throws: `DatabaseError`, also for a database of another release; the error of `body`.
  public func read<R: Sendable>(
    in storage: any Storage, _ body: @escaping @Sendable (SQLSession) async throws -> R
  ) throws -> R {
    let connection = try SQLConnection(path: path, vfs: StorageVFS(storage), synchronous: true)
    try connection.moveLog()
    try checkRelease(try connection.first("PRAGMA user_version") { Int($0.int(0)) } ?? 0)
    return try connection.perform(body)
  }

  /// Refuses tables of another release.
  func checkRelease(_ version: Int) throws(DatabaseError) {
    guard version != migrations.version else { return }
    throw .failed("\(path) has schema \(version), and this release \(migrations.version)")
  }
}
