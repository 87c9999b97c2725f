@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

@Suite("Deleted accounts in the chat's tables")
struct AccountRemovalTests {
  private func run<R: Sendable>(_ body: @escaping @Sendable (SQLConnection, [ChatUser]) throws -> R) throws -> R {
    try World(seed: 1).perform { environment in
      let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
      return try await database.transaction { connection in
        let users = try ["ann", "bob", "cid"].map { name in
          ChatUser(
            number: try connection.userNumber(account: AccountID("id-\(name)"), username: name)!,
            account: AccountID("id-\(name)"),
            username: name)
        }
        return try body(connection, users)
      }
    }
  }

  private static func befriend(_ connection: SQLConnection, _ a: ChatUser, _ b: ChatUser) throws {
    _ = try connection.addContact(by: a.number, to: b.number)
    _ = try connection.addContact(by: b.number, to: a.number)
  }

  @Test("a deleted account leaves contacts and groups, and everybody concerned is told")
  func leaves() throws {
    try run { connection, users in
      let (ann, bob, cid) = (users[0], users[1], users[2])
      try Self.befriend(connection, ann, bob)
      _ = try connection.addContact(by: bob.number, to: cid.number)
      _ = try connection.changeContact(by: cid.number, with: bob.number, to: .blocked)
      let group = try connection.createGroup("g", by: bob.number, members: [ann.number])
      let conversation = ConversationID.between(ann.number, bob.number)
      _ = try connection.storeMessage("hi", .text, by: bob.number, in: conversation, clientID: nil, at: "t")

      let news = try connection.removeAccount(bob.account)
      #expect(news?.publications.map(\.event) == ["contact_changed", "group_changed"])
      #expect(news?.publications.map(\.recipients) == [[ann.number, cid.number], [ann.number]])
      for user in [ann, cid] { #expect(try connection.contacts(of: user.number).isEmpty) }
      #expect(try connection.group(group).members.map(\.username) == ["ann"])
      // Somebody can still change the group.
      #expect(try connection.membership(group, ann.number)?.isAdmin == true)
      #expect(throws: ChatRefusal.notFriends) {
        try connection.storeMessage("?", .text, by: ann.number, in: conversation, clientID: nil, at: "t")
      }
      // What was said stays, under the name of then.
      #expect(try connection.correspondent(called: "bob", nil, of: ann.number) == bob.number)
      #expect(try connection.username(of: bob.number) == "bob")
      // It happens once.
      #expect(try connection.removeAccount(bob.account) == nil)
    }
  }

  @Test("nothing brings a deleted account back, whatever was under way")
  func staysAway() throws {
    try run { connection, users in
      let (ann, bob) = (users[0], users[1])
      _ = try connection.removeAccount(bob.account)
      _ = try connection.removeAccount(AccountID("id-dan"))
      #expect(try connection.userNumber(account: bob.account, username: "bob") == nil)
      #expect(try connection.userNumber(account: AccountID("id-dan"), username: "dan") == nil)
      for (a, b) in [(ann, bob), (bob, ann)] {
        #expect(throws: ChatRefusal.userRemoved) { try connection.addContact(by: a.number, to: b.number) }
        #expect(throws: ChatRefusal.userRemoved) {
          try connection.createGroup("g", by: a.number, members: [b.number])
        }
      }
      let group = try connection.createGroup("g", by: ann.number, members: [])
      #expect(throws: ChatRefusal.userRemoved) { try connection.addMember(bob.number, to: group, by: ann.number) }
    }
  }

  @Test("a later account of the name is another one, in whatever order the news comes")
  func later() throws {
    try run { connection, users in
      let (ann, bob) = (users[0], users[1])
      try Self.befriend(connection, ann, bob)
      // Registered again before the news of the deletion is here.
      let number = try connection.userNumber(account: AccountID("id-bob-2"), username: "bob")!
      let newBob = ChatUser(number: number, account: AccountID("id-bob-2"), username: "bob")
      #expect(number != bob.number)
      // The name still means the contact that the list shows, until that is gone or the new one is there too.
      #expect(try connection.contact(called: "bob", newBob, of: ann.number).number == bob.number)
      try Self.befriend(connection, ann, newBob)
      #expect(try connection.contact(called: "bob", newBob, of: ann.number).number == number)
      _ = try connection.removeAccount(bob.account)
      #expect(try connection.contacts(of: ann.number).map(\.user) == [number])
      #expect(throws: ChatRefusal.noSuchContact) { try connection.contact(called: "nobody", nil, of: ann.number) }
    }
  }

  @Test("nobody is put into a group across a block, in either direction", arguments: [0, 1])
  func blocked(blocker: Int) throws {
    try run { connection, users in
      let (ann, bob, cid) = (users[0], users[1], users[2])
      try Self.befriend(connection, ann, bob)
      _ = try connection.changeContact(
        by: users[blocker].number, with: users[1 - blocker].number, to: .blocked)
      #expect(throws: ChatRefusal.blockedMember) {
        try connection.createGroup("g", by: ann.number, members: [cid.number, bob.number])
      }
      let group = try connection.createGroup("g", by: ann.number, members: [cid.number])
      #expect(throws: ChatRefusal.blockedMember) { try connection.addMember(bob.number, to: group, by: ann.number) }
      #expect(HTTPFailure(ChatRefusal.blockedMember).status == 400)
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

  @Test("friends lose the contact, and a later account of the name is a new one", arguments: [false, true])
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
