/// A service's database: the name of its file, and what brings it to the newest version.
public struct ServiceDatabase: Sendable {
  /// The file's name in the data directory.
  public let path: String
  /// How its schema is made.
  let migrations: Migrations

  /// Makes a description; opens nothing.
  init(_ path: String, _ migrations: Migrations) {
    self.path = path
    self.migrations = migrations
  }

  /// Why a file that begins with these bytes is refused, or nil: another format, or a schema of a later release. Of the
  /// file's 100 bytes of header, the last four of the first 64 are the schema's version (SQLite file format, §1.3).
  ///
  /// A version that is only in the write-ahead log yet is found when the database is opened.
  public func refusal(ofHeader bytes: [UInt8]) -> String? {
    if bytes.isEmpty { return nil }
    guard bytes.count >= 100, bytes.starts(with: "SQLite format 3\0".utf8) else { return "is not a database" }
    let found = bytes[60..<64].reduce(0) { $0 << 8 | Int($1) }
    return found > migrations.version
      ? DatabaseError.newerSchema(found: found, known: migrations.version).reason : nil
  }
}
