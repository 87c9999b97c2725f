import Environment

/// The connection to a database, as one transaction uses it. Valid inside the transaction's
/// closure.
///
/// Over SQLite no statement suspends. Over a server each is a round trip.
public struct SQLSession {
  private enum Backend {
    case sqlite(SQLConnection)
    case remote(any RemoteSession, Log)
  }
  private let backend: Backend

  /// The session of a transaction in a database file.
  init(_ connection: SQLConnection) { backend = .sqlite(connection) }
  /// The session of a transaction on a server.
  init(_ remote: any RemoteSession, log: Log) { backend = .remote(remote, log) }

  /// Runs a statement. Returns the number of rows that it changed.
  @discardableResult
  public func execute(_ sql: SQLText, _ values: SQLValue...) async throws(DatabaseError) -> Int {
    switch backend {
    case .sqlite(let connection): try connection.execute(sql, binding: values)
    case .remote(let remote, _): try await remote.run(sql, values).changed
    }
  }

  /// Runs a statement whose result nobody needs. Over a server it costs no round trip: it is sent
  /// with the next statement or with COMMIT, which throws its error.
  public func write(_ sql: SQLText, _ values: SQLValue...) async throws(DatabaseError) {
    switch backend {
    case .sqlite(let connection): try connection.execute(sql, binding: values)
    case .remote(let remote, _): try await remote.write(sql, values)
    }
  }

  /// Runs a query. Returns the result of `row` for each row.
  public func query<T>(_ sql: SQLText, _ values: SQLValue..., row: (SQLRow) -> T) async throws(DatabaseError) -> [T] {
    switch backend {
    case .sqlite(let connection): try connection.query(sql, binding: values, row: row)
    case .remote(let remote, _): try await remote.run(sql, values).rows.map { row(SQLRow(values: $0)) }
    }
  }

  /// Runs a query. Returns the result of `row` for the first row; nil if there is none.
  public func first<T>(_ sql: SQLText, _ values: SQLValue..., row: (SQLRow) -> T) async throws(DatabaseError) -> T? {
    switch backend {
    case .sqlite(let connection): try connection.first(sql, binding: values, row: row)
    case .remote(let remote, _): try await remote.run(sql, values).rows.first.map { row(SQLRow(values: $0)) }
    }
  }

  /// Locks rows with `SELECT … FOR UPDATE` until the end of the transaction. Only a server does it:
  /// SQLite's transactions run one at a time.
  public func lock(_ sql: SQLText, _ values: SQLValue...) async throws(DatabaseError) {
    if case .remote(let remote, _) = backend { _ = try await remote.run(sql, values) }
  }

  /// Locks something that has no row, until the end of the transaction. Only a server does it.
  func lock(_ lock: SQLLock) async throws(DatabaseError) {
    if case .remote(let remote, _) = backend { try await remote.lock(lock) }
  }

  /// Runs any number of statements without parameters, and keeps none of them compiled.
  func run(_ script: String) async throws(DatabaseError) {
    switch backend {
    case .sqlite(let connection): try connection.run(script)
    case .remote(let remote, _): try await remote.run(script: script)
    }
  }

  /// Wakes the other nodes that share the database when this transaction commits. See
  /// `Database.listen`.
  func wakeOthers() { if case .remote(let remote, _) = backend { remote.wakeOthers() } }

  /// The number of statements on a server that have written or failed. It stays 0 over SQLite.
  var effects: Int { if case .remote(let remote, _) = backend { remote.effects } else { 0 } }

  /// Warns the operator of a row that this program did not write and does not use.
  func setAside(_ table: String, _ key: String) {
    switch backend {
    case .sqlite(let connection): connection.setAside(table, key)
    case .remote(_, let log): log.warning("row-set-aside", ["table": .string(table), "row": .string(key)])
    }
  }
}

/// The advisory locks of a server, for decisions that no row stands for. A transaction that needs
/// several takes them in this order, and after its rows.
enum SQLLock: Int64 {
  /// The schema, and work on all rows when a node starts.
  case schema
  /// The next id of a session event.
  case sessionEvents

  /// The key: "parley", and the number of the lock.
  var key: Int64 { 0x7061_726C_6579_0000 + rawValue }
}

/// The result of a statement on a server.
struct SQLResult: Sendable {
  /// The rows of the result. A time is text in RFC 3339, a Boolean is 0 or 1.
  var rows: [[SQLValue]] = []
  /// The number of rows that the statement inserted, changed or deleted.
  var changed = 0
}

/// A connection to a server within one open transaction.
protocol RemoteSession: AnyObject {
  /// The number of statements that have written or failed.
  var effects: Int { get }
  /// Runs a statement and waits for its result.
  ///
  /// Values are converted to the types of the parameters: a Boolean is 0 or 1, a time is text in
  /// RFC 3339, and text for a column of bytes is its UTF-8.
  func run(_ statement: SQLText, _ values: [SQLValue]) async throws(DatabaseError) -> SQLResult
  /// Runs a statement together with the next one or with COMMIT, which throws its error.
  func write(_ statement: SQLText, _ values: [SQLValue]) async throws(DatabaseError)
  /// Runs any number of statements without parameters.
  func run(script: String) async throws(DatabaseError)
  /// Waits for a lock, and keeps it until the end of the transaction.
  func lock(_ lock: SQLLock) async throws(DatabaseError)
  /// Wakes the other nodes when the transaction commits.
  func wakeOthers()
}

extension SQLConnection {
  /// Runs `body` on this connection, outside a transaction, and returns its result. For the
  /// commands that read a database which nobody else uses.
  func perform<R>(_ body: @escaping @Sendable (SQLSession) async throws -> R) throws -> R {
    let work = InlineWork<R>(SQLSession(self))
    runInline {
      do { work.value = try await body(work.session) } catch { work.error = error }
    }
    if let error = work.error { throw error }
    return work.value!
  }
}

/// Unchecked, since the work runs on the thread that reads its result.
private final class InlineWork<R>: @unchecked Sendable {
  let session: SQLSession
  var value: R?
  var error: (any Error)?

  init(_ session: SQLSession) { self.session = session }
}
