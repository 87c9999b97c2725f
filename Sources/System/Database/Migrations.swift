/// The schema of a database, and the steps that bring databases of older releases to it.
public struct Migrations: Sendable {
  /// One step, in SQL or in Swift.
  public struct Step: Sendable, ExpressibleByStringLiteral {
    fileprivate let apply: @Sendable (SQLSession, SQLDialect) async throws(DatabaseError) -> Void

    /// A step in SQL, with any number of statements.
    public init(_ sql: String) { self.init { session async throws(DatabaseError) in try await session.run(sql) } }

    /// A step in SQL, with any number of statements.
    public init(stringLiteral sql: String) { self.init(sql) }

    /// A step in Swift. It sees the tables as the steps before it left them.
    public init(_ apply: @escaping @Sendable (SQLSession) async throws(DatabaseError) -> Void) {
      self.apply = { session, _ async throws(DatabaseError) in try await apply(session) }
    }

    /// A step that makes new tables. Once a release has them, a later change of a table needs a
    /// step of its own, and this one keeps the table as it was.
    init(making tables: SQLTable...) {
      apply = { session, dialect async throws(DatabaseError) in
        for table in tables { try await session.run(table.script(for: dialect)) }
      }
    }
  }

  /// The statements that make the newest schema.
  let schema: @Sendable (SQLDialect) -> String
  /// The steps from version 2, a service's first schema, to 3, and so on. Version 0 is an empty
  /// file. Version 1 has only the table for health checks.
  private let steps: [Step]
  /// The parts of the newest schema, once they were needed.
  let parts = SchemaParts()

  /// Makes the migrations of a service that runs on both databases. `schema` must equal the first
  /// schema after all `steps`. A released step never changes.
  ///
  /// Steps of releases that had no tables on a server are for SQLite alone: tables on a server
  /// began with a later schema.
  public init(_ schema: DatabaseSchema, from steps: [Step] = []) {
    self.schema = schema.script
    self.steps = steps
  }

  /// Makes migrations of a database that is always SQLite.
  public init(_ schema: String, from steps: [Step] = []) {
    self.schema = { _ in schema }
    self.steps = steps
  }

  /// The newest version.
  var version: Int { steps.count + 2 }

  /// Brings a database file to the newest version in one transaction.
  func apply(to connection: SQLConnection) async throws(DatabaseError) {
    let found = try connection.first("PRAGMA user_version") { Int($0.int(0)) } ?? 0
    guard try isOlder(found) else { return }
    if found == 0 { return try make(in: connection) }
    // If a step fails, the caller closes the connection, which undoes all of them.
    try connection.run("BEGIN IMMEDIATE")
    try await bring(SQLSession(connection), from: found, .sqlite)
    try connection.run("PRAGMA user_version = \(version); COMMIT")
  }

  /// Makes the newest tables in an empty database file.
  func make(in connection: SQLConnection) throws(DatabaseError) {
    try connection.run(
      "BEGIN IMMEDIATE; CREATE TABLE health (checked_at INTEGER NOT NULL); INSERT INTO health VALUES (0);")
    try connection.run(schema(.sqlite))
    try connection.run("PRAGMA user_version = \(version); COMMIT")
  }

  /// Brings the tables of a service on a server to the newest version, within one transaction.
  /// Nodes that start together wait for each other.
  func apply(toServer session: SQLSession, service: String) async throws(DatabaseError) {
    try await session.lock(.schema)
    try await session.run(
      "CREATE TABLE IF NOT EXISTS schema_versions (service VARCHAR(64) PRIMARY KEY, version BIGINT NOT NULL)")
    try await session.run(LastCommits.schema)
    let found =
      try await session.first("SELECT version FROM schema_versions WHERE service = $1", .text(service)) {
        Int($0.int(0))
      } ?? 0
    guard try isOlder(found) else { return }
    try await bring(session, from: found, .postgreSQL)
    try await session.execute(
      """
      INSERT INTO schema_versions (service, version) VALUES ($1, $2)
      ON CONFLICT (service) DO UPDATE SET version = EXCLUDED.version
      """, .text(service), .int(Int64(version)))
  }

  private func isOlder(_ found: Int) throws(DatabaseError) -> Bool {
    guard found <= version else { throw .newerSchema(found: found, known: version) }
    guard found >= 0 else { throw .corrupt("the schema has the version \(found)") }
    return found < version
  }

  private func bring(_ session: SQLSession, from found: Int, _ dialect: SQLDialect) async throws(DatabaseError) {
    if found < 2 { return try await session.run(schema(dialect)) }
    for step in steps[(found - 2)...] { try await step.apply(session, dialect) }
  }
}
