import Environment
import Real
import System

/// The tables of the services of a data directory, for commands that only read: copies of the files
/// as of one moment, and the tables on servers that the configuration names.
struct StoredTables: ReadTables {
  static let flag = Flag(
    name: "temporary", placeholder: "DIR", help: "where the database is copied to (default TMPDIR or /tmp)")

  private let copy: RealStorage
  /// The paths of the copies.
  private let copied: Set<String>
  /// The servers of the databases that are on any, by their paths.
  private let servers: [String: PostgresOptions]

  /// Copies those of the databases that are files of the data directory, and passes the tables to
  /// `body`.
  /// - Throws: `UsageError`, `CopyError`, `UpkeepFailure` if `body` returns nil, for which the
  ///   first database has no tables; what `body` throws.
  static func read<R>(
    _ databases: [ServiceDatabase], _ arguments: Arguments, _ body: (StoredTables) throws -> R?
  ) throws -> R {
    let data = Folder.data(arguments)
    let configuration = try Configuration(ofOperatorOf: data)
    var servers: [String: PostgresOptions] = [:]
    for database in databases {
      servers[database.path] = try configuration.servers(withTablesOf: OperatedService.Kind(of: database))
    }
    let source = try Folder.open(data)
    let temporary = try Folder.makeTemporary(in: arguments.value("temporary"))
    defer { Folder.remove(temporary) }
    let copy = try Folder.make(temporary)
    let copied = try DirectoryCopy.make(of: databases.filter { servers[$0.path] == nil }, from: source, to: copy)
    let tables = StoredTables(copy: copy, copied: Set(copied.map(\.path)), servers: servers)
    if let result = try body(tables) { return result }
    throw UpkeepFailure([
      servers[databases[0].path] == nil
        ? "the data directory has no \(databases[0].path)"
        : "the \(OperatedService.Kind(of: databases[0]).title) has no tables in PostgreSQL"
    ])
  }

  func read<R: Sendable>(
    _ database: ServiceDatabase, _ body: @escaping @Sendable (SQLSession) async throws -> R
  ) throws -> R? {
    if let servers = servers[database.path] {
      return try RealNode.visitor("operator", level: .warning).run { try await database.read($0, on: servers, body) }
    }
    return copied.contains(database.path) ? try database.read(in: copy, body) : nil
  }
}
