@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

@Suite("Deleted accounts in the chat's tables")
struct AccountRemovalTests {
  @Test("a deleted account leaves its contacts and groups, and the others are told")
  func leaves() throws {
    try ChatRulesWorld.run { chat in
      let (ann, bob, cid) = (chat.ann, chat.bob, chat.cid)
      try await chat.befriend(ann, bob)
      _ = try await chat.contacts.add(by: bob, to: cid)
      _ = try await chat.contacts.change(by: cid, with: bob, to: .blocked)
      let group = try await chat.groups.create("g", by: bob, members: [ann])
      let conversation = ConversationID.between(ann, bob)
      try await chat.send("hi", by: bob, in: conversation)

      let news = try await chat.removal.remove(chat.users[1].account)
      #expect(news?.publications.map(\.event) == ["contact_changed", "group_changed"])
      #expect(news?.publications.map(\.recipients) == [[ann, cid], [ann]])
      for user in [ann, cid] { #expect(try await chat.tables.contacts.all(of: user).isEmpty) }
      #expect(try await chat.tables.groups.view(group).members.map(\.username) == ["ann"])
      #expect(try await chat.tables.groups.role(of: ann, in: group) == .admin, "the group still has an admin")
      await #expect(throws: ChatRefusal.notFriends) { try await chat.send("?", by: ann, in: conversation) }
      // The messages stay, under the name that the user had.
      #expect(try await chat.contacts.correspondent(called: "bob", holder: nil, of: ann) == bob)
      #expect(try await chat.tables.users.username(of: bob) == "bob")
      // A second removal changes nothing.
      #expect(try await chat.removal.remove(chat.users[1].account) == nil)
    }
  }

  @Test("a request that was under way does not bring a deleted account back")
  func staysAway() throws {
    try ChatRulesWorld.run { chat in
      let (ann, bob) = (chat.ann, chat.bob)
      _ = try await chat.removal.remove(chat.users[1].account)
      _ = try await chat.removal.remove(AccountID("id-dan"))
      #expect(try await chat.tables.users.number(of: chat.users[1].account, username: "bob") == nil)
      #expect(try await chat.tables.users.number(of: AccountID("id-dan"), username: "dan") == nil)
      for (a, b) in [(ann, bob), (bob, ann)] {
        await #expect(throws: ChatRefusal.userRemoved) { try await chat.contacts.add(by: a, to: b) }
        await #expect(throws: ChatRefusal.userRemoved) { try await chat.groups.create("g", by: a, members: [b]) }
      }
      let group = try await chat.groups.create("g", by: ann, members: [])
      await #expect(throws: ChatRefusal.userRemoved) { try await chat.groups.add(bob, to: group, by: ann) }
    }
  }

  @Test("a later account with the same name is another user, whichever event arrives first")
  func later() throws {
    try ChatRulesWorld.run { chat in
      let (ann, bob) = (chat.ann, chat.bob)
      try await chat.befriend(ann, bob)
      // The name is registered again before the deletion is known here.
      let account = AccountID("id-bob-2")
      let number = try await chat.tables.users.number(of: account, username: "bob")!
      let newBob = System.ChatUser(number: number, account: account, username: "bob")
      #expect(number != bob)
      func contact(_ name: String, holder: System.ChatUser?) async throws -> UserNumber {
        try await chat.contacts.contact(called: name, holder: holder, of: ann).number
      }
      // The name means the listed contact until that is removed or the new user is listed too.
      #expect(try await contact("bob", holder: newBob) == bob)
      try await chat.befriend(ann, number)
      #expect(try await contact("bob", holder: newBob) == number)
      _ = try await chat.removal.remove(chat.users[1].account)
      #expect(try await chat.tables.contacts.all(of: ann).map(\.user) == [number])
      await #expect(throws: ChatRefusal.noSuchContact) { try await contact("nobody", holder: nil) }
    }
  }

  @Test("a block keeps either user from adding the other to a group", arguments: [0, 1])
  func blocked(blocker: Int) throws {
    try ChatRulesWorld.run { chat in
      let (ann, bob, cid) = (chat.ann, chat.bob, chat.cid)
      try await chat.befriend(ann, bob)
      _ = try await chat.contacts.change(
        by: chat.users[blocker].number, with: chat.users[1 - blocker].number, to: .blocked)
      await #expect(throws: ChatRefusal.blockedMember) {
        try await chat.groups.create("g", by: ann, members: [cid, bob])
      }
      let group = try await chat.groups.create("g", by: ann, members: [cid])
      await #expect(throws: ChatRefusal.blockedMember) { try await chat.groups.add(bob, to: group, by: ann) }
    }
  }
}

/// The User Service and the Chat Service together.
@Suite("Deleted accounts, from the User Service to the chat")
struct DeletedUserTests {
  private static let users = SocketAddress(host: "users", port: 8001)
  private static let chat = SocketAddress(host: "chat", port: 5000)
  private static let token = "the service token"

  private func world() -> World {
    let world = World(seed: 3)
    world.addNode("users") { environment in
      var options = UserServiceOptions()
      options.address = Self.users
      options.passwordRounds = 2
      options.server.serviceToken = Self.token
      return try await UserService.start(environment, options)
    }.start()
    world.addNode("chat") { environment in
      var options = ChatServiceOptions()
      (options.address, options.users) = (Self.chat, Self.users)
      options.server.serviceToken = Self.token
      return try await ChatService.start(environment, options)
    }.start()
    world.run(until: .seconds(2))
    return world
  }

  private struct Person: Sendable {
    let name: String
    let chat: HTTPClient
    let users: HTTPClient
    var session = ""

    init(_ name: String, _ environment: Environment) {
      self.name = name
      chat = HTTPClient(environment, address: DeletedUserTests.chat)
      users = HTTPClient(environment, address: DeletedUserTests.users)
    }

    private var credentials: JSONValue { ["username": .string(name), "password": "password123"] }

    mutating func come() async throws {
      _ = try await chat.send("POST", "/register", json: credentials, timeout: .seconds(9))
      let answer = try await chat.send("POST", "/login", json: credentials, timeout: .seconds(9))
      session = try JSONParser.parse(answer.body)["sessionID"]?.string ?? ""
    }

    func post(_ path: String, _ name: String, _ value: String) async throws -> Int {
      try await chat.send(
        "POST", path, json: ["sessionID": .string(session), "contact": .string(value)], timeout: .seconds(9)
      ).status
    }

    func contacts() async throws -> [String] {
      let answer = try await chat.send("GET", "/getContacts?sessionID=\(session)", timeout: .seconds(9))
      return try JSONParser.parse(answer.body).array?.compactMap { $0["username"]?.string } ?? [
        "none: \(answer.status)"
      ]
    }

    func history(with other: String) async throws -> Int {
      try await chat.send("GET", "/getContactMessages?sessionID=\(session)&contact=\(other)", timeout: .seconds(9))
        .status
    }

    func vanish() async throws -> Int {
      let login = try await users.send(
        "POST", "/login", json: ["user": .string(name), "password": "password123"], timeout: .seconds(9))
      let token = try JSONParser.parse(login.body)["access_token"]?.string ?? ""
      return try await users.send(
        "DELETE", "/delete-user", fields: [("authorization", "Bearer \(token)")], timeout: .seconds(9)
      ).status
    }
  }

  @Test("friends lose the contact, and a later account with the same name is a new user", arguments: [false, true])
  func ghost(whileDown: Bool) throws {
    let world = world()
    let people = try world.perform(as: "one") { environment in
      var (ann, bob) = (Person("ann", environment), Person("bob", environment))
      try await ann.come()
      try await bob.come()
      #expect(try await ann.post("/addContact", "contact", "bob") == 200)
      #expect(try await bob.post("/addContact", "contact", "ann") == 200)
      #expect(try await ann.contacts() == ["bob"])
      return (ann.session, bob.session)
    }
    if whileDown { world.node("chat")!.crash(.power) }
    let status = try world.perform(as: "two") { environment in try await Person("bob", environment).vanish() }
    #expect(status == 200)
    if whileDown { world.node("chat")!.start() }
    world.run(until: world.now + .seconds(3))
    try world.perform(as: "three") { environment in
      var ann = Person("ann", environment)
      ann.session = people.0
      #expect(try await ann.contacts() == [])
      #expect(try await ann.history(with: "bob") == 404)
      var bob = Person("bob", environment)
      try await bob.come()
      #expect(try await bob.contacts() == [])
      #expect(try await ann.post("/addContact", "contact", "bob") == 200)
      #expect(try await ann.contacts() == ["bob"])
      #expect(try await bob.post("/addContact", "contact", "ann") == 200)
      #expect(try await ann.history(with: "bob") == 200)
    }
  }
}
