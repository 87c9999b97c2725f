@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The User Service over the simulated network, as a client sees it.
@Suite("The User Service")
struct UserServiceTests: UserServiceSuite {
  static let seed: UInt64 = 7

  @Test("registration works, and a refusal names the field")
  func register() throws {
    try visit(world()) { ann in
      let done = try await ann.send(
        "POST /register", ["email": "ann@example.com", "username": "ann", "password": "password123"])
      #expect(done.status == 201)
      #expect(done.body == ["success": true, "message": "user registered"])
      let cases: [(JSONValue, String)] = [
        (["username": "b", "password": "password123"], "email: missing"),
        (["email": 1, "username": "b", "password": "password123"], "email: must be a string"),
        (["email": "nobody", "username": "b", "password": "password123"], "email: must"),
        (["email": "b@example.com", "username": "b@", "password": "password123"], "username"),
        (["email": "b@example.com", "username": "b", "password": "short"], "password"),
        (["email": "ANN@example.com", "username": "b", "password": "password123"], "email: already"),
        (["email": "b@example.com", "username": "ANN", "password": "password123"], "username: already"),
        ([], "the body: must be an object"),
        (
          ["email": "b@example.com", "username": "b", "password": .string(String(repeating: "é", count: 513))],
          "password"
        ),
      ]
      for (body, detail) in cases {
        let answer = try await ann.send("POST /register", body)
        #expect(answer.status == 400)
        #expect(answer.body["detail"]?.string?.hasPrefix(detail) == true, "\(answer.body.text)")
      }
    }
  }

  @Test("login works by email or username; an unknown user and a wrong password look the same")
  func login() throws {
    try visit(world()) { ann in
      #expect(try await ann.register() == 201)
      for user in ["ann", "ANN", "ann@example.com", "Ann@Example.com"] {
        let answer = try await ann.send("POST /login", ["user": .string(user), "password": "password123"])
        #expect(answer.status == 200)
        #expect(answer.body["token_type"] == "bearer")
        #expect(answer.body["expires_in"] == 3600)
      }
      let wrong = try await ann.send("POST /login", ["user": "ann", "password": "password124"])
      let unknown = try await ann.send("POST /login", ["user": "bob", "password": "password124"])
      #expect(wrong.status == 401)
      #expect(wrong.body == unknown.body)
      #expect(wrong.response["www-authenticate"] == "Bearer")
    }
  }

  @Test("sessions are added, listed in order, deleted, and unique across users")
  func sessions() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      _ = try await ann.register("bob")
      let token = try await ann.login().access
      let other = try await ann.login("bob").access
      for id in ["z", "a", "m"] {
        #expect(try await ann.send("POST /add-session", ["session_id": .string(id)], token: token).status == 200)
      }
      #expect(try await ann.send("POST /add-session", ["session_id": "a"], token: other).status == 400)
      #expect(try await ann.send("DELETE /delete-session", ["session_id": "a"], token: other).status == 400)
      #expect(try await ann.send("DELETE /delete-session", ["session_id": "a"], token: token).status == 200)
      let list = try await ann.send("GET /get-sessions", token: token)
      #expect(list.body["sessions"]?.array?.map { $0["session_id"]?.string } == ["z", "m"])
      #expect(try await ann.send("GET /get-sessions", token: other).body["sessions"] == [])
      for id in ["", "a b", "é", String(repeating: "x", count: 65)] {
        #expect(try await ann.send("POST /add-session", ["session_id": .string(id)], token: token).status == 400)
      }
    }
  }

  @Test("a refresh token works once; its second use revokes the login with its access tokens")
  func refresh() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      let first = try await ann.login()
      let other = try await ann.login()
      let answer = try await ann.send("POST /refresh", ["refresh_token": .string(first.refresh)])
      #expect(answer.status == 200)
      let second = answer.body["access_token"]!.string!
      #expect(try await ann.send("GET /get-sessions", token: second).status == 200)
      #expect(try await ann.send("POST /refresh", ["refresh_token": .string(first.refresh)]).status == 401)
      #expect(try await ann.send("GET /get-sessions", token: second).status == 401)
      #expect(
        try await ann.send("POST /refresh", ["refresh_token": .string(answer.body["refresh_token"]!.string!)]).status
          == 401)
      #expect(try await ann.send("GET /get-sessions", token: other.access).status == 200)
      #expect(try await ann.send("POST /refresh", ["refresh_token": .string(other.access)]).status == 401)
      #expect(try await ann.send("GET /get-sessions", token: other.refresh).status == 401)
    }
  }

  @Test("the token of a deleted user is refused")
  func deletedUser() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      let token = try await ann.login()
      #expect(try await ann.send("DELETE /delete-user", token: token.access).status == 200)
      #expect(try await ann.send("DELETE /delete-user", token: token.access).status == 400)
      #expect(try await ann.send("POST /add-session", ["session_id": "s"], token: token.access).status == 400)
      #expect(try await ann.send("DELETE /delete-session", ["session_id": "s"], token: token.access).status == 400)
      #expect(try await ann.send("GET /get-sessions", token: token.access).status == 401)
      #expect(try await ann.send("POST /refresh", ["refresh_token": .string(token.refresh)]).status == 401)
      #expect(try await ann.register() == 201)
    }
  }

  @Test("expired tokens are refused")
  func expiry() throws {
    try visit(world { $0.accessTokenLifetime = .seconds(10) }) { ann in
      _ = try await ann.register()
      let token = try await ann.login()
      try await ann.environment.clock.sleep(for: .seconds(8))
      #expect(try await ann.send("GET /get-sessions", token: token.access).status == 200)
      try await ann.environment.clock.sleep(for: .seconds(3))
      #expect(try await ann.send("GET /get-sessions", token: token.access).status == 401)
      #expect(try await ann.send("POST /refresh", ["refresh_token": .string(token.refresh)]).status == 200)
    }
  }

  @Test("the eleventh wrong guess is refused, also among guesses at once, until the window ends")
  func throttle() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      for _ in 0..<10 {
        #expect(try await ann.send("POST /login", ["user": "ann", "password": "wrong guess"]).status == 401)
      }
      let refused = try await ann.send("POST /login", ["user": "ann", "password": "password123"])
      #expect(refused.status == 429)
      #expect(Int(refused.response["retry-after"] ?? "").map { $0 > 800 } == true)
      try await ann.environment.clock.sleep(for: .seconds(901))
      // The server has closed the idle connection.
      ann.client.close()
      #expect(try await ann.send("POST /login", ["user": "ann", "password": "password123"]).status == 200)
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<40 {
          group.addTask {
            let one = Self.visitor(ann.environment)
            return try await one.send("POST /login", ["user": "ann", "password": "wrong guess"]).status
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(statuses.count { $0 == 401 } == 10)
      #expect(statuses.count { $0 == 429 } == 30)
    }
  }

  @Test("a login upgrades the seed's hash, and a hash with fewer rounds")
  func upgrade() throws {
    let world = world()
    try visit(world) { ann in _ = try await ann.register("old") }
    world.node("users")!.crash(.kill)
    try world.perform(as: "operator") { environment in
      // The operator uses the disk of the service while it is down.
      let environment = world.node("users")!.environmentForOperator(environment)
      let database = Database(environment, path: "accounts.db", migrations: AccountsSchema.migrations)
      let digest = Hex.encode(Cryptography.sha256(Array("cafepassword123".utf8)))
      try await database.transaction {
        try await $0.execute(
          "INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at) VALUES ('u1', 'Seed@Example.com', 'Seed', $1, 'cafe', '2024-01-15')",
          .text("sha256$" + digest))
      }
      await database.close()
    }
    world.node("users")!.start()
    world.run(until: world.now + .seconds(1))
    try visit(world, as: "seed") { visitor in
      let wrong = try await visitor.send("POST /login", ["user": "seed@example.com", "password": "password124"])
      #expect(wrong.status == 401)
      #expect(try await visitor.send("POST /login", ["user": "SEED", "password": "password123"]).status == 200)
      #expect(try await visitor.send("POST /login", ["user": "seed", "password": "password123"]).status == 200)
    }
    world.node("users")!.crash(.kill)
    let hash = try world.perform(as: "operator 2") { environment in
      let environment = world.node("users")!.environmentForOperator(environment)
      return try await Database(environment, path: "accounts.db", migrations: AccountsSchema.migrations).transaction {
        try await $0.first("SELECT password_hash FROM users WHERE user_id = 'u1'") { $0.text(0) }
      }
    }
    #expect(hash?.hasPrefix("pbkdf2-sha256$2$") == true)
  }

  @Test("endpoints for services need the service token")
  func services() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      let question: JSONValue = ["EMAIL": "ann@example.com", "PASSWORD": "password123", "TYPE": "CUSTOMERS"]
      #expect(try await ann.send("POST /check_node", question).status == 401)
      #expect(try await ann.send("POST /check_node", question, token: "another token").status == 401)
      #expect(
        try await ann.send("POST /check_node", question, token: "the service token").body == ["MESSAGE": "REGISTERED"])
      let wrong: JSONValue = ["EMAIL": "ann@example.com", "PASSWORD": "password124", "TYPE": "CUSTOMERS"]
      #expect(
        try await ann.send("POST /check_node", wrong, token: "the service token").body == ["MESSAGE": "NOT_REGISTERED"])
      #expect(try await ann.send("GET /metrics").status == 401)
      #expect(try await ann.send("GET /metrics", token: "the service token").status == 200)
    }
  }

  @Test("session events arrive at once, resume after the last one, and reset when too many were missed")
  func sessionEvents() throws {
    let world = world()
    try visit(world) { ann in
      _ = try await ann.register()
      let token = try await ann.login().access
      _ = try await ann.send("POST /add-session", ["session_id": "one"], token: token)
      _ = try await ann.send("POST /add-session", ["session_id": "two"], token: token)
      let stream = EventStream(ann.environment, Self.users)
      try await stream.open(last: nil)
      var first = ""
      while !first.contains("event: ready") { first += try await stream.next() }
      let before = ann.environment.clock.now
      _ = try await ann.send("DELETE /delete-session", ["session_id": "one"], token: token)
      var told = ""
      while !told.contains("\"session_id\":\"one\"") { told += try await stream.next() }
      #expect(ann.environment.clock.now - before < .milliseconds(200))
      stream.close()
      _ = try await ann.send("DELETE /delete-user", token: token)
      try await stream.open(last: 1)
      var text = ""
      while !text.contains("user_deleted") { text += try await stream.next() }
      #expect(text.contains("id: 2\nevent: session_ended"))
      stream.close()
      try await stream.open(last: 900)
      var missed = ""
      while !missed.contains("event: reset") { missed += try await stream.next() }
      stream.close()
    }
  }

  @Test("deleted accounts are listed for good, in order, after the given event")
  func deletedUsers() throws {
    try visit(world()) { ann in
      let ask = { (after: Int64) in
        try await ann.send("POST /services/deleted-users", ["after": .int(after)], token: "the service token")
          .body["users"]?.array ?? []
      }
      #expect(try await ask(0).isEmpty)
      for name in ["ann", "bob", "ann"] {
        _ = try await ann.register(name)
        let token = try await ann.login(name).access
        _ = try await ann.send("POST /add-session", ["session_id": "s"], token: token)
        _ = try await ann.send("DELETE /delete-user", token: token)
      }
      let deleted = try await ask(0)
      #expect(deleted.count == 3)
      #expect(deleted.map { $0["event_id"]?.int } == [2, 4, 6])
      #expect(Set(deleted.map { $0["user_id"]?.string }).count == 3)
      #expect(try await ask(2) == Array(deleted[1...]))
      #expect(try await ask(6).isEmpty)
    }
  }

  @Test("the rules of every HTTP service hold")
  func common() throws {
    try visit(world { $0.server.cors = CORSPolicy(origins: ["https://a.example"]) }) { ann in
      let missing = try await ann.send("GET /nowhere")
      #expect(missing.status == 404)
      #expect(missing.response["x-request-id"] != nil)
      #expect(missing.response["date"] != nil)
      let method = try await ann.send("PUT /login")
      #expect(method.status == 405)
      #expect(method.response["allow"] == "POST, OPTIONS")
      let head = try await ann.client.send("HEAD", "/health", timeout: .seconds(5))
      #expect(head.status == 200 && head.body.isEmpty && head["content-length"] == "58")
      let named = try await ann.client.send(
        "GET", "/health", fields: [("x-request-id", "mine-1")], timeout: .seconds(5))
      #expect(named["x-request-id"] == "mine-1")
      let typed = try await ann.client.send(
        Array("POST /login HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}".utf8),
        timeout: .seconds(5))
      #expect(typed.status == 415)
      let good = try await ann.client.send(
        "OPTIONS", "/login",
        fields: [
          ("origin", "https://a.example"), ("access-control-request-method", "POST"),
          ("access-control-request-headers", "content-type"),
        ], timeout: .seconds(5))
      #expect(good.status == 204)
      #expect(good["access-control-allow-origin"] == "https://a.example")
      #expect(good["access-control-allow-methods"] == "POST, OPTIONS")
      #expect(good["access-control-allow-headers"] == "content-type")
      let bad = try await ann.client.send(
        "GET", "/health", fields: [("origin", "https://b.example")], timeout: .seconds(5))
      #expect(bad["access-control-allow-origin"] == nil)
      let document = try await ann.send("GET /openapi.json")
      #expect(document.body["openapi"] == "3.1.0")
      #expect(document.body["paths"]?["/login"]?["post"] != nil)
      let page = try await ann.client.send("GET", "/docs", timeout: .seconds(5))
      #expect(String(decoding: page.body, as: UTF8.self).contains("/delete-session"))
    }
  }

  @Test("a head that does not arrive in time is answered 408, and an idle connection is closed")
  func timeouts() throws {
    try visit(world()) { ann in
      let connection = try await ann.environment.network.connect(
        to: Self.users, deadline: ann.environment.clock.now + .seconds(1))
      try await connection.write(Array("GET / HT".utf8), deadline: nil)
      let answer = try await connection.read(atMost: 4096, deadline: ann.environment.clock.now + .seconds(11))
      #expect(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 408 "))
      connection.close()
      _ = try await ann.send("GET /health")
      try await ann.environment.clock.sleep(for: .seconds(61))
      await #expect(throws: (any Error).self) { try await ann.send("GET /health") }
    }
  }

  @Test("after answers that fill the buffer exactly, a connection may be idle as long as after others")
  func idleAfterLargeAnswers() throws {
    try visit(world()) { ann in
      let size = try await ann.client.send("GET", "/docs", timeout: .seconds(5)).body.count
      let connection = try await ann.environment.network.connect(
        to: Self.users, deadline: ann.environment.clock.now + .seconds(1))
      let requests = String(repeating: "GET /docs HTTP/1.1\r\nhost: x\r\n\r\n", count: 65_536 / size + 1)
      try await connection.write(Array(requests.utf8), deadline: nil)
      var received = 0
      while received < 65_536 {
        let bytes = try await connection.read(atMost: 65_536, deadline: ann.environment.clock.now + .seconds(5))
        try #require(!bytes.isEmpty)
        received += bytes.count
      }
      try await ann.environment.clock.sleep(for: .seconds(30))
      while case let rest = try? await connection.read(
        atMost: 65_536, deadline: ann.environment.clock.now + .milliseconds(1)),
        let rest
      {
        try #require(!rest.isEmpty, "the server closed the connection")
      }
      try await connection.write(Array("GET /health HTTP/1.1\r\nhost: x\r\n\r\n".utf8), deadline: nil)
      let answer = try await connection.read(atMost: 12, deadline: ann.environment.clock.now + .seconds(5))
      #expect(String(decoding: answer, as: UTF8.self) == "HTTP/1.1 200")
    }
  }

  @Test("without its disk the service answers 503, and it recovers by itself")
  func diskGone() throws {
    let world = world()
    try visit(world) { ann in
      _ = try await ann.register()
      let token = try await ann.login().access
      world.node("users")!.disk.faults.failingWrites = 1
      world.node("users")!.disk.faults.failingReads = 1
      #expect(try await ann.send("POST /add-session", ["session_id": "s"], token: token).status == 503)
      for line in ["GET /health", "GET /get-sessions"] { #expect(try await ann.send(line, token: token).status == 503) }
      #expect(try await ann.send("POST /login", ["user": "ann", "password": "password123"]).status == 503)
      world.node("users")!.disk.faults = DiskFaults()
      #expect(try await ann.send("GET /health").status == 200)
      #expect(try await ann.send("POST /add-session", ["session_id": "s"], token: token).status == 200)
    }
  }

  @Test("secrets are blanked in the log")
  func blanked() {
    #expect(
      RequestLog.blanked(query: "a=1&PASSWORD=x&sessionID=y&p%61ssword=z")
        == "a=1&PASSWORD=***&sessionID=***&p%61ssword=***")
  }
}

/// Reads a stream of server-sent events from a connection.
final class EventStream: @unchecked Sendable {
  private let environment: Environment
  private let address: SocketAddress
  private var connection: (any Connection)?

  init(_ environment: Environment, _ address: SocketAddress) {
    self.environment = environment
    self.address = address
  }

  func open(last: Int?) async throws {
    let connection = try await environment.network.connect(to: address, deadline: environment.clock.now + .seconds(1))
    let resume = last.map { "Last-Event-ID: \($0)\r\n" } ?? ""
    let request = "GET /session-events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer the service token\r\n\(resume)\r\n"
    try await connection.write(Array(request.utf8), deadline: nil)
    var head = ""
    while !head.contains("\r\n\r\n") {
      head += String(
        decoding: try await connection.read(atMost: 4096, deadline: environment.clock.now + .seconds(5)), as: UTF8.self)
    }
    #expect(head.contains("text/event-stream"))
    self.connection = connection
    buffered = head.components(after: "\r\n\r\n")
  }

  private var buffered = ""

  func next() async throws -> String {
    if !buffered.isEmpty {
      defer { buffered = "" }
      return buffered
    }
    let bytes = try await connection!.read(atMost: 4096, deadline: environment.clock.now + .seconds(10))
    return String(decoding: bytes, as: UTF8.self)
  }

  func close() { connection?.close() }
}

extension String {
  fileprivate func components(after separator: String) -> String {
    guard let range = firstRange(of: separator) else { return "" }
    return String(self[range.upperBound...])
  }
}
