@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

@Suite("Fan-out")
struct FanOutTests {
  @Test(
    "a publication that is emitted while its gap is being read does not wait for ever",
    arguments: Array(1...5 as ClosedRange<UInt64>))
  func overtaken(seed: UInt64) throws {
    for microseconds in stride(from: 0, through: 3000, by: 200) {
      let isWaiting = try World(seed: seed).perform(as: "chat") { environment in
        let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
        let sockets = SocketIOServer<ChatApplication>(environment, options: EngineIOOptions(), namespaces: ["/"])
        let fanOut = FanOut(environment, database, sockets, position: Position(0))
        for _ in 1...3 {
          try await database.transaction { connection in
            _ = try await ChatTables(connection).publications.publish([Publication("news", .null, to: [])])
          }
        }
        await fanOut.publish([], at: Position(3))
        try await environment.clock.sleep(for: FanOut.patience + .microseconds(microseconds))
        await fanOut.publish([], at: Position(1))
        try await environment.clock.sleep(for: .seconds(1))
        return await fanOut.isWaiting
      }
      #expect(!isWaiting, "the first publication was \(microseconds) µs late")
    }
  }
}
