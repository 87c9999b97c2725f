import CSQLite
import Environment

/// A connection to a database file. Each statement is compiled once and kept.
final class SQLConnection {
  private struct Statement {
    let pointer: OpaquePointer
    /// The index of the value for each parameter of SQLite.
    let parameters: [Int]
  }

  private let handle: OpaquePointer
  private let vfs: StorageVFS
  private let log: Log?
  /// The statements of literals, by the address of the text.
  private var statements: [UnsafePointer<UInt8>: Statement] = [:]
  private var madeStatements: [String: Statement] = [:]

  /// Opens `path` in the storage of the VFS, with a write-ahead log, full durability and exclusive
  /// locking.
  init(path: String, vfs: StorageVFS, synchronous: Bool, log: Log? = nil) throws(DatabaseError) {
    self.vfs = vfs
    self.log = log
    var handle: OpaquePointer?
    let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
    let status = sqlite3_open_v2(path, &handle, flags, vfs.name)
    guard status == SQLITE_OK, let handle else {
      sqlite3_close_v2(handle)
      throw Self.error(status, "cannot open \(path)", vfs)
    }
    self.handle = handle
    _ = parley_sqlite_no_checkpoint_on_close(handle)
    for pragma in [
      "page_size = 1024", "locking_mode = exclusive", "journal_mode = wal",
      "synchronous = \(synchronous ? "full" : "off")",
      "foreign_keys = on", "temp_store = memory", "wal_autocheckpoint = 0", "trusted_schema = off",
    ] {
      try run("PRAGMA " + pragma)
    }
  }

  deinit {
    // Finalized in any order.
    for (_, statement) in statements { sqlite3_finalize(statement.pointer) }
    for (_, statement) in madeStatements { sqlite3_finalize(statement.pointer) }
    sqlite3_close_v2(handle)
  }

  /// Runs a statement. Returns the number of rows that it changed.
  @discardableResult
  func execute(_ sql: SQLText, binding values: [SQLValue]) throws(DatabaseError) -> Int {
    let statement = try bind(sql, values)
    defer { sqlite3_reset(statement) }
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW: continue
      case SQLITE_DONE: return Int(sqlite3_changes(handle))
      case let code: throw failure(code)
      }
    }
  }

  /// Runs a query. Returns the result of `row` for each row.
  func query<T>(_ sql: SQLText, binding values: [SQLValue], row: (SQLRow) -> T) throws(DatabaseError) -> [T] {
    let statement = try bind(sql, values)
    defer { sqlite3_reset(statement) }
    var result: [T] = []
    while let next = try step(statement, row) { result.append(next) }
    return result
  }

  /// Runs a query. Returns the result of `row` for the first row; nil if there is none.
  func first<T>(_ sql: SQLText, binding values: [SQLValue], row: (SQLRow) -> T) throws(DatabaseError) -> T? {
    let statement = try bind(sql, values)
    defer { sqlite3_reset(statement) }
    return try step(statement, row)
  }

  /// Runs a statement. Returns the number of rows that it changed.
  @discardableResult
  func execute(_ sql: SQLText, _ values: SQLValue...) throws(DatabaseError) -> Int {
    try execute(sql, binding: values)
  }

  /// Runs a query. Returns the result of `row` for each row.
  func query<T>(_ sql: SQLText, _ values: SQLValue..., row: (SQLRow) -> T) throws(DatabaseError) -> [T] {
    try query(sql, binding: values, row: row)
  }

  /// Runs a query. Returns the result of `row` for the first row; nil if there is none.
  func first<T>(_ sql: SQLText, _ values: SQLValue..., row: (SQLRow) -> T) throws(DatabaseError) -> T? {
    try first(sql, binding: values, row: row)
  }

  /// Returns the result of `row` for the next row; nil if there is none.
  private func step<T>(_ statement: OpaquePointer, _ row: (SQLRow) -> T) throws(DatabaseError) -> T? {
    switch sqlite3_step(statement) {
    case SQLITE_ROW: row(SQLRow(statement: statement))
    case SQLITE_DONE: nil
    case let code: throw failure(code)
    }
  }

  /// Runs any number of statements without parameters, and keeps none of them compiled.
  func run(_ sql: String) throws(DatabaseError) {
    let code = sqlite3_exec(handle, sql, nil, nil, nil)
    if code != SQLITE_OK { throw failure(code) }
  }

  /// Warns the operator of a row that this program did not write and does not use.
  func setAside(_ table: String, _ key: String) {
    log?.warning("row-set-aside", ["table": .string(table), "row": .string(key)])
  }

  /// The number of rows that all statements so far have changed.
  var totalChanges: Int64 { sqlite3_total_changes64(handle) }
  /// Whether no transaction is open. An error may have rolled it back.
  var isOutsideTransaction: Bool { sqlite3_get_autocommit(handle) != 0 }

  private func bind(_ sql: SQLText, _ values: [SQLValue]) throws(DatabaseError) -> OpaquePointer {
    let statement = try prepare(sql)
    require(statement.parameters.allSatisfy { $0 < values.count }, "too few values for: \(sql)")
    for (index, parameter) in statement.parameters.enumerated() {
      let position = Int32(index + 1)
      let code: Int32
      switch values[parameter] {
      case .null: code = sqlite3_bind_null(statement.pointer, position)
      case .int(let number): code = sqlite3_bind_int64(statement.pointer, position, number)
      case .blob(let bytes):
        code = bytes.withUnsafeBytes {
          sqlite3_bind_blob64(
            statement.pointer, position, $0.baseAddress ?? UnsafeRawPointer(bitPattern: 1), UInt64($0.count),
            Self.transient)
        }
      case .text(var text):
        code = text.withUTF8 { bytes in
          bytes.withMemoryRebound(to: CChar.self) {
            sqlite3_bind_text(statement.pointer, position, $0.baseAddress, Int32($0.count), Self.transient)
          }
        }
      }
      if code != SQLITE_OK { throw failure(code) }
    }
    return statement.pointer
  }

  /// SQLite copies the bytes (`SQLITE_TRANSIENT`, a macro that Swift does not import).
  private static var transient: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

  private func prepare(_ sql: SQLText) throws(DatabaseError) -> Statement {
    switch sql.source {
    case .literal(let text), .dialects(let text, _):
      if let known = statements[text.utf8Start] { return known }
      let statement = try compile(sql.text(for: .sqlite))
      statements[text.utf8Start] = statement
      return statement
    case .made(let text):
      if let known = madeStatements[text] { return known }
      let statement = try compile(sql.text(for: .sqlite))
      madeStatements[text] = statement
      return statement
    }
  }

  private func compile(_ sql: String) throws(DatabaseError) -> Statement {
    var pointer: OpaquePointer?
    let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &pointer, nil)
    guard code == SQLITE_OK, let pointer else { throw failure(code) }
    let parameters = (0..<sqlite3_bind_parameter_count(pointer)).map { index -> Int in
      let name = sqlite3_bind_parameter_name(pointer, index + 1).map { String(cString: $0.advanced(by: 1)) }
      guard let number = name.flatMap({ Int($0) }), number > 0 else { fatalError("parameters are $1, $2 …: \(sql)") }
      return number - 1
    }
    return Statement(pointer: pointer, parameters: parameters)
  }

  private func failure(_ code: Int32) -> DatabaseError {
    Self.error(code, String(cString: sqlite3_errmsg(handle)), vfs)
  }

  private static func error(_ code: Int32, _ message: String, _ vfs: StorageVFS) -> DatabaseError {
    defer {
      vfs.lastFailure = nil
      vfs.foundRot = false
    }
    if vfs.foundRot { return .corrupt("a page does not read as it was written") }
    if case .locked(let path)? = vfs.lastFailure { return .locked(path) }
    switch code & 0xFF {
    case SQLITE_CONSTRAINT: return .constraint(message)
    case SQLITE_FULL: return .full
    case SQLITE_CORRUPT, SQLITE_NOTADB: return .corrupt(message)
    case SQLITE_ERROR, SQLITE_MISUSE, SQLITE_RANGE, SQLITE_MISMATCH, SQLITE_TOOBIG:
      fatalError("a defect in SQL: \(message)")
    default: return .failed(vfs.lastFailure.map { "\($0)" } ?? message)
    }
  }
}
