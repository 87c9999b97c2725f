import CSQLite

/// A value of a parameter or a column.
public enum SQLValue: Hashable, Sendable, ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
  case null
  case int(Int64)
  case text(String)
  case blob([UInt8])

  /// A text value.
  public init(stringLiteral value: String) { self = .text(value) }
  /// An integer value.
  public init(integerLiteral value: Int64) { self = .int(value) }
}

/// The SQL that a database reads.
public enum SQLDialect: Sendable {
  case sqlite
  /// PostgreSQL 13 or later.
  case postgreSQL
}

/// The text of a statement, which both dialects read. Parameters are `$1`, `$2` …
///
/// The address of a literal identifies it, so its compiled statement is found without hashing the
/// text. `FOR UPDATE` at the end of a text is for PostgreSQL: SQLite's transactions run one at a
/// time.
public struct SQLText: ExpressibleByStringLiteral, CustomStringConvertible, Sendable {
  enum Source {
    case literal(StaticString)
    case dialects(sqlite: StaticString, postgreSQL: StaticString)
    case made(String)
  }
  let source: Source

  /// A text that is known at compile time.
  public init(stringLiteral value: StaticString) { source = .literal(value) }
  /// A text that each dialect has to spell differently. Both are known at compile time.
  public init(sqlite: StaticString, postgreSQL: StaticString) {
    source = .dialects(sqlite: sqlite, postgreSQL: postgreSQL)
  }
  /// A text that is composed at run time. Make few: each stays compiled with its connection.
  public init(_ text: String) { source = .made(text) }

  /// A text for statements that only servers get.
  init(postgreSQL: StaticString) { source = .dialects(sqlite: "", postgreSQL: postgreSQL) }

  /// The end of a text that locks the rows that it reads.
  private static let locking = " FOR UPDATE"

  /// What a statement does on a server.
  enum Effect {
    case reads, locks, writes
  }

  /// What the statement does on a server.
  var effect: Effect {
    let text = text(for: .postgreSQL)
    guard text.hasPrefix("SELECT") else { return .writes }
    return text.hasSuffix(Self.locking) ? .locks : .reads
  }

  /// Returns the SQL for a dialect.
  public func text(for dialect: SQLDialect) -> String {
    let text =
      switch source {
      case .literal(let text): "\(text)"
      case .dialects(let sqlite, let postgreSQL): dialect == .sqlite ? "\(sqlite)" : "\(postgreSQL)"
      case .made(let text): text
      }
    return dialect == .sqlite && text.hasSuffix(Self.locking) ? String(text.dropLast(Self.locking.count)) : text
  }

  /// The SQL for PostgreSQL.
  public var description: String { text(for: .postgreSQL) }
}

/// A row of a result, valid inside the closure that reads it.
public struct SQLRow {
  private enum Source {
    case statement(OpaquePointer)
    case cells([SQLValue])
  }
  private let source: Source

  /// The current row of a statement of SQLite.
  init(statement: OpaquePointer) { source = .statement(statement) }
  /// A row that a server sent.
  init(values: [SQLValue]) { source = .cells(values) }

  /// An integer column; NULL reads as 0.
  public func int(_ column: Int32) -> Int64 {
    switch source {
    case .statement(let statement): sqlite3_column_int64(statement, column)
    case .cells(let cells): if case .int(let number) = cells[Int(column)] { number } else { 0 }
    }
  }
  /// Whether a column is NULL.
  public func isNull(_ column: Int32) -> Bool {
    switch source {
    case .statement(let statement): sqlite3_column_type(statement, column) == SQLITE_NULL
    case .cells(let cells): cells[Int(column)] == .null
    }
  }
  /// A column of bytes; NULL reads as no bytes.
  public func bytes(_ column: Int32) -> [UInt8] {
    switch source {
    case .statement(let statement):
      guard let start = sqlite3_column_blob(statement, column) else { return [] }
      return Array(UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
    case .cells(let cells): return if case .blob(let bytes) = cells[Int(column)] { bytes } else { [] }
    }
  }
  /// A column of JSON text; anything else reads as `null`.
  func json(_ column: Int32) -> JSONValue {
    (try? JSONParser.parse(Array(text(column).utf8), depth: JSONParser.innerDepth)) ?? .null
  }
  /// A text column, or a time in RFC 3339; NULL reads as the empty string.
  public func text(_ column: Int32) -> String {
    switch source {
    case .statement(let statement):
      guard let bytes = sqlite3_column_text(statement, column) else { return "" }
      let count = Int(sqlite3_column_bytes(statement, column))
      return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    case .cells(let cells):
      return switch cells[Int(column)] {
      case .text(let text): text
      case .blob(let bytes): String(decoding: bytes, as: UTF8.self)
      case .null, .int: ""
      }
    }
  }
}
