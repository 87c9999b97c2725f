import System
import Testing

@testable import Sim

/// Answers that the contract does not allow, in histories written by hand.
@Suite("The model judges what clients saw")
struct ContractEvidenceTests {
  /// A log of calls that are answered one after another, a second apart.
  private final class Script {
    private var time: Int64 = 0
    private(set) lazy var log = CallLog { [unowned self] in time }
    private var users: [String: Int64] = [:]

    /// The id of a session that is long enough to work without an access token.
    static func session(_ person: String) -> String {
      let name = "session of \(person)"
      return name + String(repeating: ".", count: 32 - name.count)
    }

    func call(
      _ person: String, _ node: String, _ name: String, _ arguments: JSONValue, _ status: Int, _ answer: JSONValue = [:]
    ) {
      time += 1_000_000_000
      let index = log.begin(person, at: node, name, arguments)
      log.end(index, status: status, answer)
    }

    func chat(_ person: String, _ name: String, _ arguments: JSONValue, _ status: Int, _ answer: JSONValue = [:]) {
      let session: [JSONValue.Member] = [.init("sessionID", .string(Self.session(person)))]
      call(person, "chat", name, .object(session + arguments.members!), status, answer)
    }

    func join(_ person: String) {
      let number = Int64(users.count + 1)
      users[person] = number
      call(
        person, "chat", "POST /login", ["username": .string(person), "password": "p"], 200,
        ["sessionID": .string(Self.session(person)), "user_id": .int(number), "username": .string(person)])
    }

    /// A request about a contact with an answer that has the contact.
    func contact(_ person: String, _ name: String, _ other: String, set status: String? = nil, _ seen: String) {
      let wanted: [JSONValue.Member] = status.map { [.init("status", .string($0))] } ?? []
      let contact: JSONValue = ["user_id": .int(users[other]!), "username": .string(other), "status": .string(seen)]
      chat(person, name, .object([.init("contact", .string(other))] + wanted), 200, ["contact": contact])
    }

    func breaches(hasRestarts: Bool = false) -> [String] {
      ContractEvidence(log, Identities(log), hasRestarts: hasRestarts).breaches.keys.sorted()
    }
  }

  private static func befriended() -> Script {
    let script = Script()
    for person in ["ann", "bob", "cyd"] { script.join(person) }
    script.contact("ann", "POST /addContact", "bob", "new")
    script.contact("bob", "POST /addContact", "ann", "friend")
    return script
  }

  private static func grouped() -> Script {
    let script = befriended()
    script.chat(
      "ann", "POST /createGroup", ["name": "us", "members": ["bob"]], 200,
      ["group_id": 7, "name": "us", "members": ["ann", "bob"]])
    return script
  }

  @Test("the blocked lifts no block")
  func blocks() {
    let script = Self.befriended()
    script.contact("ann", "POST /changeContact", "bob", set: "blocked", "blocked")
    #expect(script.breaches() == [])
    script.contact("bob", "POST /changeContact", "ann", set: "new", "new")
    #expect(script.breaches() == ["contacts"])
  }

  @Test("a member who is no admin removes only itself")
  func admins() {
    let script = Self.grouped()
    #expect(script.breaches() == [])
    script.chat("bob", "POST /removeGroupMember", ["group_id": 7, "member": "ann"], 200, ["members": ["bob"]])
    #expect(script.breaches() == ["groups"])
  }

  @Test("a refusal without a reason is a breach, whatever its status", arguments: [400, 403, 404])
  func refusals(_ status: Int) {
    for (name, arguments) in [
      ("POST /addContact", ["contact": "cyd"]), ("GET /getContactMessages", ["contact": "bob"]),
    ] as [(String, JSONValue)] {
      let script = Self.befriended()
      script.chat("ann", name, arguments, status, ["error": "no"])
      #expect(script.breaches() == ["contacts"], "\(name)")
    }
    for (name, arguments) in [
      ("POST /addGroupMember", ["group_id": 7, "member": "cyd"]), ("GET /getGroupMessages", ["group_id": 7]),
      ("POST /createGroup", ["name": "we", "members": ["cyd"]]),
    ] as [(String, JSONValue)] {
      let script = Self.grouped()
      script.chat("ann", name, arguments, status, ["error": "no"])
      #expect(script.breaches() == ["groups"], "\(name)")
    }
  }

  @Test("a session ends only when somebody ends it")
  func sessions() {
    let script = Self.befriended()
    script.chat("ann", "POST /logout", [:], 200)
    script.chat("ann", "GET /getContacts", [:], 401)
    #expect(script.breaches() == [])
    script.chat("bob", "GET /getContacts", [:], 401)
    #expect(script.breaches() == ["sessions"])
  }

  @Test("an ended session is of no use after 5 s")
  func endedSessions() {
    let script = Self.befriended()
    script.chat("ann", "POST /logout", [:], 200)
    for _ in 0..<7 { script.chat("cyd", "GET /getGroups", [:], 200, []) }
    script.chat("ann", "GET /getGroups", [:], 200, [])
    #expect(script.breaches() == ["sessions"])
  }

  @Test("a message that was heard is read later")
  func vanished() {
    let script = Self.befriended()
    let socket = script.log.open("bob", namespace: "/", session: Script.session("bob"))
    script.log.connected(socket)
    let sending = script.log.open("ann", namespace: "/", session: Script.session("ann"))
    script.log.connected(sending)
    _ = script.log.begin(
      sending, "send_message",
      ["sessionID": .string(Script.session("ann")), "recipient_id": 2, "content": "hello", "client_id": "1"])
    script.chat("ann", "GET /getContactMessages", ["contact": "bob"], 200, [])
    #expect(script.breaches() == [])
    let message: JSONValue = [
      "message_id": 9, "seq": 1, "sender_id": 1, "recipient_id": 2, "content": "hello", "is_group": false,
    ]
    script.log.received(socket, "new_message", message)
    script.chat("ann", "GET /getContactMessages", ["contact": "bob"], 200, [message])
    #expect(script.breaches() == [])
    script.chat("bob", "GET /getContactMessages", ["contact": "ann"], 200, [])
    #expect(script.breaches() == ["contacts"])
  }

  @Test("a customer's session runs until it is ended")
  func customers() {
    func begun() -> Script {
      let script = Script()
      let request: JSONValue = ["EMAIL": "cora@example.com", "PASSWORD": "p"]
      script.call("cora", "customers", "POST /requestSessionCreation", request, 200, ["SESSION_TOKEN": "t"])
      script.call("cora", "customers", "POST /initializeSession", ["EMAIL": "cora@example.com"], 200)
      return script
    }
    func command(_ script: Script, _ name: String, _ token: String, _ status: Int, _ code: JSONValue) {
      script.call(
        "cora", "customers", "PUT /handleSessionRequests",
        ["EMAIL": "cora@example.com", "SESSION_TOKEN": .string(token), "REQUEST": .string(name)], status,
        ["MESSAGE": code])
    }
    let script = begun()
    command(script, "GET_MESSAGES", "t", 200, "MESSAGES")
    command(script, "GET_MESSAGES", "u", 401, "INVALID_SESSION_TOKEN")
    command(script, "END_SESSION", "t", 200, "SESSION_ENDED")
    command(script, "GET_MESSAGES", "t", 404, "NO_SESSION_RUNNING")
    #expect(script.breaches() == [])
    command(script, "GET_MESSAGES", "t", 200, "MESSAGES")
    #expect(script.breaches() == ["customers"])
    for (token, status, code) in [
      ("t", 404, "NO_SESSION_RUNNING"), ("t", 401, "INVALID_SESSION_TOKEN"), ("u", 200, "MESSAGES"),
    ] {
      let script = begun()
      command(script, "GET_MESSAGES", token, status, .string(code))
      #expect(script.breaches() == ["customers"])
    }
  }

  @Test("an eleventh failure is the last before a login is refused")
  func throttle() {
    let script = Script()
    func guess(_ status: Int) {
      script.call("ann", "users", "POST /login", ["user": "ann", "password": "guess"], status)
    }
    for _ in 0..<11 { guess(401) }
    guess(429)
    #expect(script.breaches() == [])
    guess(401)
    #expect(script.breaches() == ["throttle"])
    #expect(script.breaches(hasRestarts: true) == [])
    let early = Script()
    early.call("ann", "users", "POST /login", ["user": "ann", "password": "guess"], 429)
    #expect(early.breaches() == ["throttle"])
  }

  @Test("a session works only when somebody has opened it, and a short one needs an access token")
  func openings() {
    let script = Self.befriended()
    script.call("eve", "chat", "GET /getContacts", ["sessionID": .string(Script.session("nobody"))], 401)
    script.call("eve", "users", "POST /login", ["user": "ann", "password": "p"], 200, ["access_token": "t"])
    #expect(script.breaches() == [])
    let opened = script.log.begin("eve", at: "users", "POST /add-session", ["session_id": "short"], token: "t")
    script.log.end(opened, status: 200, [:])
    script.call("eve", "chat", "GET /getContacts", ["sessionID": "short"], 401)
    #expect(script.breaches() == [])
    script.call("eve", "chat", "GET /getContacts", ["sessionID": "short"], 200, [])
    #expect(script.breaches().contains("sessions"))
    let other = Self.befriended()
    other.call("eve", "chat", "GET /getContacts", ["sessionID": .string(Script.session("nobody"))], 200, [])
    #expect(other.breaches() == ["sessions"])
  }

  @Test("a session whose login was not answered is its owner's once a list has it")
  func listed() {
    for isListed in [true, false] {
      let script = Self.grouped()
      script.call("eve", "users", "POST /login", ["user": "ann", "password": "p"], 200, ["access_token": "t"])
      let id = JSONValue.string(Script.session("lost"))
      let list = script.log.begin("eve", at: "users", "GET /get-sessions", [:], token: "t")
      script.log.end(list, status: 200, ["sessions": isListed ? [["session_id": id]] : []])
      script.call(
        "eve", "chat", "POST /removeGroupMember", ["sessionID": id, "group_id": 7, "member": "bob"], 200,
        ["members": ["ann"]])
      script.chat("bob", "GET /getGroups", [:], 200, [])
      #expect(script.breaches().contains("sessions") == !isListed)
      #expect(script.breaches().contains("groups") == !isListed)
    }
  }

  @Test("a session that was added at the User Service is its owner's")
  func added() {
    for (adder, isAllowed) in [("ann", true), ("bob", false)] {
      let script = Self.grouped()
      script.call("eve", "users", "POST /login", ["user": .string(adder), "password": "p"], 200, ["access_token": "t"])
      let id = JSONValue.string(Script.session("eve"))
      let opened = script.log.begin("eve", at: "users", "POST /add-session", ["session_id": id], token: "t")
      script.log.end(opened, status: 200, [:])
      script.call(
        "eve", "chat", "POST /removeGroupMember",
        ["sessionID": id, "group_id": 7, "member": .string(adder == "ann" ? "bob" : "ann")], 200,
        ["members": [.string(adder)]])
      #expect(script.breaches() == (isAllowed ? [] : ["groups"]))
    }
  }

  @Test("requests that do not fit their row change nothing")
  func malformed() {
    let script = Self.befriended()
    let call = script.log.begin(
      "ann", at: "chat", "POST /changeContact",
      ["sessionID": .string(Script.session("ann")), "contact": "bob", "status": "blocked", "x": 1], isMalformed: true)
    script.log.end(call, status: 400, ["error": "no"])
    #expect(script.breaches() == [])
  }

  @Test("every message was sent by somebody")
  func phantoms() {
    let script = Self.befriended()
    let message: JSONValue = [
      "message_id": 1, "seq": 1, "sender_id": 1, "sender_username": "ann", "recipient_id": 2, "content": "hello",
      "type": "text", "timestamp": "", "is_group": false,
    ]
    script.chat("bob", "GET /getContactMessages", ["contact": "ann"], 200, [message])
    #expect(script.breaches() == ["contacts"])
  }

  @Test("failures with an email and with a username count for one account, and those of others do not")
  func failuresByEmail() {
    for (others, isAllowed) in [(0, false), (6, true)] {
      let script = Script()
      script.call(
        "ann", "users", "POST /register", ["email": "a@example.com", "username": "ann", "password": "p"], 201)
      for number in 0..<(11 - others) {
        script.call(
          "eve", "users", "POST /login", ["user": number % 2 == 0 ? "ann" : "a@example.com", "password": "x"], 401)
      }
      for _ in 0..<others { script.call("eve", "chat", "POST /login", ["username": "bob", "password": "x"], 401) }
      script.call("ann", "users", "POST /login", ["user": "ann", "password": "p"], 200)
      #expect(script.breaches() == (isAllowed ? [] : ["throttle"]))
      script.call("ann", "users", "POST /login", ["user": "bob", "password": "p"], 429)
      #expect(script.breaches() == ["throttle"])
    }
  }
}
