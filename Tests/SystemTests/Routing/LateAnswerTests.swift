@testable import Environment
@testable import Simulation
import Sim
import Testing

@testable import System

/// A customer gives up a request for a supervisor, and makes another. Found by fuzzing.
@Suite("Late answers to customers")
struct LateAnswerTests {
  private let email = CustomerEmail("ann@example.com")!

  private func message(_ type: String, id: String = "") -> QueueMessage {
    var message = QueueMessage(type, ["EMAIL": "ann@example.com"])
    message.id = id
    return message
  }

  /// The requests that the `SESSION_RUNNING` among the effects answer.
  private func answered(_ effects: [ManagerEffect]) -> [String?] {
    effects.compactMap { effect in
      guard case .send(_, _, let message) = effect, message.type == "SESSION_RUNNING" else { return nil }
      return .some(message.correlationID?.text)
    }
  }

  private func taken(_ id: String, _ state: inout ManagerState) -> [String?] {
    var initialize = QueueMessage("INITIALIZE_SESSION", .object([]))
    initialize.supervisor = SupervisorID(id)
    initialize.epoch = .first
    return answered(state.apply(.initialize(host: HostName("h")!), initialize, answer: nil))
  }

  @Test("the manager names the request that a running session answers")
  func manager() {
    var state = ManagerState()
    func start(_ id: String) -> [ManagerEffect] {
      state.apply(
        .startSession(email, data: .object([])), message("START_SESSION", id: id), answer: nil)
    }
    _ = start("first")
    #expect(taken("s1", &state) == ["first"])
    #expect(answered(start("again")) == ["again"])
    _ = state.apply(.cancelSession(email, request: RequestID("again")), message("END_SESSION"), answer: nil)
    _ = start("second")
    #expect(taken("s2", &state) == ["second"])
    #expect(state.takeChangedSessions().last { $0.id == SupervisorID("s2") }?.request?.text == "second")
  }

  @Test("a host that asks for a session after its end leaves no user with it")
  func hostAfterTheEnd() throws {
    var state = ManagerState()
    let user = UserID(.int(1))!
    _ = state.apply(.newUser(user, connection: ConnectionNumber(1)), message("NEW_USER"), answer: nil)
    _ = state.apply(.startSession(email, data: .object([])), message("START_SESSION", id: "first"), answer: nil)
    #expect(taken("s1", &state) == ["first"])
    let id = try #require(SupervisorID("s1"))
    var wants = QueueMessage("NEW_SESSION", ["USER_COUNT": 1])
    wants.supervisor = id
    wants.epoch = .first
    _ = state.apply(.wantsUsers(.number(1)), wants, answer: nil)
    #expect(state.pool.isServing(user, id))
    _ = state.apply(.cancelSession(email, request: RequestID("first")), message("END_SESSION"), answer: nil)
    #expect(state.pool.isServing(user, id))
    #expect(taken("s1", &state).isEmpty)
    #expect(!state.pool.isServing(user, id))
    #expect(state.sessions[id] == nil)
  }

  @Test("a request without an id, as a foreign agent sends, does not take the answer of another")
  func withoutID() {
    var state = ManagerState()
    for id in ["first", ""] {
      _ = state.apply(
        .startSession(email, data: .object([])), message("START_SESSION", id: id), answer: nil)
    }
    #expect(taken("s1", &state) == ["first"])
  }

  @Test("the Customer Server ignores an answer to a request that was given up")
  func customer() throws {
    try World(seed: 1).perform { [email] environment in
      let database = Database(environment, path: "c.db", migrations: CustomerSchema.migrations)
      let (stale, fresh) = (SupervisorID("s1")!, SupervisorID("s2")!)
      let (first, second) = (RequestID("first")!, RequestID("second")!)
      try await database.transaction { connection in
        let tables = CustomerTables(connection)
        _ = try await tables.request(
          email, token: SessionToken("t"), data: .object([]), at: environment.clock.wallTime)
        try await tables.initialize(email, first)
        _ = try await tables.giveUp(email, first)
        #expect(try await tables.run(email, stale, first) == nil)
        try await tables.initialize(email, second)
        #expect(try await tables.run(email, stale, first) == nil)
        #expect(try await tables.run(email, stale, nil) == nil)
        try await tables.end(stale)
        #expect(try await tables.run(email, fresh, second) != nil)
        // The next supervisor of a running session names no request.
        #expect(try await tables.run(email, fresh, nil) != nil)
      }
    }
  }
}
