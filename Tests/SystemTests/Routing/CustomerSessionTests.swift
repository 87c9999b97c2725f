@testable import Environment
import Testing

@testable import Sim
@testable import System

/// The Customer Server with a scripted User Service.
@Suite("Customers' sessions")
struct CustomerSessionTests {
  /// Adds a User Service that knows one password, or answers with a failure.
  static func addUsers(_ session: SessionWorld, failure: HTTPFailure? = nil) {
    session.add("users") { environment in
      let description = ServiceDescription(name: "users", title: "Users", version: "1", errorSchema: .any) {
        ["detail": .string($0)]
      }
      let server = HTTPServer(
        environment, try environment.network.listen(SessionWorld.credentials, backlog: 16), service: description,
        routes: [
          Route("POST", "/check_node", "Check", body: .object([]), responses: []) { call in
            if let failure { throw failure }
            return .json(["MESSAGE": call.string("PASSWORD") == "right" ? "REGISTERED" : "NOT_REGISTERED"])
          }
        ], metrics: Metrics(service: "users"), options: HTTPServerOptions())
      server.start()
      return nil
    }
    session.world.run(until: session.world.now + .milliseconds(100))
  }

  private func request(_ session: SessionWorld, _ email: String = "ann@example.com", password: String = "right") throws
    -> (status: Int, body: JSONValue, fields: [(name: String, value: String)])
  {
    try session.ask(
      SessionWorld.customers, "POST", "/requestSessionCreation",
      ["EMAIL": .string(email), "PASSWORD": .string(password), "PERSONA_TYPE": "CUSTOMERS"])
  }

  @Test("the right password reveals a session that exists, with its token")
  func tokenAgain() throws {
    let session = SessionWorld(seed: 1)
    Self.addUsers(session)
    let first = try request(session)
    #expect(first.body["MESSAGE"] == "SESSION_CREATION_REQUEST_ACCEPTED")
    let again = try request(session)
    #expect(again.status == 400)
    #expect(again.body == ["MESSAGE": "SESSION_ALREADY_RUNNING", "SESSION_TOKEN": first.body["SESSION_TOKEN"]!])
    let wrong = try request(session, password: "wrong")
    #expect(wrong.status == 401)
    #expect(wrong.body == ["MESSAGE": "INVALID_EMAIL_OR_PASSWORD"])
    session.world.end()
  }

  @Test("too many attempts get a 429 with Retry-After")
  func throttled() throws {
    let session = SessionWorld(seed: 2)
    Self.addUsers(session, failure: HTTPFailure(429, "too many", fields: [("retry-after", "60")]))
    let answer = try request(session)
    #expect(answer.status == 429)
    #expect(answer.body["MESSAGE"] == "TOO_MANY_ATTEMPTS")
    #expect(answer.fields.contains { $0.name.lowercased() == "retry-after" && $0.value == "60" })
    session.world.end()
  }

  @Test(
    "an email without an @, or of more than 255 bytes, is refused by every route",
    arguments: [
      "ann", "", "@", String(repeating: "é", count: 127) + "@x", "a" + String(repeating: "\u{301}\u{323}", count: 9000),
    ])
  func emails(email: String) throws {
    let session = SessionWorld(seed: 3, hosts: 0)
    Self.addUsers(session)
    let bodies: [(String, String, JSONValue)] = [
      ("POST", "/requestSessionCreation", ["EMAIL": .string(email), "PASSWORD": "right", "PERSONA_TYPE": "CUSTOMERS"]),
      ("POST", "/initializeSession", ["EMAIL": .string(email)]),
      (
        "PUT", "/handleSessionRequests",
        ["EMAIL": .string(email), "SESSION_TOKEN": "t", "REQUEST": "END_SESSION", "DATA": .object([])]
      ),
    ]
    for (method, path, body) in bodies {
      let answer = try session.ask(SessionWorld.customers, method, path, body)
      #expect(answer.status == 400, "\(path)")
      #expect(answer.body["MESSAGE"] == "INVALID_REQUEST")
    }
    session.world.end()
  }

  @Test("the timer of an earlier initialization does not end a later one of the same email")
  func timers() throws {
    let session = SessionWorld(seed: 4)
    Self.addUsers(session)
    let token = try request(session).body["SESSION_TOKEN"]!
    #expect(
      try session.ask(SessionWorld.customers, "POST", "/initializeSession", ["EMAIL": "ann@example.com"]).status == 200)
    let end = try session.ask(
      SessionWorld.customers, "PUT", "/handleSessionRequests",
      ["EMAIL": "ann@example.com", "SESSION_TOKEN": token, "REQUEST": "END_SESSION"])
    #expect(end.status == 200)
    _ = try request(session)
    // The host is back after the first timer has fired.
    session.world.node("host-0")!.crash(.power)
    session.world.node("host-0")!.restart(after: .milliseconds(4500))
    let begun = session.world.now
    let second = try session.ask(SessionWorld.customers, "POST", "/initializeSession", ["EMAIL": "ann@example.com"])
    let took = session.world.now - begun
    #expect(second.status == 200 || took >= .seconds(5), "answered \(second.status) after \(took)")
    session.world.end()
  }

  @Test("giving up one initialization does not end the session of the next")
  func givenUp() {
    var state = ManagerState()
    let email = CustomerEmail("ann@example.com")!
    func start(_ id: String) {
      var message = QueueMessage("START_SESSION")
      message.id = id
      _ = state.apply(.startSession(email, data: .object([])), message, answer: nil)
    }
    start("first")
    start("second")
    _ = state.apply(
      .cancelSession(email, request: RequestID("first")), QueueMessage("END_SESSION"), answer: nil)
    #expect(state.sessions.all.contains { $0.status != .ended })
    _ = state.apply(
      .cancelSession(email, request: RequestID("second")), QueueMessage("END_SESSION"), answer: nil)
    #expect(!state.sessions.all.contains { $0.status != .ended })
  }

  @Test("each offer of a session has at least the time of the one before, at most 16 times the first")
  func patience() {
    let options = UserManagerOptions()
    let times = (0...200).map { options.patience(withOffers: $0) }
    #expect(times[0] == options.hostTimeout)
    #expect(zip(times, times.dropFirst()).allSatisfy { $0 <= $1 })
    #expect(times.last == options.hostTimeout * 16)
  }
}
