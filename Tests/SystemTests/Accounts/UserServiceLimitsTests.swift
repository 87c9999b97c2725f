@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// Names, limits and lifetimes of the User Service, over the simulated network.
@Suite("The limits of the User Service")
struct UserServiceLimitsTests: UserServiceSuite {
  static let seed: UInt64 = 11

  private static func account(_ name: String, _ email: String? = nil, password: String = "password123") -> JSONValue {
    ["email": .string(email ?? "\(name)@example.com"), "username": .string(name), "password": .string(password)]
  }

  private static func credentials(_ user: String, _ password: String = "password123") -> JSONValue {
    ["user": .string(user), "password": .string(password)]
  }

  @Test("failed logins by email and by username count together")
  func oneAccount() throws {
    try visit(world()) { ann in
      _ = try await ann.send("POST /register", Self.account("ann"))
      for user in ["ann", "ann@example.com", "ANN", "Ann@Example.com", "ann"] + Array(repeating: "ann", count: 5) {
        #expect(try await ann.send("POST /login", Self.credentials(user, "wrong guess")).status == 401)
      }
      for user in ["ann", "ann@example.com"] {
        #expect(try await ann.send("POST /login", Self.credentials(user)).status == 429)
      }
    }
  }

  @Test("failures at the Customer Server count for the customer's address, if it sends one")
  func customersAddress() throws {
    try visit(world()) { ann in
      _ = try await ann.send("POST /register", Self.account("ann"))
      let check = { (email: String, password: String, address: String?) in
        var question: [JSONValue.Member] = [
          .init("EMAIL", .string(email)), .init("PASSWORD", .string(password)), .init("TYPE", "CUSTOMERS"),
        ]
        if let address { question.append(.init("ADDRESS", .string(address))) }
        return try await ann.send("POST /check_node", .object(question), token: Self.token).status
      }
      // A loopback address may be a proxy for many customers.
      for address in [nil, "127.0.0.1", "::1"] {
        for index in 0..<120 { #expect(try await check("x\(index)@example.com", "wrong guess", address) == 200) }
      }
      for index in 0..<100 { #expect(try await check("y\(index)@example.com", "wrong guess", "10.0.0.1") == 200) }
      #expect(try await check("ann@example.com", "password123", "10.0.0.1") == 429)
      #expect(try await check("ann@example.com", "password123", "10.0.0.2") == 200)
      #expect(try await check("ann@example.com", "password123", nil) == 200)
      #expect(try await check("ann@example.com", "password123", "127.0.0.1") == 200)
      #expect(try await ann.send("POST /login", Self.credentials("ann")).status == 200)
    }
  }

  @Test("an address has 20 registrations in 15 minutes; a taken name does not count")
  func registrations() throws {
    let world = world()
    try visit(world) { ann in
      for index in 0..<20 {
        #expect(try await ann.send("POST /register", Self.account("a\(index)")).status == 201)
        #expect(try await ann.send("POST /register", Self.account("a\(index)")).status == 400)
      }
      let refused = try await ann.send("POST /register", Self.account("b"))
      #expect(refused.status == 429)
      #expect(Int(refused.response["retry-after"] ?? "").map { (1...900).contains($0) } == true)
      let service = { (name: String, address: String) in
        try await ann.send(
          "POST /services/register",
          ["username": .string(name), "password": "password123", "address": .string(address)], token: Self.token
        ).status
      }
      #expect(try await service("c", "ann") == 429)
      #expect(try await service("c", "10.0.0.9") == 201)
      for index in 0..<30 { #expect(try await service("local\(index)", "127.0.0.1") == 201) }
      #expect(try await ann.send("POST /login", Self.credentials("a0")).status == 200)
      ann.client.close()
      try await ann.environment.clock.sleep(for: .seconds(900))
      #expect(try await ann.send("POST /register", Self.account("b")).status == 201)
    }
    try visit(world, as: "bob") { bob in
      let status = try await bob.send("POST /register", Self.account("d")).status
      #expect(status == 201)
    }
  }

  @Test("many registrations at once do not delay a login")
  func lanes() throws {
    try visit(world { $0.registrationLimit = 0 }) { ann in
      _ = try await ann.send("POST /register", Self.account("ann"))
      let statuses = try await withThrowingTaskGroup(of: (isLogin: Bool, status: Int, took: Duration).self) { group in
        for index in 0..<320 {
          let isLogin = index >= 270
          group.addTask {
            let one = Self.visitor(ann.environment)
            let begin = one.environment.clock.now
            let answer =
              isLogin
              ? try await one.send("POST /login", Self.credentials("ann"))
              : try await one.send("POST /register", Self.account("n\(index)"))
            return (isLogin, answer.status, one.environment.clock.now - begin)
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      let logins = statuses.filter(\.isLogin)
      #expect(logins.allSatisfy { $0.status == 200 })
      let last = statuses.filter { !$0.isLogin && $0.status == 201 }.map(\.took).max()!
      #expect(logins.map(\.took).max()! < last / 2)
    }
  }

  @Test("names that differ only in case are equal, in every alphabet")
  func folded() throws {
    try visit(world()) { ann in
      #expect(try await ann.send("POST /register", Self.account("ΝΙΚΟΣ", "nikos@example.com")).status == 201)
      #expect(try await ann.send("POST /register", Self.account("straße", "s@example.com")).status == 201)
      for name in ["νικος", "Νικοσ", "STRASSE"] {
        #expect(try await ann.send("POST /register", Self.account(name, "other@example.com")).status == 400)
      }
      for name in ["νικος", "ΝΙΚΟΣ", "STRASSE", "Straße"] {
        #expect(try await ann.send("POST /login", Self.credentials(name)).status == 200)
      }
      let found = try await ann.send("POST /services/user", ["username": "νικος"], token: Self.token)
      #expect(found.body["username"] == "ΝΙΚΟΣ")
    }
  }

  @Test("a password logs in in each of its Unicode forms")
  func composedPasswords() throws {
    try visit(world()) { ann in
      let composed = "pässwörd1"
      let decomposed = "pa\u{308}sswo\u{308}rd1"
      #expect(try await ann.send("POST /register", Self.account("ann", password: decomposed)).status == 201)
      for password in [composed, decomposed] {
        #expect(try await ann.send("POST /login", Self.credentials("ann", password)).status == 200)
      }
      let short = try await ann.send(
        "POST /register", Self.account("bob", password: "a\u{308}e\u{308}i\u{308}o\u{308}"))
      #expect(short.status == 400 && short.body["detail"]?.string?.hasPrefix("password: ") == true)
    }
  }

  @Test("a letter with 300 kB of marks takes linear time at each endpoint and in each field")
  func marks() throws {
    try visit(world()) { ann in
      let marks = "a" + String(repeating: "\u{301}\u{323}", count: 75_000)
      let session = ["session_id": .string(marks)] as JSONValue
      let requests: [(String, JSONValue, String?)] = [
        ("POST /register", Self.account(marks), nil), ("POST /register", Self.account("b", marks), nil),
        ("POST /register", Self.account("b", marks + "@example.com"), nil),
        ("POST /register", Self.account("b", password: marks), nil),
        ("POST /login", Self.credentials(marks), nil), ("POST /login", Self.credentials(marks + "@example.com"), nil),
        ("POST /login", Self.credentials("ann", marks), nil), ("POST /refresh", ["refresh_token": .string(marks)], nil),
        ("POST /login", .object([.init(marks, 1), .init(marks + "b", 2), .init("user", "ann")]), nil),
        ("POST /login", .object((0..<40).map { .init(marks.prefixed($0), 1) }), nil),
        (
          "POST /check_node", ["EMAIL": .string(marks), "PASSWORD": .string(marks), "TYPE": .string(marks)], Self.token
        ),
        ("POST /services/user", ["username": .string(marks)], Self.token),
        ("POST /services/session", session, Self.token), ("POST /services/logout", session, Self.token),
        ("POST /services/login", ["user": .string(marks), "password": "x", "session_id": "s"], Self.token),
        ("POST /services/register", ["username": .string(marks), "password": "password123"], Self.token),
      ]
      let clock = ContinuousClock()
      for (line, body, token) in requests {
        let begin = clock.now
        let status = try await ann.send(line, body, token: token).status
        #expect((200..<500).contains(status), "\(line) \(status)")
        #expect(clock.now - begin < .seconds(1), "\(line)")
      }
    }
  }

  @Test("an unused session ends and sends an event, and a used one lives on")
  func sessionLifetime() throws {
    try visit(world { $0.sessionLifetime = .seconds(40) }) { ann in
      _ = try await ann.send("POST /register", Self.account("ann"))
      let access = try await ann.login().access
      for id in ["used", "idle"] {
        #expect(try await ann.send("POST /add-session", ["session_id": .string(id)], token: access).status == 200)
      }
      let ask = { (id: String) in
        try await ann.send("POST /services/session", ["session_id": .string(id)], token: Self.token)
      }
      #expect(try await ask("used").body["ask_again_after_ms"] == 10_000)
      for _ in 0..<6 {
        try await ann.environment.clock.sleep(for: .seconds(9))
        #expect(try await ask("used").status == 200)
      }
      #expect(try await ask("idle").status == 404)
      let list = try await ann.send("GET /get-sessions", token: access)
      #expect(list.body["sessions"]?.array?.map { $0["session_id"] } == ["used"])
      let stream = EventStream(ann.environment, SocketAddress(host: "users", port: 8001))
      try await stream.open(last: 0)
      var text = ""
      while !text.contains("\"session_id\":\"idle\"") { text += try await stream.next() }
      #expect(text.contains("event: session_ended") && !text.contains("\"session_id\":\"used\""))
      stream.close()
      #expect(try await ann.send("POST /add-session", ["session_id": "idle"], token: access).status == 200)
    }
  }

  @Test("without a session lifetime an unused session does not end")
  func sessionsForEver() throws {
    try visit(world { $0.sessionLifetime = .zero }) { ann in
      _ = try await ann.send("POST /register", Self.account("ann"))
      let access = try await ann.login().access
      _ = try await ann.send("POST /add-session", ["session_id": "s"], token: access)
      ann.client.close()
      try await ann.environment.clock.sleep(for: .seconds(1800))
      let answer = try await ann.send("POST /services/session", ["session_id": "s"], token: Self.token)
      #expect(answer.status == 200 && answer.body["ask_again_after_ms"] == nil)
    }
  }

  @Test("the number of sessions is limited, and unused ones make room")
  func maximumSessions() throws {
    try visit(
      world {
        $0.maximumSessions = 5
        $0.sessionLifetime = .seconds(400)
      }
    ) { ann in
      _ = try await ann.send("POST /register", Self.account("ann"))
      _ = try await ann.send("POST /register", Self.account("bob"))
      let access = try await ann.login().access
      let other = try await ann.login("bob").access
      for id in 0..<5 {
        #expect(try await ann.send("POST /add-session", ["session_id": .string("s\(id)")], token: access).status == 200)
      }
      #expect(try await ann.send("POST /add-session", ["session_id": "s5"], token: access).status == 400)
      let login: JSONValue = ["user": "ann", "password": "password123", "session_id": "chat"]
      #expect(try await ann.send("POST /services/login", login, token: Self.token).status == 400)
      #expect(try await ann.send("POST /add-session", ["session_id": "s5"], token: other).status == 200)
      #expect(try await ann.send("DELETE /delete-session", ["session_id": "s0"], token: access).status == 200)
      #expect(try await ann.send("POST /add-session", ["session_id": "s6"], token: access).status == 200)
      ann.client.close()
      try await ann.environment.clock.sleep(for: .seconds(501))
      #expect(try await ann.send("POST /add-session", ["session_id": "s7"], token: access).status == 200)
      #expect(try await ann.send("POST /add-session", ["session_id": "s1"], token: access).status == 200)
    }
  }

  @Test("a silent stream of events sends a heartbeat every two seconds")
  func heartbeats() throws {
    try visit(world()) { ann in
      let stream = EventStream(ann.environment, SocketAddress(host: "users", port: 8001))
      try await stream.open(last: nil)
      var text = ""
      while !text.contains("event: ready") { text += try await stream.next() }
      for _ in 0..<5 {
        let begin = ann.environment.clock.now
        #expect(try await stream.next().hasPrefix(":"))
        #expect(ann.environment.clock.now - begin < .milliseconds(2500))
      }
      stream.close()
    }
  }
}

extension String {
  /// A name of its own, with as many marks as 40 of it fit into a body.
  fileprivate func prefixed(_ index: Int) -> String { "\(index)" + String(unicodeScalars.prefix(12_000)) }
}
