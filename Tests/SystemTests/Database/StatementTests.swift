import Foundation
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// Every statement of the services that run on both databases.
@Suite("Statements")
struct StatementTests {
  /// What only SQLite understands, or understands otherwise.
  private static let banned = [
    "ifnull", "iif(", "INSERT OR", "UPDATE OR", "REPLACE", "PRAGMA", "sqlite_", "changes()", "last_insert_rowid",
    "GLOB",
    "is_admin = 1", "is_own = 1", "\\(",
  ]

  @Test("SQLite compiles every statement on the schema of its service", arguments: StatementList.services.map(\.name))
  func sqlite(_ name: String) throws {
    let service = try #require(StatementList.services.first { $0.name == name })
    let statements = try StatementList.statements(of: name).filter { $0.dialects.contains(.sqlite) }
    #expect(statements.count > 10)
    try World(seed: 1).perform { environment in
      let database = Database(environment, path: "t.db", migrations: service.migrations)
      try await database.transaction { session in
        for statement in statements {
          // A text that SQLite refuses stops the process, and is named then.
          _ = try await session.query(
            SQLText("EXPLAIN " + statement.text), .null, .null, .null, .null, .null, .null, .null, .null, .null, .null,
            .null, .null
          ) { _ in true }
        }
      }
    }
  }

  @Test(
    "a text for both dialects has nothing that only SQLite understands", arguments: StatementList.services.map(\.name))
  func words(_ name: String) throws {
    for statement in try StatementList.statements(of: name) where statement.dialects.count == 2 {
      for word in Self.banned {
        #expect(!statement.text.localizedCaseInsensitiveContains(word), "\(statement.file): \(statement.text)")
      }
    }
  }

  /// The errors of a statement whose values do not fit. All others are about its text.
  private static let expected = ["23502", "23503", "23505", "23514", "22003", "22004"]

  @Test("the simulated PostgreSQL knows every statement", arguments: StatementList.services.map(\.name))
  func simulated(_ name: String) throws {
    let service = try #require(StatementList.services.first { $0.name == name })
    let statements = try StatementList.statements(of: name).filter { $0.dialects.contains(.postgreSQL) }
    let world = World(seed: 1)
    world.addNode(Scenario.databaseNode, program: SimulatedDatabase().program).start()
    world.run(until: .seconds(1))
    let refusals = try world.perform(as: "client", within: .seconds(600)) { environment in
      var options = DatabaseOptions()
      options.servers = SimulatedDatabase.servers
      let database = Database(environment, path: "t.db", migrations: service.migrations, options: options)
      try await database.transaction { try await $0.query("SELECT version FROM schema_versions") { _ in } }
      let pool = PostgresPool(environment, SimulatedDatabase.servers, on: environment.executor.forActor("pool"))
      var refusals: [String] = []
      for statement in statements {
        let count = statement.text.matches(of: /\$(\d+)/).compactMap { Int($0.output.1) }.max() ?? 0
        let connection = try await pool.take()
        let transaction = PostgresTransaction(connection, isMarked: false)
        let outcome = await transaction.run(environment.log) { _ in
          _ = try await transaction.run(SQLText(statement.text), Array(repeating: .null, count: count))
        }
        await pool.give(connection)
        if case .committed = outcome { continue }
        if Self.expected.contains(where: "\(outcome)".contains) { continue }
        refusals.append("\(statement.text): \(outcome)")
      }
      return refusals
    }
    #expect(refusals == [])
  }

  @Test("each table belongs to one service, since services may share a server")
  func tables() {
    let schemas = StatementList.services.map { $0.migrations.schema(.postgreSQL) }
    let names = schemas.flatMap { schema in schema.matches(of: /CREATE TABLE (\w+)/).map { String($0.output.1) } }
    #expect(names.count > 20)
    #expect(Set(names).count == names.count)
  }

  /// A server for this test, as `psql` takes it: `PARLEY_POSTGRESQL=postgresql://…`.
  private static let server = ProcessInfo.processInfo.environment["PARLEY_POSTGRESQL"]

  @Test(
    "PostgreSQL prepares every statement on the schema of its service", .enabled(if: server != nil),
    arguments: StatementList.services.map(\.name))
  func postgreSQL(_ name: String) throws {
    let service = try #require(StatementList.services.first { $0.name == name })
    var script = "BEGIN; CREATE SCHEMA statements; SET LOCAL search_path = statements;\n"
    script += service.migrations.schema(.postgreSQL) + ";\n"
    let statements = try StatementList.statements(of: name).filter { $0.dialects.contains(.postgreSQL) }
    for (number, statement) in statements.enumerated() { script += "PREPARE s\(number) AS \(statement.text);\n" }
    let psql = Process()
    psql.executableURL = URL(filePath: "/usr/bin/env")
    psql.arguments = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", Self.server!]
    let (input, output) = (Pipe(), Pipe())
    psql.standardInput = input
    psql.standardOutput = output
    psql.standardError = output
    try psql.run()
    input.fileHandleForWriting.write(Data((script + "ROLLBACK;\n").utf8))
    try input.fileHandleForWriting.close()
    let said = try output.fileHandleForReading.readToEnd().map { String(decoding: $0, as: UTF8.self) }
    psql.waitUntilExit()
    #expect(psql.terminationStatus == 0, "\(said ?? "")")
  }
}
