@testable import Environment
@testable import Simulation
@testable import System
import Testing

@testable import Sim

@Suite("Several User Managers over a simulated PostgreSQL")
struct ManagerNodesTests {
  /// A world of a broker, a PostgreSQL and two User Managers, of which the first is active.
  private func world() throws -> World {
    let text = """
      { name: "x", topology: { database: "postgresql", supervisorHosts: 1, managers: 2 }, run: "10s", people: [] }
      """
    let runner = ScenarioRunner(try Scenario(parsing: Array(text.utf8), file: "x"))
    let world = World(seed: 1)
    for name in ["broker", Scenario.databaseNode, "manager", "manager-2"] {
      let program =
        name == Scenario.databaseNode ? SimulatedDatabase().program : runner.program(of: name, nil, nil)
      world.addNode(name, program: program)
    }
    for name in ["broker", Scenario.databaseNode, "manager"] { world.node(name)!.start() }
    world.run(until: .seconds(5))
    world.node("manager-2")!.start()
    world.run(until: .seconds(8))
    return world
  }

  /// The status of a request to a node, and who is active according to the tables.
  private func ask(_ node: String, in world: World) throws -> (status: Int, active: String?) {
    try world.perform(as: "visitor-\(world.now)", within: .seconds(20)) { environment in
      let client = HTTPClient(
        environment, address: SocketAddress(host: node, port: Scenario.managerAddress.port))
      defer { client.close() }
      let token = "Bearer \(Scenario.serviceToken)"
      let response = try await client.send(
        "GET", "/UserServer", fields: [("authorization", token)], timeout: .seconds(5))
      var options = DatabaseOptions()
      options.servers = SimulatedDatabase.servers
      let database = Database(
        environment, path: "manager.db", migrations: UserManager.database.migrations, options: options)
      let seen = try await database.transaction { try await ManagerLeaseTable($0).seen() }
      await database.close()
      return (response.status, seen.holder?.name)
    }
  }

  @Test("a node that waits forwards requests to the active one")
  func forwards() throws {
    let world = try world()
    for node in ["manager", "manager-2"] {
      let answer = try ask(node, in: world)
      #expect(answer.status == 200 && answer.active == "manager", "\(node): \(answer)")
    }
    #expect(world.defects.isEmpty)
  }

  @Test("a manager that is dead for good is replaced within 10 s")
  func takeover() throws {
    let world = try world()
    world.node("manager")!.crash(.power)
    world.run(until: world.now + .seconds(2))
    // Nobody else is known to be active yet.
    #expect(try ask("manager-2", in: world).status == 503)
    world.run(until: .seconds(18))
    let answer = try ask("manager-2", in: world)
    #expect(answer.status == 200 && answer.active == "manager-2", "\(answer)")
    #expect(world.defects.isEmpty)
  }

  @Test("a manager that wakes up after the takeover waits, and has no effect")
  func paused() throws {
    let world = try world()
    world.node("manager")!.pause()
    world.run(until: world.now + .seconds(10))
    #expect(try ask("manager-2", in: world) == (200, "manager-2"))
    world.run(until: world.now + .seconds(10))
    world.node("manager")!.resume()
    world.run(until: world.now + .seconds(20))
    for node in ["manager", "manager-2"] { #expect(try ask(node, in: world) == (200, "manager-2"), "\(node)") }
    #expect(world.defects.isEmpty)
  }

  @Test("an owner is replaced by the one who has seen it, and by no other")
  func claims() throws {
    let world = World(seed: 1)
    world.addNode(Scenario.databaseNode, program: SimulatedDatabase().program).start()
    try world.perform(as: "client", within: .seconds(60)) { environment in
      func database(_ life: String, replacing predecessor: String?) -> Database {
        var options = DatabaseOptions()
        options.servers = SimulatedDatabase.servers
        options.takesTurns = true
        options.claim = DatabaseClaim(life: life, predecessor: predecessor)
        return Database(
          environment, path: "t.db", migrations: Migrations("CREATE TABLE t (a BIGINT PRIMARY KEY)"), options: options)
      }
      func put(_ key: Int64, _ database: Database) async throws {
        try await database.transaction { try await $0.execute("INSERT INTO t (a) VALUES ($1)", .int(key)) }
      }
      let locked = DatabaseError.locked("the database of t")
      let (one, two) = (database("one", replacing: nil), database("two", replacing: "one"))
      try await put(1, one)
      await #expect(throws: locked) { try await put(9, database("late", replacing: nil)) }
      try await put(2, two)
      await #expect(throws: locked) { try await put(9, one) }
      await #expect(throws: locked) { try await put(9, database("later", replacing: "one")) }
      try await put(3, two)
    }
    #expect(world.defects.isEmpty)
  }
}
