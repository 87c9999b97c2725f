@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The order of publications, and what fills its gaps.
@Suite("Fan-out")
struct FanOutTests {
  @Test(
    "what goes out while the store is read to fill a gap is not kept", arguments: Array(1...5 as ClosedRange<UInt64>))
  func overtaken(seed: UInt64) throws {
    for microseconds in stride(from: 0, through: 3000, by: 200) {
      let isWaiting = try World(seed: seed).perform(as: "chat") { environment in
        let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
        let sockets = SocketIOServer<ChatApplication>(environment, options: EngineIOOptions(), namespaces: ["/"])
        let fanOut = FanOut(environment, database, sockets, position: 0) { _ in
          RoomEvent("message", .null, rooms: [])
        }
        for _ in 1...3 {
          try await database.transaction { _ = try $0.publish([Publication("news", .null, to: [])]) }
        }
        await fanOut.publish([], at: 3)
        try await environment.clock.sleep(for: FanOut.patience + .microseconds(microseconds))
        await fanOut.publish([], at: 1)
        try await environment.clock.sleep(for: .seconds(1))
        return await fanOut.isWaiting
      }
      #expect(!isWaiting, "the first came \(microseconds) µs late")
    }
  }
}
