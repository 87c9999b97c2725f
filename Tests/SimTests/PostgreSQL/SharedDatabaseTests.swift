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
    _ environment: Environment, takesTurns: Bool, isShared: Bool = false,
    observer: DatabaseObserver = DatabaseObserver()
  ) -> Database {
    var options = DatabaseOptions()
    options.servers = SimulatedDatabase.servers
    options.takesTurns = takesTurns
    options.isShared = isShared
    return Database(environment, path: "t.db", migrations: migrations, options: options, observer: observer)
  }

  /// Runs a server, and `visit` as its clients.
  private func meet<R: Sendable>(
    within limit: Duration = .seconds(60), _ visit: @escaping @Sendable (Environment) async throws -> R
  ) throws -> R {
    let world = World(seed: 1)
    world.addPostgreSQL()
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

  @Test("statements that nobody waits for run in their order, and their errors undo the transaction")
  func together() throws {
    let rows = try meet { environment in
      let database = Self.database(environment, takesTurns: true)
      try await database.transaction { session in
        for key in 1...450 as ClosedRange<Int64> { try await session.write("INSERT INTO t (a) VALUES ($1)", .int(key)) }
        #expect(try await session.first("SELECT count(*) FROM t") { $0.int(0) } == 450)
        try await session.write("DELETE FROM t WHERE a > $1", .int(2))
      }
      // At COMMIT, with the next statement, and with a body that gives up.
      for reads in [false, true] {
        await #expect(throws: DatabaseError.self) {
          try await database.transaction { session in
            try await session.write("INSERT INTO t (a) VALUES (7)")
            try await session.write("INSERT INTO t (a) VALUES (2)")
            if reads { _ = try await session.first("SELECT 1") { _ in true } }
          }
        }
      }
      await #expect(throws: Refusal.self) {
        try await database.transaction { session in
          try await session.write("INSERT INTO t (a) VALUES (8)")
          throw Refusal()
        }
      }
      return try await Self.rows(database)
    }
    #expect(rows == [1, 2])
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

  // MARK: Several nodes

  /// The wake-ups of a node. Used on the thread of the world only.
  private final class WakeUps: @unchecked Sendable {
    var count = 0
  }

  private static func listen(_ database: Database, _ environment: Environment) -> WakeUps {
    let wakeUps = WakeUps()
    environment.executor.spawn("listen") { await database.listen { wakeUps.count += 1 } }
    return wakeUps
  }

  private static func put(_ key: Int64, _ database: Database, wakes: Bool = true) async throws {
    try await database.transaction { session in
      if wakes { session.wakeOthers() }
      try await session.execute("INSERT INTO t (a) VALUES ($1)", .int(key))
    }
  }

  @Test("transactions of several nodes take turns, and none overwrites what another has done")
  func turnsOfNodes() throws {
    let rows = try meet { environment in
      let nodes = (0..<3).map { _ in Self.database(environment, takesTurns: true, isShared: true) }
      try await Self.put(0, nodes[0])
      let done = Outcomes()
      for number in 0..<60 {
        environment.executor.spawn("count") {
          do {
            try await nodes[number % 3].transaction { session in
              let last = try await session.first("SELECT max(a) FROM t") { $0.int(0) }!
              try await session.execute("INSERT INTO t (a) VALUES ($1)", .int(last + 1))
            }
            done.results[number] = "done"
          } catch {
            done.results[number] = "\(error)"
          }
        }
      }
      while done.results.count < 60 { try await environment.clock.sleep(for: .milliseconds(10)) }
      #expect(done.results.values.allSatisfy { $0 == "done" })
      return try await Self.rows(nodes[1])
    }
    #expect(rows == Array(0...60))
  }

  @Test("a process that does not share the tables refuses the nodes that do, and the reverse")
  func ownersAndNodes() throws {
    _ = try meet { environment in
      let node = Self.database(environment, takesTurns: true, isShared: true)
      try await Self.put(1, node)
      let alone = Self.database(environment, takesTurns: true)
      try await Self.put(2, alone)
      await #expect(throws: DatabaseError.locked("the database of t")) { try await Self.put(3, node) }
      let other = Self.database(environment, takesTurns: true, isShared: true)
      try await Self.put(4, other)
      await #expect(throws: DatabaseError.locked("the database of t")) { try await Self.put(5, alone) }
      // The first node is one of those that share the tables again.
      try await Self.put(6, node)
    }
  }

  @Test("a transaction wakes the other nodes when it is committed, and not its own")
  func wakeUps() throws {
    _ = try meet { environment in
      let nodes = (0..<2).map { _ in Self.database(environment, takesTurns: true, isShared: true) }
      try await Self.put(0, nodes[0])
      let heard = nodes.map { Self.listen($0, environment) }
      try await environment.clock.sleep(for: .seconds(1))
      // Who begins to listen may have missed something.
      #expect(heard.map(\.count) == [1, 1])
      try await Self.put(1, nodes[0])
      try await environment.clock.sleep(for: .milliseconds(500))
      #expect(heard.map(\.count) == [1, 2])
      try await Self.put(2, nodes[1])
      try await Self.put(3, nodes[1], wakes: false)
      await #expect(throws: DatabaseError.self) { try await Self.put(3, nodes[1]) }
      try await environment.clock.sleep(for: .seconds(20))
      #expect(heard.map(\.count) == [2, 2])
      for node in nodes { await node.close() }
    }
  }

  @Test("a node whose connection ends listens again, and looks at once")
  func listensAgain() throws {
    let world = World(seed: 1)
    let node = world.addPostgreSQL()
    let heard = WakeUps()
    let client = world.addNode("client") { environment in
      let database = Self.database(environment, takesTurns: true, isShared: true)
      environment.executor.spawn("listen") { await database.listen { heard.count += 1 } }
      return nil
    }
    client.start()
    world.run(until: .seconds(10))
    #expect(heard.count == 1)
    node.crash(.kill)
    node.restart(after: .seconds(1))
    world.run(until: .seconds(20))
    #expect(heard.count == 2)
    #expect(world.defects.isEmpty)
  }

  @Test("a node that stands still in its turn does not hold the others up for long")
  func standsStill() throws {
    let waited = try meet { environment in
      let nodes = (0..<2).map { _ in Self.database(environment, takesTurns: true, isShared: true) }
      try await Self.put(0, nodes[0])
      try await Self.put(1, nodes[1])
      let isFirst = Returned<Bool>()
      environment.executor.spawn("stands-still") {
        try? await nodes[0].transaction { session in
          try await session.execute("INSERT INTO t (a) VALUES (2)")
          if isFirst.value == nil {
            isFirst.value = true
            try await environment.clock.sleep(for: .seconds(30))
          }
        }
      }
      while isFirst.value == nil { try await environment.clock.sleep(for: .milliseconds(1)) }
      let begin = environment.clock.now
      try await Self.put(3, nodes[1])
      return environment.clock.now - begin
    }
    #expect(waited < .seconds(3))
  }
}
