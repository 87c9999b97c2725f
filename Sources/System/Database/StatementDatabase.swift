import CSQLite
import Environment

/// A value as SQLite stores it. Text is kept as bytes, so that equality is equality of bytes.
package enum StoredValue: Hashable, Sendable {
  case null
  case integer(Int64)
  case real(Double)
  case text([UInt8])
  case bytes([UInt8])
}

/// A SQLite database for statements that are made at run time. The simulated PostgreSQL evaluates
/// its SQL with it.
///
/// Its statements are made by the program, so one that SQLite does not compile is a defect.
package final class StatementDatabase {
  /// The values of a statement's parameters, by the number after the `$`.
  package typealias Parameters = (_ number: Int) -> StoredValue

  private struct Statement {
    let pointer: OpaquePointer
    let numbers: [Int]
  }

  /// The maximum number of statements that stay compiled. Beyond it all are compiled anew.
  private static let maximumCompiled = 1000
  /// The length of the write-ahead log in bytes after which it is copied into the database.
  private static let longLog: Int64 = 4 << 20

  private let handle: OpaquePointer
  private let vfs: StorageVFS?
  private var statements: [String: Statement] = [:]

  /// Opens the file `path` in `storage`, with a write-ahead log, full durability and exclusive
  /// locking. Without a storage, makes a database in memory.
  package init(_ storage: (any Storage)?, path: String) throws(DatabaseError) {
    if let storage {
      do throws(StorageError) { try DatabaseLog.rewrite(of: path, in: storage) } catch { throw .failed("\(error)") }
    }
    vfs = storage.map { StorageVFS($0) }
    var handle: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let status = sqlite3_open_v2(vfs == nil ? ":memory:" : path, &handle, flags, vfs?.name)
    guard status == SQLITE_OK, let handle else {
      sqlite3_close_v2(handle)
      throw .failed("cannot open \(path)")
    }
    self.handle = handle
    _ = parley_sqlite_no_checkpoint_on_close(handle)
    let files = vfs == nil ? "" : "PRAGMA locking_mode = exclusive; PRAGMA journal_mode = wal;"
    try execute(
      """
      PRAGMA page_size = 1024; \(files) PRAGMA synchronous = full; PRAGMA temp_store = memory;
      PRAGMA wal_autocheckpoint = 0; PRAGMA case_sensitive_like = on
      """)
  }

  deinit {
    // Finalized in any order.
    for (_, statement) in statements { sqlite3_finalize(statement.pointer) }
    sqlite3_close_v2(handle)
  }

  /// Runs statements without parameters.
  package func execute(_ sql: String) throws(DatabaseError) {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    if code != SQLITE_OK { throw failure(code, sql) }
  }

  /// Runs one statement and returns its rows.
  package func run(_ sql: String, _ parameters: Parameters = { _ in .null }) throws(DatabaseError) -> [[StoredValue]] {
    let statement = try prepare(sql)
    defer {
      sqlite3_reset(statement.pointer)
      sqlite3_clear_bindings(statement.pointer)
    }
    for (index, number) in statement.numbers.enumerated() {
      bind(parameters(number), to: statement.pointer, Int32(index + 1))
    }
    var rows: [[StoredValue]] = []
    while true {
      switch sqlite3_step(statement.pointer) {
      case SQLITE_ROW:
        rows.append((0..<sqlite3_column_count(statement.pointer)).map { value(statement.pointer, $0) })
      case SQLITE_DONE: return rows
      case let code: throw failure(code, sql)
      }
    }
  }

  /// Copies the write-ahead log into the database if it is long.
  package func checkpointWhenLong() throws(DatabaseError) {
    guard let vfs, vfs.logEnd > Self.longLog else { return }
    try execute("PRAGMA wal_checkpoint(RESTART)")
  }

  private func prepare(_ sql: String) throws(DatabaseError) -> Statement {
    if let known = statements[sql] { return known }
    if statements.count >= Self.maximumCompiled {
      for (_, statement) in statements { sqlite3_finalize(statement.pointer) }
      statements = [:]
    }
    var pointer: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil)
    guard code == SQLITE_OK, let pointer else { throw failure(code, sql) }
    let numbers = (0..<sqlite3_bind_parameter_count(pointer)).map { index -> Int in
      let name = sqlite3_bind_parameter_name(pointer, index + 1).map { String(cString: $0.advanced(by: 1)) }
      guard let number = name.flatMap({ Int($0) }) else { fatalError("parameters are $1, $2 …: \(sql)") }
      return number
    }
    let statement = Statement(pointer: pointer, numbers: numbers)
    statements[sql] = statement
    return statement
  }

  private func bind(_ value: StoredValue, to statement: OpaquePointer, _ position: Int32) {
    let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
    let code =
      switch value {
      case .null: sqlite3_bind_null(statement, position)
      case .integer(let number): sqlite3_bind_int64(statement, position, number)
      case .real(let number): sqlite3_bind_double(statement, position, number)
      case .bytes(let bytes):
        bytes.withUnsafeBytes {
          sqlite3_bind_blob64(
            statement, position, $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1), UInt64($0.count), transient)
        }
      case .text(let bytes):
        bytes.withUnsafeBytes {
          sqlite3_bind_text(
            statement, position,
            ($0.baseAddress ?? UnsafeRawPointer(bitPattern: 1))?.assumingMemoryBound(to: CChar.self),
            Int32($0.count), transient)
        }
      }
    require(code == SQLITE_OK, "SQLite refused a value")
  }

  private func value(_ statement: OpaquePointer, _ column: Int32) -> StoredValue {
    switch sqlite3_column_type(statement, column) {
    case SQLITE_NULL: return .null
    case SQLITE_INTEGER: return .integer(sqlite3_column_int64(statement, column))
    case SQLITE_FLOAT: return .real(sqlite3_column_double(statement, column))
    case SQLITE_BLOB:
      guard let start = sqlite3_column_blob(statement, column) else { return .bytes([]) }
      return .bytes(
        Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))))
    default:
      guard let start = sqlite3_column_text(statement, column) else { return .text([]) }
      return .text(Array(UnsafeBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column)))))
    }
  }

  private func failure(_ code: Int32, _ sql: String) -> DatabaseError {
    let message = String(cString: sqlite3_errmsg(handle))
    let cause = vfs?.lastFailure
    vfs?.lastFailure = nil
    switch code & 0xFF {
    case SQLITE_FULL: return .full
    case SQLITE_CORRUPT, SQLITE_NOTADB: return .corrupt(message)
    case SQLITE_ERROR, SQLITE_MISUSE, SQLITE_RANGE, SQLITE_MISMATCH, SQLITE_TOOBIG, SQLITE_CONSTRAINT:
      fatalError("a defect in SQL: \(message): \(sql)")
    default: return .failed(cause.map { "\($0)" } ?? message)
    }
  }
}
