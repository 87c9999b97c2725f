/// The schema of a database, and the steps that bring databases of older releases to it.
public struct Migrations: Sendable {
  /// One step, in SQL or in Swift.
  public struct Step: Sendable, ExpressibleByStringLiteral {
    fileprivate let apply: @Sendable (SQLConnection) throws(DatabaseError) -> Void

    /// A step in SQL, with any number of statements.
    public init(_ sql: String) { apply = { connection throws(DatabaseError) in try connection.run(sql) } }

    /// A step in SQL, with any number of statements.
    public init(stringLiteral sql: String) { self.init(sql) }

    /// A step in Swift. It sees the tables as the steps before it left them.
    public init(_ apply: @escaping @Sendable (SQLConnection) throws(DatabaseError) -> Void) { self.apply = apply }
  }

  private let schema: Step
  /// The steps from version 2, a service's first schema, to 3, and so on. Version 0 is an empty
  /// file. Version 1 has only the table for health checks.
  private let steps: [Step]

  /// Makes migrations. `schema` must equal the first schema after all `steps`. A released step
  /// never changes.
  public init(_ schema: String, from steps: [Step] = []) {
    self.schema = Step(schema)
    self.steps = steps
  }

  /// The newest version.
  var version: Int { steps.count + 2 }

  /// Brings a database to the newest version in one transaction.
  func apply(to connection: SQLConnection) throws(DatabaseError) {
    let found = try connection.first("PRAGMA user_version") { Int($0.int(0)) } ?? 0
    guard found <= version else { throw .newerSchema(found: found, known: version) }
    guard found < version else { return }
    let missing: [Step] =
      switch found {
      case 0: ["CREATE TABLE health (checked_at INTEGER NOT NULL); INSERT INTO health VALUES (0)", schema]
      case 1: [schema]
      case 2...: Array(steps[(found - 2)...])
      default: throw .corrupt("the schema has the version \(found)")
      }
    // If a step fails, the caller closes the connection, which undoes all of them.
    try connection.run("BEGIN IMMEDIATE")
    for step in missing { try step.apply(connection) }
    try connection.run("PRAGMA user_version = \(version); COMMIT")
  }
}
