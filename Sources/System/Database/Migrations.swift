/// A database's schema as numbered steps: step 1 makes the first version, each later one changes what is there.
public struct Migrations: Sendable {
  private let steps: [String]

  /// The steps in order; a released step never changes. Before the first comes a row for health checks to write.
  public init(_ steps: [String]) {
    self.steps = ["CREATE TABLE health (checked_at INTEGER NOT NULL); INSERT INTO health VALUES (0)"] + steps
  }

  /// Brings the database to the newest version, in one transaction.
  func apply(to connection: SQLConnection) throws(DatabaseError) {
    let version = try connection.first("PRAGMA user_version") { Int($0.int(0)) } ?? 0
    guard version <= steps.count else { throw .newerSchema(found: version, known: steps.count) }
    guard version < steps.count else { return }
    let missing = steps[version...].joined(separator: ";\n")
    try connection.run("BEGIN IMMEDIATE; \(missing); PRAGMA user_version = \(steps.count); COMMIT")
  }
}
