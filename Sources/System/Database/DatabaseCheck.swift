import Environment
import Synchronization

/// The faults of a database that nobody else uses.
public struct DatabaseCheck: Sendable {
  /// Faults that make the database unusable: SQLite cannot read a part of it, or it belongs to
  /// another release.
  public fileprivate(set) var damage: [String] = []
  /// Promises that the rows break.
  public fileprivate(set) var breaches: [String] = []
  /// The version of the schema.
  public fileprivate(set) var version = 0

  /// Whether there are no faults.
  public var isSound: Bool { damage.isEmpty && breaches.isEmpty }

  /// Faults of each kind that are reported.
  private static let maximumReported = 20

  init() {}

  /// Checks a database. Copies its log into it. Rows that another service has told are not compared
  /// with the promises if `isComparing` is false.
  ///
  /// The rows of a database of an earlier release are not compared with the promises, which are
  /// about the tables of this release.
  public init(_ database: ServiceDatabase, in storage: any Storage, isComparing: Bool = true) throws(DatabaseError) {
    do throws(DatabaseError) {
      let vfs = StorageVFS(storage)
      let connection = try SQLConnection(path: database.path, vfs: vfs, synchronous: true)
      try connection.moveLog()
      try check(database, connection, isComparing)
    } catch .corrupt(let reason) {
      damage.append(reason)
    }
  }

  private mutating func check(
    _ database: ServiceDatabase, _ connection: SQLConnection, _ isComparing: Bool
  ) throws(DatabaseError) {
    version = try connection.first("PRAGMA user_version") { Int($0.int(0)) } ?? 0
    let integrity = SQLText("PRAGMA integrity_check(\(Self.maximumReported))")
    damage = try connection.query(integrity) { $0.text(0) }.filter { $0 != "ok" }
    if version > database.migrations.version {
      damage.append(DatabaseError.newerSchema(found: version, known: database.migrations.version).reason)
    }
    guard damage.isEmpty else { return }
    let references = SQLText("SELECT * FROM pragma_foreign_key_check LIMIT \(Self.maximumReported)")
    breaches = try connection.query(references) {
      "a row of \($0.text(0)) refers to a row of \($0.text(2)) that does not exist"
    }
    guard version == database.migrations.version else { return }
    let missing = try database.migrations.missing(in: connection)
    guard missing.isEmpty else {
      damage = missing.map { "\($0) is missing" }
      return
    }
    for invariant in database.invariants where isComparing || !invariant.isAboutOthers {
      breaches += try invariant.breaches(in: connection)
    }
  }
}

extension SQLConnection {
  /// Copies the whole log into the database, and empties it.
  func moveLog() throws(DatabaseError) {
    _ = try query("PRAGMA wal_checkpoint(TRUNCATE)") { $0.int(0) }
  }
}

extension Migrations {
  /// The columns, indexes and triggers of this release that a database does not have.
  fileprivate func missing(in connection: SQLConnection) throws(DatabaseError) -> [String] {
    let found = Set(try Self.parts(of: connection))
    return try newestParts().filter { !found.contains($0) }
  }

  /// The parts of an empty database of this release. Made once: the simulator checks a directory
  /// at the end of each run.
  private func newestParts() throws(DatabaseError) -> [String] {
    if let known = parts.known { return known }
    let model = try SQLConnection(path: "model.db", vfs: StorageVFS(MemoryStorage()), synchronous: false)
    try make(in: model)
    let made = try Self.parts(of: model)
    parts.known = made
    return made
  }

  private static func parts(of connection: SQLConnection) throws(DatabaseError) -> [String] {
    try connection.query(
      """
      SELECT 'the column ' || s.name || '.' || c.name FROM sqlite_schema s JOIN pragma_table_info(s.name) c
        WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite_%'
      UNION ALL SELECT 'the ' || type || ' ' || name FROM sqlite_schema
        WHERE type IN ('index', 'trigger') AND name NOT LIKE 'sqlite_%'
      """
    ) { $0.text(0) }
  }
}

/// The parts of a schema that several threads ask for.
final class SchemaParts: Sendable {
  private let made = Mutex<[String]?>(nil)

  /// The parts; nil before they were made.
  var known: [String]? {
    get { made.withLock { $0 } }
    set { made.withLock { $0 = newValue } }
  }
}
