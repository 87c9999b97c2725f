@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The erasure of a customer at the Customer Server and the User Manager.
@Suite("Erasure of customers")
struct ErasureTests {
  private static let (ann, bob) = ("ann@example.com", "bob@example.com")

  /// Two customers with running sessions, with a user each, and two messages in each transcript. Of
  /// ann there is an ended session, too.
  private func running(seed: UInt64) throws -> SessionWorld {
    let session = SessionWorld(seed: seed)
    CustomerSessionTests.addUsers(session)
    try begin(session, Self.ann)
    try end(session, Self.ann)
    for (user, customer) in [("u1", Self.ann), ("u2", Self.bob)] {
      let news = SessionWorld.message(
        QueueNames.fromUserServer, #"{"TYPE":"NEW_USER","DATA":{"USER_ID":"\#(user)","CONNECTION":1}}"#)
      _ = try session.publish([news], answers: "answers-\(user)", within: .seconds(1)) { _, _ in false }
      try begin(session, customer)
    }
    return session
  }

  private func begin(_ session: SessionWorld, _ email: String) throws {
    let request = try session.ask(
      SessionWorld.customers, "POST", "/requestSessionCreation",
      ["EMAIL": .string(email), "PASSWORD": "right", "PERSONA_TYPE": "CUSTOMERS"])
    #expect(request.status == 200)
    let begun = try session.ask(SessionWorld.customers, "POST", "/initializeSession", ["EMAIL": .string(email)])
    #expect(begun.status == 200)
    for text in ["secret of \(email)", "more"] {
      let said = try handle(
        session, email, request.body["SESSION_TOKEN"]!, "SEND_MESSAGE", ["MESSAGE": .string(text)])
      #expect(said.status == 200)
    }
    session.world.run(until: session.world.now + .seconds(2))
  }

  private func end(_ session: SessionWorld, _ email: String) throws {
    let answer = try session.ask(
      SessionWorld.customers, "POST", "/requestSessionCreation",
      ["EMAIL": .string(email), "PASSWORD": "right", "PERSONA_TYPE": "CUSTOMERS"])
    #expect(try handle(session, email, answer.body["SESSION_TOKEN"]!, "END_SESSION", [:]).status == 200)
    session.world.run(until: session.world.now + .seconds(2))
  }

  private func handle(
    _ session: SessionWorld, _ email: String, _ token: JSONValue, _ request: String, _ data: JSONValue
  ) throws -> (status: Int, body: JSONValue, fields: [(name: String, value: String)]) {
    try session.ask(
      SessionWorld.customers, "PUT", "/handleSessionRequests",
      ["EMAIL": .string(email), "SESSION_TOKEN": token, "REQUEST": .string(request), "DATA": data])
  }

  /// Erases ann until that is done; `send` carries out a request, and is nil without an answer.
  private func erase(
    _ session: SessionWorld, isTrial: Bool = false,
    _ send: (AccountErasure.Request) throws -> (status: Int, body: JSONValue)?
  ) throws -> JSONValue {
    attempts: while true {
      var erasure = AccountErasure(of: "ann", at: [.users, .customers, .manager], isTrial: isTrial)
      var step = erasure.begin()
      while true {
        switch step {
        case .send(let request) where request.service == .users:
          step = erasure.next(after: (200, ["user_id": "id-ann", "email": "ANN@example.com", "sessions_ended": 3]))
        case .send(let request):
          guard let answer = try send(request), answer.status == 200 else {
            session.world.run(until: session.world.now + .seconds(1))
            continue attempts
          }
          step = erasure.next(after: answer)
        case .publish(let email):
          try? session.world.perform(as: "operator-\(session.world.now)") { environment in
            let queues = try await QueueOperator(environment, broker: SessionWorld.broker)
            try await queues.eraseSessions(of: email)
            try await queues.close()
          }
          step = erasure.next()
        case .wait(let duration):
          session.world.run(until: session.world.now + duration)
          step = erasure.next()
        case .done: return erasure.outcome
        case .failed(let reason):
          Issue.record("\(reason)")
          return .null
        }
      }
    }
  }

  private func ask(_ session: SessionWorld, _ request: AccountErasure.Request) throws -> (status: Int, body: JSONValue)?
  {
    let address = request.service == .manager ? SessionWorld.manager : SessionWorld.customers
    let answer = try? session.ask(address, "POST", request.path, request.body)
    return answer.map { ($0.status, $0.body) }
  }

  /// The rows of each table that are about a customer or its session.
  private func rows(_ session: SessionWorld, of email: String) throws -> [String: Int64] {
    func count(_ node: String, _ database: ServiceDatabase, _ queries: [(String, SQLText)]) throws -> [String: Int64] {
      session.world.node(node)!.crash(.kill)
      defer { session.world.node(node)!.restart(after: .milliseconds(10)) }
      return try session.world.perform(as: "looker-\(node)-\(session.world.now)") { environment in
        let environment = session.world.node(node)!.environmentForOperator(environment)
        let opened = Database(environment, path: database.path, migrations: database.migrations)
        let found = try await opened.transaction { connection in
          var found: [String: Int64] = [:]
          for (name, query) in queries {
            found[name] = try await connection.first(query, .text(email)) { $0.int(0) } ?? 0
          }
          return found
        }
        await opened.close()
        return found
      }
    }
    let atManager = try count(
      "manager", UserManager.database,
      [
        ("sessions", "SELECT count(*) FROM sessions WHERE email = $1"),
        (
          "transcripts",
          "SELECT count(*) FROM transcripts JOIN sessions USING (supervisor) WHERE email = $1"
        ),
        ("secrets", "SELECT count(*) FROM transcripts WHERE message LIKE '%secret of ' || $1 || '%'"),
      ])
    let atCustomers = try count(
      "customers", CustomerServer.database,
      [
        ("requests", "SELECT count(*) FROM customer_sessions WHERE email = $1"),
        ("copies", "SELECT count(*) FROM session_messages WHERE message LIKE '%secret of ' || $1 || '%'"),
      ])
    session.world.run(until: session.world.now + .seconds(1))
    return atManager.merging(atCustomers) { first, _ in first }
  }

  private static let nothing: [String: Int64] = [
    "sessions": 0, "transcripts": 0, "secrets": 0, "requests": 0, "copies": 0,
  ]
  private static let bobs: [String: Int64] = [
    "sessions": 1, "transcripts": 2, "secrets": 1, "requests": 1, "copies": 1,
  ]

  @Test("all of a customer goes, and nothing of another one; a trial changes nothing")
  func erases() throws {
    let session = try running(seed: 1)
    let trial = try erase(session, isTrial: true) { try ask(session, $0) }
    #expect(trial["supervised_sessions"] == 2)
    #expect(trial["transcript_messages"] == 4)
    #expect(trial["requests"] == 1)
    #expect(try rows(session, of: Self.ann)["transcripts"] == 4)
    let done = try erase(session) { try ask(session, $0) }
    #expect(done["requests"] == 1)
    #expect(done["supervised_sessions"] == 2)
    #expect(try rows(session, of: Self.ann) == Self.nothing)
    #expect(try rows(session, of: Self.bob) == Self.bobs)
    // The customer may come again, and its users were released.
    try begin(session, Self.ann)
    #expect(try rows(session, of: Self.ann)["transcripts"] == 2)
    session.world.end()
  }

  @Test(
    "crashes in the middle of an erasure leave nothing, once it is run again", arguments: 1...6 as ClosedRange<UInt64>)
  func crashes(seed: UInt64) throws {
    let session = try running(seed: seed)
    let nodes = ["manager", "customers", "broker", "host-0"]
    var count: UInt64 = 0
    _ = try erase(session) { request in
      count += 1
      let victim = session.world.node(nodes[Int((seed + count) % 4)])!
      if count < 8, (seed + count) % 3 != 0 {
        let delay = Duration.milliseconds(Int64((seed * 7 + count * 13) % 40))
        session.world.at(session.world.now + delay) {
          victim.crash(.power)
          victim.restart(after: .milliseconds(300))
        }
      }
      return try ask(session, request)
    }
    session.world.run(until: session.world.now + .seconds(20))
    #expect(try rows(session, of: Self.ann) == Self.nothing)
    #expect(try rows(session, of: Self.bob) == Self.bobs)
    session.world.end()
  }

  @Test("on the files of services that do not run")
  func onFiles() throws {
    let session = try running(seed: 9)
    for node in ["manager", "customers"] { session.world.node(node)!.crash(.kill) }
    _ = try erase(session) { request in
      let node = session.world.node(request.service.rawValue)!
      return try session.world.perform(as: "operator-\(session.world.now)") { environment in
        (200, try await ErasureOnFiles.perform(request, node.environmentForOperator(environment)))
      }
    }
    for node in ["manager", "customers"] { session.world.node(node)!.restart(after: .milliseconds(10)) }
    session.world.run(until: session.world.now + .seconds(10))
    #expect(try rows(session, of: Self.ann) == Self.nothing)
    #expect(try rows(session, of: Self.bob) == Self.bobs)
    #expect(try session.managerAnswers())
    session.world.end()
  }
}
