/// A database's schema as new databases get it, and the steps that bring those of older releases there.
public struct Migrations: Sendable {
  private let schema: String
  /// What brings a database from version 2, a service's first schema, to 3, and so on. Version 0 is an empty file, version 1 has
  /// a row for health checks to write and nothing else.
  private let steps: [String]

  /// `schema` makes what all of `steps` have made of the first one; a released step never changes.
  public init(_ schema: String, from steps: [String] = []) {
    self.schema = schema
    self.steps = steps
  }

  /// The newest version.
  var version: Int { steps.count + 2 }

  /// Brings the database to the newest version, in one transaction.
  func apply(to connection: SQLConnection) throws(DatabaseError) {
    let found = try connection.first("PRAGMA user_version") { Int($0.int(0)) } ?? 0
    guard found <= version else { throw .newerSchema(found: found, known: version) }
    guard found < version else { return }
    let missing =
      switch found {
      case 0: ["CREATE TABLE health (checked_at INTEGER NOT NULL); INSERT INTO health VALUES (0)", schema]
      case 1: [schema]
      default: Array(steps[(found - 2)...])
      }
    try connection.run("BEGIN IMMEDIATE; \(missing.joined(separator: ";\n")); PRAGMA user_version = \(version); COMMIT")
  }
}
