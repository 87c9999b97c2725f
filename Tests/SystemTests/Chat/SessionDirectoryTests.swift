@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The leases of sessions while the User Service answers questions but sends no events.
@Suite("Session directory")
struct SessionDirectoryTests {
  private static let users = SocketAddress(host: "users", port: 8001)

  final class State: @unchecked Sendable {
    var hasEnded = false
    var questions = 0
    var closed: [String] = []
  }

  private struct IdleService: Service {
    let addresses: [(name: String, address: SocketAddress)] = []
    func drain() async {}
  }

  /// A User Service without `/session-events` and `/services/last-event`.
  private func world(_ state: State) -> World {
    let world = World(seed: 5)
    world.addNode("users") { environment in
      let route = Route("POST", "/services/session", "The owner of a session", body: .any, responses: []) { call in
        state.questions += 1
        if state.hasEnded { throw HTTPFailure(404, "no such session") }
        return .json(["user_id": "a", "username": "ann"])
      }
      let server = HTTPServer(
        environment, try environment.network.listen(Self.users, backlog: 16),
        service: ServiceDescription(name: "users", title: "Users", version: "1", errorSchema: .any) { .string($0) },
        routes: [route], metrics: Metrics(service: "users"), options: HTTPServerOptions())
      server.start()
      return IdleService()
    }.start()
    return world
  }

  @Test(
    "without events, sockets stay open while questions are answered, and close soon after a session ends",
    arguments: [1, 400])
  func questionsAlone(count: Int) throws {
    let state = State()
    let sessions = (0..<count).map { ChatSessionID("session-\(10_000 + $0)-0123456789012345678901234")! }
    let kept = try world(state).perform(as: "chat") { environment in
      let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
      let directory = SessionDirectory(
        environment, AccountsClient(environment, address: Self.users, token: nil), database
      ) { ended, _ in state.closed += ended.map(\.id) }
      directory.start()
      for session in sessions {
        _ = try await directory.user(of: session, token: nil)
        #expect(
          await directory.attach(SocketID(session: session.value, namespace: "/", id: session.value), to: session))
      }
      try await environment.clock.sleep(for: .seconds(30))
      let kept = sessions.filter { directory.book.objection(to: $0) == nil && !state.closed.contains($0.value) }
      state.hasEnded = true
      try await environment.clock.sleep(for: .seconds(5))
      await directory.close()
      await database.close()
      return kept
    }
    #expect(kept == sessions)
    #expect(state.closed.sorted() == sessions.map(\.value))
    // Each session is asked about at most once in two seconds.
    #expect(state.questions < count * 20)
  }

  @Test("a full cache keeps a session until its last socket has left")
  func fullCache() throws {
    let state = State()
    let sessions = (0..<9).map { ChatSessionID("session-\($0)-0123456789012345678901234567890")! }
    let (objections, kept) = try world(state).perform(as: "chat") { environment in
      var limits = WorkLimits()
      limits[.idleSessions] = 2
      let environment = environment.with(limits: limits)
      let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
      let directory = SessionDirectory(
        environment, AccountsClient(environment, address: Self.users, token: nil), database
      ) { _, _ in }
      let socket = SocketID(session: "s", namespace: "/", id: "s")
      var objections: [String?] = []
      func fill() async throws {
        for session in sessions { _ = try await directory.user(of: session, token: nil) }
        objections.append(directory.book.objection(to: sessions[0])?.message)
      }
      _ = try await directory.user(of: sessions[0], token: nil)
      #expect(await directory.attach(socket, to: sessions[0]))
      try await fill()
      // The socket is to be closed, and goes on until it is.
      await directory.closeAll(because: "a test")
      #expect(await !directory.isAttached(socket, to: sessions[0]))
      try await fill()
      await directory.detach(socket, from: sessions[0])
      try await fill()
      let kept = directory.book.update { pages, _ in pages.sessions.count }
      await directory.close()
      await database.close()
      return (objections, kept)
    }
    #expect(objections == [nil, nil, "no such session"])
    #expect(kept <= 2)
  }
}
