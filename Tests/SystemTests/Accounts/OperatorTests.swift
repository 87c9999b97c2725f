@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// Operators change accounts, over the simulated network.
@Suite("Operators of the User Service")
struct OperatorTests: UserServiceSuite {
  static let seed: UInt64 = 27
  private static let operators = "the operators' token"
  private static let verbs = ["disable", "enable", "revoke", "set-password"]

  private static func body(_ verb: String, _ user: String = "ann") -> JSONValue {
    verb == "set-password"
      ? ["user": .string(user), "password": "another password"] : ["user": .string(user)]
  }

  private static func operate(
    _ visitor: UserServiceVisitor, _ verb: String, _ user: String = "ann", token: String? = token
  ) async throws -> (status: Int, body: JSONValue) {
    let answer = try await visitor.send("POST /operator/users/\(verb)", body(verb, user), token: token)
    return (answer.status, answer.body)
  }

  private static func logIn(
    _ visitor: UserServiceVisitor, _ password: String = "password123"
  ) async throws -> (status: Int, body: JSONValue) {
    let answer = try await visitor.send("POST /login", ["user": "ann", "password": .string(password)])
    return (answer.status, answer.body)
  }

  @Test("only the service token and the operators' token give access")
  func access() throws {
    try visit(world { $0.server.operatorToken = Self.operators }) { ann in
      _ = try await ann.register()
      let access = try await ann.login().access
      for verb in Self.verbs {
        for token in [nil, "wrong", access] {
          #expect(try await Self.operate(ann, verb, token: token).status == 401, "\(verb)")
        }
        for token in [Self.token, Self.operators] {
          #expect(try await Self.operate(ann, verb, token: token).status == 200, "\(verb)")
          #expect(try await Self.operate(ann, verb, "nobody", token: token).status == 404, "\(verb)")
        }
      }
      // The operators' token opens nothing else.
      let other = try await ann.send("GET /services/last-event", token: Self.operators)
      #expect(other.status == 401)
    }
    try visit(world { $0.server.serviceToken = nil }) { ann in
      for verb in Self.verbs {
        for token in [nil, ""] {
          let status = try await Self.operate(ann, verb, token: token).status
          #expect(status == 403, "\(verb)")
        }
      }
    }
  }

  @Test("a disabled account cannot log in, and its tokens and sessions end")
  func disabled() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      let (access, refresh) = try await ann.login()
      #expect(try await ann.send("POST /add-session", ["session_id": "s"], token: access).status == 200)
      let disabled = try await Self.operate(ann, "disable", "ANN@example.com")
      #expect(disabled.body["sessions_ended"] == 1 && disabled.body["disabled"] == true)
      #expect(try await Self.operate(ann, "disable").body["sessions_ended"] == 0)
      let refused = try await Self.logIn(ann)
      #expect(refused.status == 401 && refused.body["detail"] == "the account is disabled")
      #expect(try await Self.logIn(ann, "a wrong guess").body["detail"] == "wrong user or password")
      try await Self.expectDead(ann, access, refresh)
      let service = ["user": "ann", "password": "password123", "session_id": "t"] as JSONValue
      #expect(try await ann.send("POST /services/login", service, token: Self.token).status == 401)
      let check = ["EMAIL": "ann@example.com", "PASSWORD": "password123", "TYPE": "CUSTOMERS"] as JSONValue
      #expect(try await ann.send("POST /check_node", check, token: Self.token).body["MESSAGE"] == "NOT_REGISTERED")
      let session = try await ann.send("POST /services/session", ["session_id": "s"], token: Self.token)
      #expect(session.status == 404)
      #expect(try await Self.operate(ann, "enable").body["disabled"] == false)
      let again = try await Self.logIn(ann)
      #expect(again.status == 200)
      try await Self.expectDead(ann, access, refresh)
      let new = again.body["access_token"]?.string
      #expect(try await ann.send("POST /add-session", ["session_id": "s"], token: new).status == 200)
      let next = try await ann.send("POST /refresh", ["refresh_token": again.body["refresh_token"] ?? .null])
      #expect(next.status == 200)
      let sessions = try await ann.send("GET /get-sessions", token: next.body["access_token"]?.string)
      #expect(sessions.body["sessions"]?.array?.count == 1)
    }
  }

  private static func expectDead(_ ann: UserServiceVisitor, _ access: String, _ refresh: String) async throws {
    for line in ["POST /add-session", "DELETE /delete-session"] {
      #expect(try await ann.send(line, ["session_id": "u"], token: access).status == 401, "\(line)")
    }
    for line in ["GET /get-sessions", "DELETE /delete-user"] {
      #expect(try await ann.send(line, token: access).status == 401, "\(line)")
    }
    #expect(try await ann.send("POST /refresh", ["refresh_token": .string(refresh)]).status == 401)
  }

  @Test("an ended session is an event")
  func events() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      for verb in Self.verbs where verb != "enable" {
        if verb == "revoke" { _ = try await Self.operate(ann, "enable") }
        let access = try await ann.login().access
        #expect(try await ann.send("POST /add-session", ["session_id": .string(verb)], token: access).status == 200)
        #expect(try await Self.operate(ann, verb).body["sessions_ended"] == 1)
      }
      let stream = EventStream(ann.environment, Self.users)
      try await stream.open(last: 0)
      var text = ""
      while !text.contains("\"session_id\":\"set-password\"") { text += try await stream.next() }
      #expect(text.contains("\"session_id\":\"disable\"") && text.contains("\"session_id\":\"revoke\""))
      stream.close()
    }
  }

  @Test("a new password replaces the old one, and follows the rules")
  func password() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      let (access, refresh) = try await ann.login()
      #expect(try await Self.operate(ann, "set-password").status == 200)
      #expect(try await Self.logIn(ann).status == 401)
      #expect(try await Self.logIn(ann, "another password").status == 200)
      try await Self.expectDead(ann, access, refresh)
      for bad in ["short", "control \u{1} character"] {
        let body = ["user": "ann", "password": .string(bad)] as JSONValue
        #expect(try await ann.send("POST /operator/users/set-password", body, token: Self.token).status == 400)
      }
    }
  }

  @Test("a user who was refused after failures may try again after an operator's change")
  func throttled() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      for _ in 0..<10 { #expect(try await Self.logIn(ann, "a wrong guess").status == 401) }
      #expect(try await Self.logIn(ann).status == 429)
      #expect(try await Self.operate(ann, "set-password").status == 200)
      #expect(try await Self.logIn(ann, "another password").status == 200)
      #expect(try await Self.operate(ann, "disable").status == 200)
      for _ in 0..<10 { #expect(try await Self.logIn(ann, "another password").status == 401) }
      #expect(try await Self.logIn(ann, "another password").status == 429)
    }
  }

  @Test("a trial changes nothing")
  func trial() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      let access = try await ann.login().access
      #expect(try await ann.send("POST /add-session", ["session_id": "s"], token: access).status == 200)
      for verb in Self.verbs {
        guard case .object(let members) = Self.body(verb) else { continue }
        let body = JSONValue.object(members + [.init("dry_run", true)])
        let answer = try await ann.send("POST /operator/users/\(verb)", body, token: Self.token)
        #expect(answer.status == 200 && answer.body["dry_run"] == true, "\(verb)")
        #expect(answer.body["sessions_ended"] == (verb == "enable" ? 0 : 1), "\(verb)")
        #expect(answer.body["disabled"] == .bool(verb == "disable"), "\(verb)")
      }
      #expect(try await ann.send("GET /get-sessions", token: access).body["sessions"]?.array?.count == 1)
      #expect(try await Self.logIn(ann).status == 200)
    }
  }

  @Test("a username that is another account's id does not stand for that account's operator commands")
  func impostor() throws {
    try visit(world()) { ann in
      _ = try await ann.register()
      let id = try await Self.operate(ann, "enable").body["user_id"]?.string ?? ""
      #expect(try await ann.register(id) == 201)
      #expect(try await Self.operate(ann, "disable", id).body["username"] == "ann")
    }
  }
}
