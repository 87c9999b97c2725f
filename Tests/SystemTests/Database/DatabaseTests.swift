@testable import Environment
@testable import Simulation
import Sim
import Testing

@testable import System

@Suite("The database")
struct DatabaseTests {
  private static let schema = Migrations("CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER NOT NULL)")

  private func database(_ environment: Environment, observer: DatabaseObserver = DatabaseObserver()) -> Database {
    Database(environment, path: "t.db", migrations: Self.schema, observer: observer)
  }

  @Test("waiting transactions commit together, and one that throws undoes only itself")
  func groups() throws {
    final class Sizes: @unchecked Sendable { var all: [Int] = [] }
    let sizes = Sizes()
    let rows = try World(seed: 1).perform { environment in
      let database = self.database(
        environment, observer: DatabaseObserver(committed: { count, _ in sizes.all.append(count) }))
      try await database.transaction { try await $0.execute("INSERT INTO t VALUES ('first', 0)") }
      await withTaskGroup(of: Void.self) { group in
        for index in 0..<50 {
          group.addTask {
            _ = try? await database.transaction { connection in
              try await connection.execute("INSERT INTO t VALUES ($1, $2)", .text("k\(index)"), .int(Int64(index)))
              if index % 10 == 3 { throw HTTPFailure(400, "no") }
            }
          }
        }
      }
      return try await database.transaction { try await $0.query("SELECT id FROM t ORDER BY id") { $0.text(0) } }
    }
    #expect(rows.count == 46)
    #expect(!rows.contains("k13"))
    #expect(sizes.all.contains { $0 > 5 })
    #expect(sizes.all.count < 25)
  }

  @Test("a constraint fails only its transaction")
  func constraint() throws {
    try World(seed: 1).perform { environment in
      let database = self.database(environment)
      try await database.transaction { try await $0.execute("INSERT INTO t VALUES ('a', 1)") }
      await #expect(throws: DatabaseError.self) {
        try await database.transaction { try await $0.execute("INSERT INTO t VALUES ('a', 2)") }
      }
      let value = try await database.transaction {
        try await $0.first("SELECT n FROM t WHERE id = $1", "a") { $0.int(0) }
      }
      #expect(value == 1)
    }
  }

  @Test("parameters are bound by number, in any order")
  func parameters() throws {
    let values = try World(seed: 1).perform { environment in
      try await self.database(environment).transaction {
        try await $0.query("SELECT $2, $1, $2", .int(1), .text("two")) { [$0.text(0), $0.text(1), $0.text(2)] }
      }
    }
    #expect(values == [["two", "1", "two"]])
  }

  @Test("a database of a newer version is refused")
  func newer() throws {
    try World(seed: 1).perform { environment in
      let newer = Database(
        environment, path: "t.db",
        migrations: Migrations("CREATE TABLE a (x); CREATE TABLE b (x)", from: ["CREATE TABLE b (x)"]))
      try await newer.transaction { _ = try await $0.execute("INSERT INTO b VALUES (1)") }
      await newer.close()
      let error = await #expect(throws: DatabaseError.self) {
        try await self.database(environment).transaction { _ in }
      }
      #expect(error == .newerSchema(found: 3, known: 2))
    }
  }

  @Test("a missing file is noticed, not replaced, and found again")
  func takenAway() throws {
    try World(seed: 1).perform { environment in
      let database = self.database(environment)
      try await database.transaction { try await $0.execute("INSERT INTO t VALUES ('a', 1)") }
      try environment.storage.rename("t.db", to: "elsewhere")
      try environment.storage.rename("t.db-wal", to: "elsewhere-wal")
      await #expect(throws: DatabaseError.self) { try await database.transaction { _ in } }
      #expect(await !database.checkHealth())
      #expect(try !environment.storage.exists("t.db"))
      try environment.storage.rename("elsewhere", to: "t.db")
      try environment.storage.rename("elsewhere-wal", to: "t.db-wal")
      #expect(await database.checkHealth())
      #expect(try await database.transaction { try await $0.first("SELECT n FROM t") { $0.int(0) } } == 1)
    }
  }

  @Test("bytes that another program changed are an error and never an answer")
  func corrupt() throws {
    try World(seed: 1).perform { environment in
      let database = self.database(environment)
      try await database.transaction { try await $0.execute("INSERT INTO t VALUES ('a', 1)") }
      await database.close()
      // Opening copies the log into the database.
      let again = self.database(environment)
      try await again.transaction { _ in }
      await again.close()
      let file = try environment.storage.open("t.db", create: false)
      try [UInt8](repeating: 0x55, count: 4096).withUnsafeBytes { try file.write($0, at: 0) }
      file.close()
      let error = await #expect(throws: DatabaseError.self) {
        try await self.database(environment).transaction { _ in }
      }
      guard case .corrupt? = error else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test("a file that another database has open is refused as in use")
  func locked() throws {
    try World(seed: 1).perform { environment in
      let first = self.database(environment)
      try await first.transaction { _ in }
      let error = await #expect(throws: DatabaseError.self) {
        try await self.database(environment).transaction { _ in }
      }
      #expect(error == .locked("t.db"))
    }
  }

  @Test("a long log is copied into the database without loss")
  func checkpoint() throws {
    let (count, size) = try World(seed: 1).perform { environment in
      let database = self.database(environment)
      let text = String(repeating: "x", count: 30_000)
      for index in 0..<300 {
        try await database.transaction {
          try await $0.execute("INSERT INTO t VALUES ($1, 1)", .text("\(index)\(text)"))
        }
      }
      let file = try environment.storage.open("t.db-wal", create: false)
      let size = try file.size()
      return (try await database.transaction { try await $0.first("SELECT count(*) FROM t") { $0.int(0) } }, size)
    }
    #expect(count == 300)
    #expect(size < 8 << 20)
  }
}
