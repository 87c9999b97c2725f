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

    func call(
      _ person: String, _ node: String, _ name: String, _ arguments: JSONValue, _ status: Int, _ answer: JSONValue = [:]
    ) {
      time += 1_000_000_000
      let index = log.begin(person, at: node, name, arguments)
      log.end(index, status: status, answer)
    }

    func chat(_ person: String, _ name: String, _ arguments: JSONValue, _ status: Int, _ answer: JSONValue = [:]) {
      let session: [JSONValue.Member] = [.init("sessionID", .string("session of \(person)"))]
      call(person, "chat", name, .object(session + arguments.members!), status, answer)
    }

    func join(_ person: String) {
      let number = Int64(users.count + 1)
      users[person] = number
      call(
        person, "chat", "POST /login", ["username": .string(person), "password": "p"], 200,
        ["sessionID": .string("session of \(person)"), "user_id": .int(number), "username": .string(person)])
    }

    /// A request about a contact with an answer that has the contact.
    func contact(_ person: String, _ name: String, _ other: String, set status: String? = nil, _ seen: String) {
      let wanted: [JSONValue.Member] = status.map { [.init("status", .string($0))] } ?? []
      let contact: JSONValue = ["user_id": .int(users[other]!), "username": .string(other), "status": .string(seen)]
      chat(person, name, .object([.init("contact", .string(other))] + wanted), 200, ["contact": contact])
    }

    func breaches(hasRestarts: Bool = false) -> [String] {
      ContractEvidence(log, hasRestarts: hasRestarts).breaches.keys.sorted()
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
    let socket = script.log.open("bob", namespace: "/", session: "session of bob")
    script.log.connected(socket)
    let sending = script.log.open("ann", namespace: "/", session: "session of ann")
    script.log.connected(sending)
    _ = script.log.begin(
      sending, "send_message",
      ["sessionID": "session of ann", "recipient_id": 2, "content": "hello", "client_id": "1"])
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
}
