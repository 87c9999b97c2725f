import Environment

/// Settings of a database.
public struct DatabaseOptions: Sendable {
  /// The length of the write-ahead log in bytes after which it is copied into the database. Under
  /// load a long log costs fewer syncs.
  public var longLog: Int64 = 4 << 20
  /// The length of the write-ahead log in bytes after which it is copied into the database even
  /// while a backup reads the two, which then fails.
  public var longestLog: Int64 = 1 << 30
  /// The PostgreSQL servers that have the tables; nil for a file of SQLite.
  public var servers: PostgresOptions?
  /// Whether transactions on a server run one at a time, as over a file, and belong to one process.
  var takesTurns = false
  /// With `takesTurns`: whether the transactions of several nodes take turns, too, and none of them
  /// owns the tables alone.
  var isShared = false
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The defaults.
  public init() {}
}

/// Callbacks for the metrics of a database.
public struct DatabaseObserver: Sendable {
  /// Called after a commit that wrote, with the number of transactions in it, and the time from its
  /// start to its end.
  public var committed: @Sendable (_ transactions: Int, _ duration: Duration) -> Void
  /// Called after a failure, which failed all waiting transactions.
  public var failed: @Sendable (DatabaseError) -> Void

  /// Makes an observer.
  public init(
    committed: @escaping @Sendable (_ transactions: Int, _ duration: Duration) -> Void = { _, _ in },
    failed: @escaping @Sendable (DatabaseError) -> Void = { _ in }
  ) {
    self.committed = committed
    self.failed = failed
  }
}

/// The database of a service: a file of its own, or tables on a server.
///
/// A transaction is a closure that runs statements on a session. Over a file it runs off the event
/// loop, one transaction at a time, and may await nothing but its session. Over a server several
/// run at once, at READ COMMITTED, so each has to lock the rows that it decides about first.
///
/// ```swift
/// let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
/// let count = try await database.transaction { try await $0.execute("DELETE FROM sockets") }
/// ```
public struct Database: Sendable {
  private enum Backend {
    case sqlite(SQLiteDatabase)
    case remote(any RemoteDatabase)
  }
  private let backend: Backend
  /// Whether several nodes share the tables and their turns.
  let isShared: Bool

  /// Makes a database at `path` in the environment's storage, or on the servers of the options. The
  /// first transaction opens it.
  public init(
    _ environment: Environment, path: String, migrations: Migrations, options: DatabaseOptions = DatabaseOptions(),
    observer: DatabaseObserver = DatabaseObserver()
  ) {
    isShared = options.servers != nil && options.takesTurns && options.isShared
    if let servers = options.servers {
      backend = .remote(
        PostgresDatabase(
          environment, servers, service: ServiceDatabase.service(of: path),
          turns: !options.takesTurns ? .none : isShared ? .shared : .alone, migrations: migrations,
          observer: observer))
      return
    }
    backend = .sqlite(
      SQLiteDatabase(environment, path: path, migrations: migrations, options: options, observer: observer))
  }

  /// Whether the tables are on a server, which other nodes may use, too.
  public var isOnServer: Bool { if case .remote = backend { true } else { false } }

  /// Makes a database of tables on a server.
  init(_ remote: any RemoteDatabase) {
    isShared = false
    backend = .remote(remote)
  }

  /// Runs `body` in a transaction and returns its result once the transaction is durable. If `body`
  /// throws, its changes are undone. `body` may run more than once, so it must have no effect but
  /// on the database.
  /// - Throws: `DatabaseError` if the database is not available; the error of `body`; `NodeDown`.
  @discardableResult
  public func transaction<R: Sendable>(
    _ body: @escaping @Sendable (SQLSession) async throws -> R
  ) async throws -> R {
    // A generic transaction would make the runtime look up its metadata for each one.
    let returned = Returned<R>()
    switch backend {
    case .sqlite(let database): try await database.transaction { returned.value = try await body($0) }
    case .remote(let database): try await database.transaction { returned.value = try await body($0) }
    }
    return returned.value!
  }

  /// Runs a transaction as `transaction` does, but without waiting for its turn. It may see a
  /// transaction that takes its turn at any of its statements, so it must not decide anything for
  /// those.
  func asideTransaction<R: Sendable>(_ body: @escaping @Sendable (SQLSession) async throws -> R) async throws -> R {
    guard case .remote(let database) = backend else { return try await transaction(body) }
    let returned = Returned<R>()
    try await database.asideTransaction { returned.value = try await body($0) }
    return returned.value!
  }

  /// Calls `wake` after each transaction of another node that has called `SQLSession.wakeOthers`,
  /// and once whenever wake-ups may have been lost. Returns when the database is closed; at once if
  /// no other node shares it.
  ///
  /// A wake-up can be lost for as long as the end of a connection is not noticed. So who relies on
  /// them has to look by itself, too, once in a while.
  func listen(_ wake: @escaping @Sendable () async -> Void) async {
    if case .remote(let database) = backend { await database.listen(wake) }
  }

  /// Returns whether the database can be written. Writes at most once a second while it can.
  public func checkHealth() async -> Bool {
    switch backend {
    case .sqlite(let database): await database.checkHealth()
    case .remote(let database): await database.checkHealth()
    }
  }

  /// Returns the sizes in bytes of the database's file and of its log, by name. Empty while the
  /// disk fails, and for tables on a server.
  public func fileSizes() async -> [(name: String, bytes: Int64)] {
    switch backend {
    case .sqlite(let database): await database.fileSizes()
    case .remote: []
    }
  }

  /// Waits for the running transactions and closes the database. Later transactions throw
  /// `DatabaseError.closed`.
  public func close() async {
    switch backend {
    case .sqlite(let database): await database.close()
    case .remote(let database): await database.close()
    }
  }
}

/// The result of a transaction. Unchecked, since the transaction ends before it is read.
final class Returned<R: Sendable>: @unchecked Sendable {
  var value: R?
}

/// A database of tables on a server, which several nodes may share.
protocol RemoteDatabase: Sendable {
  /// Runs `body` in a transaction at READ COMMITTED, and returns once it is durable.
  ///
  /// Runs it again, a bounded number of times, if the server asks for that (SQLSTATE 40001 and
  /// 40P01), or if the connection ends before COMMIT is sent.
  /// - Throws: `DatabaseError`; the error of `body`, whose changes are undone; `NodeDown`.
  func transaction(_ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws
  /// Runs `body` in a transaction that does not take its turn.
  func asideTransaction(_ body: @escaping @Sendable (SQLSession) async throws -> Void) async throws
  /// Calls `wake` after transactions of other nodes, until the database is closed.
  func listen(_ wake: @escaping @Sendable () async -> Void) async
  /// Returns whether the database can be written.
  func checkHealth() async -> Bool
  /// Waits for the running transactions and closes the connections.
  func close() async
}
