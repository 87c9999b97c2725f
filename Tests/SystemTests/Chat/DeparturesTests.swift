@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

@Suite("Departures")
struct DeparturesTests {
  /// A User Manager that refuses the first calls.
  private actor Manager: UserServerBackend {
    private let serialExecutor: ActorExecutor
    private var refusals: Int
    private(set) var told: [Int64] = []

    nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

    init(_ environment: Environment, refusals: Int) {
      serialExecutor = environment.executor.forActor("manager")
      self.refusals = refusals
    }

    func userIsGone(_ user: UserNumber, connection: ConnectionNumber) async throws {
      guard refusals == 0 else {
        refusals -= 1
        throw ChatRefusal.unavailable(.broker)
      }
      told.append(user.value)
    }

    func userIsAvailable(_ user: UserNumber, connection: ConnectionNumber) async throws {}
    func send(_ message: JSONValue, id: String, from user: UserNumber) async throws {}
    func fault() async -> String? { nil }
    func close() async {}
  }

  private static func database(_ environment: Environment) -> Database {
    Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
  }

  private static func store(_ users: ClosedRange<Int64>, in database: Database) async throws {
    for user in users {
      try await database.transaction {
        try await ChatTables($0).departures.insert(UserNumber(user), ConnectionNumber(1))
      }
    }
  }

  @Test("departures are told in order, and again until the User Manager accepts them", arguments: [0, 1, 5])
  func retried(refusals: Int) throws {
    let (told, left) = try World(seed: 7).perform(as: "chat") { environment in
      let database = Self.database(environment)
      let manager = Manager(environment, refusals: refusals)
      let departures = Departures(environment, database, manager, planted: PlantedBugs())
      try await Self.store(1...150, in: database)
      await departures.tell()
      try await environment.clock.sleep(for: .seconds(10))
      let left = try await database.transaction { try await ChatTables($0).departures.oldest(limit: 9).count }
      return (await manager.told, left)
    }
    #expect(told == Array(1...150))
    #expect(left == 0)
  }

  @Test("a departure that is stored while others are told is told too", arguments: 1...20 as ClosedRange<UInt64>)
  func meanwhile(seed: UInt64) throws {
    let told = try World(seed: seed).perform(as: "chat") { environment in
      let database = Self.database(environment)
      let manager = Manager(environment, refusals: 0)
      let departures = Departures(environment, database, manager, planted: PlantedBugs())
      for user in 1...5 as ClosedRange<Int64> {
        try await Self.store(user...user, in: database)
        await departures.tell()
      }
      try await environment.clock.sleep(for: .seconds(10))
      return await manager.told
    }
    #expect(told == [1, 2, 3, 4, 5])
  }
}
