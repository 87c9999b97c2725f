/// A database's schema as new databases get it, and the steps that bring those of older releases there.
public struct Migrations: Sendable {
  /// One step: SQL, or what SQL cannot say.
  public struct Step: Sendable, ExpressibleByStringLiteral {
    fileprivate let apply: @Sendable (SQLConnection) throws(DatabaseError) -> Void

    /// A step in SQL, of any number of statements.
    public init(stringLiteral sql: String) {
      apply = { connection throws(DatabaseError) in try connection.run(sql) }
    }

    /// A step that reads and writes the tables as the steps before have left them.
    public init(_ apply: @escaping @Sendable (SQLConnection) throws(DatabaseError) -> Void) { self.apply = apply }
  }

  private let schema: Step
  /// What brings a database from version 2, a service's first schema, to 3, and so on. Version 0 is an empty file, version 1 has
  /// a row for health checks to write and nothing else.
  private let steps: [Step]

  /// `schema` makes what all of `steps` have made of the first one; a released step never changes.
  public init(_ schema: String, from steps: [Step] = []) {
    self.schema = Step(stringLiteral: schema)
    self.steps = steps
  }

  /// The newest version.
  var version: Int { steps.count + 2 }

  /// Brings the database to the newest version, in one transaction.
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
    // A connection that fails in between is closed by the caller, which undoes all of it.
    try connection.run("BEGIN IMMEDIATE")
    for step in missing { try step.apply(connection) }
    try connection.run("PRAGMA user_version = \(version); COMMIT")
  }
}
