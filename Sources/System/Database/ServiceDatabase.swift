import Environment

/// The database of a service: the name of its file, and its migrations.
public struct ServiceDatabase: Sendable {
  /// The file's name in the data directory.
  public let path: String
  /// The name by which a server knows the tables of a service, for the name of their file.
  static func service(of path: String) -> String { String(path.prefix { $0 != "." }) }
  let migrations: Migrations
  /// Promises that the rows keep after each commit.
  let invariants: [Invariant]

  init(_ path: String, _ migrations: Migrations, invariants: [Invariant]) {
    self.path = path
    self.migrations = migrations
    self.invariants = invariants
  }

  /// Returns why a file with these first bytes is refused: it is no database, or a later release
  /// wrote it. Nil if it is accepted. Bytes 60 to 63 of the header are the version of the schema
  /// (SQLite file format, §1.3).
  ///
  /// A version that is still in the write-ahead log is found when the database is opened.
  public func refusal(ofHeader bytes: [UInt8]) -> String? {
    if bytes.isEmpty { return nil }
    guard bytes.count >= 100, bytes.starts(with: "SQLite format 3\0".utf8) else { return "is not a database" }
    let found = bytes[60..<64].reduce(0) { $0 << 8 | Int($1) }
    return found > migrations.version
      ? DatabaseError.newerSchema(found: found, known: migrations.version).reason : nil
  }
}
