@testable import Environment
@testable import Simulation
@testable import System
import Testing

@testable import Sim

@Suite("A database on a simulated PostgreSQL")
struct SharedDatabaseTests {
  private struct Refusal: Error {}

  private static let migrations = Migrations("CREATE TABLE t (a BIGINT PRIMARY KEY)")

  private static func database(
    _ environment: Environment, takesTurns: Bool, observer: DatabaseObserver = DatabaseObserver()
  ) -> Database {
    var options = DatabaseOptions()
    options.servers = SimulatedDatabase.servers
    options.takesTurns = takesTurns
    return Database(environment, path: "t.db", migrations: migrations, options: options, observer: observer)
  }

  /// Runs a server, and `visit` as its clients.
  private func meet<R: Sendable>(
    within limit: Duration = .seconds(60), _ visit: @escaping @Sendable (Environment) async throws -> R
  ) throws -> R {
    let world = World(seed: 1)
    let node = world.addNode("postgresql") { try await PostgreSQLServer.start($0, PostgreSQLOptions()) }
    node.start()
    world.run(until: .seconds(2)) { node.isServing }
    let result = try world.perform(as: "client", within: limit, visit)
    #expect(world.defects.isEmpty)
    return result
  }

  private static func rows(_ database: Database) async throws -> [Int64] {
    try await database.transaction { try await $0.query("SELECT a FROM t ORDER BY a") { $0.int(0) } }
  }

  /// What came of the transactions of a test. Used on the thread of the world only.
  private final class Outcomes: @unchecked Sendable {
    var commits: [Int] = []
    var results: [Int: String] = [:]
  }

  private static func insert(_ number: Int, _ database: Database) async -> String {
    do {
      try await database.transaction { session in
        // A refusal before a change, one after it, and a broken constraint.
        if number == 3 { throw Refusal() }
        try await session.execute("INSERT INTO t (a) VALUES ($1)", .int(Int64(number == 9 ? 8 : number)))
        if number == 6 { throw Refusal() }
      }
      return "done"
    } catch is Refusal {
      return "refused"
    } catch DatabaseError.constraint {
      return "taken"
    } catch {
      return "\(error)"
    }
  }

  @Test("transactions that take turns are committed together, and each has its own result")
  func turns() throws {
    let outcomes = Outcomes()
    let rows = try meet { environment in
      let observer = DatabaseObserver(committed: { count, _ in outcomes.commits.append(count) })
      let database = Self.database(environment, takesTurns: true, observer: observer)
      _ = try await Self.rows(database)
      for numbers in [0..<12, 100..<140] {
        for number in numbers {
          environment.executor.spawn("insert") { outcomes.results[number] = await Self.insert(number, database) }
        }
        while outcomes.results[numbers.last!] == nil { try await environment.clock.sleep(for: .milliseconds(10)) }
      }
      return try await Self.rows(database)
    }
    for (number, result) in outcomes.results {
      let expected = number == 3 || number == 6 ? "refused" : number == 9 ? "taken" : "done"
      #expect(result == expected, "\(number)")
    }
    #expect(outcomes.results.count == 52)
    #expect(rows == [0, 1, 2, 4, 5, 7, 8, 10, 11] + (100..<140))
    #expect(outcomes.commits.contains { $0 >= 30 })
  }

  @Test("a transaction that is alone in its turn leaves nothing when it is refused")
  func alone() throws {
    let rows = try meet { environment in
      let database = Self.database(environment, takesTurns: true)
      await #expect(throws: Refusal.self) {
        try await database.transaction { session in
          try await session.execute("INSERT INTO t (a) VALUES (1)")
          throw Refusal()
        }
      }
      return try await Self.rows(database)
    }
    #expect(rows.isEmpty)
  }

  @Test("a process that claims the tables refuses the one before it")
  func owners() throws {
    let rows = try meet { environment in
      let old = Self.database(environment, takesTurns: true)
      try await old.transaction { try await $0.execute("INSERT INTO t (a) VALUES (1)") }
      let new = Self.database(environment, takesTurns: true)
      try await new.transaction { try await $0.execute("INSERT INTO t (a) VALUES (2)") }
      await #expect(throws: DatabaseError.locked("the database of t")) {
        try await old.transaction { try await $0.execute("INSERT INTO t (a) VALUES (3)") }
      }
      await #expect(throws: DatabaseError.locked("the database of t")) { try await Self.rows(old) }
      #expect(await !old.checkHealth())
      return try await Self.rows(new)
    }
    #expect(rows == [1, 2])
  }

  @Test("rows of connections that commit nothing for hours are removed")
  func forgotten() throws {
    let counts = try meet(within: .seconds(20_000)) { environment in
      let database = Self.database(environment, takesTurns: false)
      var counts: [Int64] = []
      for key in 0..<5 as Range<Int64> {
        // Another process, whose connection is not used again.
        let other = Self.database(environment, takesTurns: false)
        try await other.transaction { try await $0.execute("INSERT INTO t (a) VALUES ($1)", .int(10 + key)) }
        await other.close()
        try await database.transaction { try await $0.execute("INSERT INTO t (a) VALUES ($1)", .int(key)) }
        counts.append(
          try await database.transaction { try await $0.first("SELECT count(*) FROM last_commits") { $0.int(0) } }!)
        try await environment.clock.sleep(for: .seconds(2400))
      }
      return counts
    }
    #expect(counts[0] == 2)
    #expect(counts.last! < 5 + 2)
    #expect(counts.max()! <= counts.last! + 3)
  }
}
