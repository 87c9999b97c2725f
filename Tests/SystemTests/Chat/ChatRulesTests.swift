import Testing

@testable import System

@Suite("The rules of contacts")
struct ContactRulesTests {
  private let ann = UserNumber(1)
  private let bob = UserNumber(2)

  private func contact(_ status: ContactStatus, asker: Int64 = 1, blocker: Int64? = nil) -> Contact {
    Contact(status: status, asker: UserNumber(asker), blocker: blocker.map(UserNumber.init))
  }

  @Test("a user asks, and the other accepts by asking back")
  func adding() throws {
    let asked = try Contact.adding(nil, by: ann, to: bob)
    #expect(asked.status == .new)
    #expect(try Contact.adding(asked, by: ann, to: bob) == asked)
    #expect(try Contact.adding(asked, by: bob, to: ann).status == .friend)
    #expect(throws: Contact.Refusal.withOneself) { try Contact.adding(nil, by: ann, to: ann) }
    #expect(throws: Contact.Refusal.alreadyFriends) { try Contact.adding(contact(.friend), by: bob, to: ann) }
    #expect(throws: Contact.Refusal.blocked) { try Contact.adding(contact(.blocked, blocker: 2), by: ann, to: bob) }
  }

  @Test("/changeContact allows these changes and no others")
  func changing() {
    func outcome(_ contact: Contact, _ user: UserNumber, _ status: ContactStatus) -> String {
      do throws(Contact.Refusal) {
        return try contact.changed(by: user, other: user == ann ? bob : ann, to: status).status.rawValue
      } catch {
        return "\(error)"
      }
    }
    let new = contact(.new)
    let friend = contact(.friend)
    let blocked = contact(.blocked, blocker: 1)
    let table: [(Contact, UserNumber, ContactStatus, String)] = [
      (new, bob, .friend, "friend"), (new, ann, .friend, "notAsked"), (new, ann, .blocked, "blocked"),
      (new, bob, .blocked, "blocked"),
      (new, ann, .new, "noChange"), (friend, ann, .new, "new"), (friend, bob, .new, "new"),
      (friend, ann, .blocked, "blocked"),
      (friend, bob, .friend, "noChange"), (blocked, ann, .new, "new"), (blocked, bob, .new, "notBlocker"),
      (blocked, ann, .friend, "blocked"),
      (blocked, bob, .friend, "blocked"), (blocked, bob, .blocked, "noChange"),
    ]
    for (contact, user, status, expected) in table {
      #expect(outcome(contact, user, status) == expected, "\(contact) \(user) \(status)")
    }
  }

  @Test("the listed changes are those that are not refused")
  func changes() {
    let other = [ann: bob, bob: ann]
    for (contact, user, expected) in [
      (contact(.new), ann, [.blocked]), (contact(.new), bob, [.friend, .blocked]),
      (contact(.friend), ann, [.new, .blocked]), (contact(.blocked, blocker: 1), ann, [.new]),
      (contact(.blocked, blocker: 1), bob, []),
    ] as [(Contact, UserNumber, [ContactStatus])] {
      #expect(contact.changes(by: user, other: other[user]!) == expected, "\(contact) \(user)")
    }
  }

  @Test("only the user who ended a friendship can restore it")
  func restoring() throws {
    let ended = try contact(.friend).changed(by: ann, other: bob, to: .new)
    #expect(throws: Contact.Refusal.notAsked) { try ended.changed(by: bob, other: ann, to: .friend) }
    #expect(try ended.changed(by: ann, other: bob, to: .friend).status == .friend)
    #expect(!Contact.mayWrite(ended))
    #expect(Contact.mayWrite(contact(.friend)))
    #expect(!Contact.mayWrite(nil))
  }
}

@Suite("Chat transactions")
struct ChatTransactionTests {
  @Test("accounts are numbered in the order in which they are met, and keep their numbers")
  func numbers() throws {
    try ChatRulesWorld.run { chat in
      #expect(chat.users.map(\.number.value) == [1, 2, 3])
      #expect(try await chat.tables.users.number(of: AccountID("id-bob"), username: "Robert") == chat.bob)
      _ = try await chat.contacts.add(by: chat.ann, to: chat.bob)
      #expect(try await chat.tables.contacts.all(of: chat.ann).map(\.username) == ["Robert"])
      #expect(try await chat.tables.contacts.all(of: chat.bob).map(\.contact.status) == [.new])
    }
  }

  @Test("messages are numbered 1, 2, 3 … and the same client_id is stored once")
  func sequence() throws {
    try ChatRulesWorld.run { chat in
      let conversation = ConversationID.between(chat.bob, chat.ann)
      await #expect(throws: ChatRefusal.notFriends) { try await chat.send("x", by: chat.ann, in: conversation) }
      try await chat.befriend(chat.ann, chat.bob)
      let first = try await chat.send("a", by: chat.ann, in: conversation, clientID: "c1")
      let second = try await chat.send("b", .image, by: chat.bob, in: conversation, clientID: "c1")
      let again = try await chat.send("a", by: chat.ann, in: conversation, clientID: "c1")
      #expect([first, second].map(\.message.sequence.value) == [1, 2])
      #expect(again.message == first.message && !again.isNew)
      await #expect(throws: ChatRefusal.clientIDReused) {
        try await chat.send("other", by: chat.ann, in: conversation, clientID: "c1")
      }
      #expect(try await chat.history(conversation, for: chat.ann).map(\.content) == ["a", "b"])
    }
  }

  @Test(
    "a client_id whose stored message is damaged stores the message again, once",
    arguments: ["message_id = -5", "seq = 0", "kind = 'song'"])
  func damagedMessage(damage: String) throws {
    try ChatRulesWorld.run { chat in
      try await chat.befriend(chat.ann, chat.bob)
      let conversation = ConversationID.between(chat.ann, chat.bob)
      try await chat.send("a", by: chat.ann, in: conversation, clientID: "c1")
      try await chat.connection.run("UPDATE messages SET \(damage)")
      let second = try await chat.send("a", by: chat.ann, in: conversation, clientID: "c1")
      let again = try await chat.send("a", by: chat.ann, in: conversation, clientID: "c1")
      #expect(second.isNew)
      #expect(again.message == second.message && !again.isNew)
      #expect(try await chat.history(conversation, for: chat.bob) == [second.message])
    }
  }

  @Test("a page of history before or after a sequence number, oldest first")
  func history() throws {
    try ChatRulesWorld.run { chat in
      try await chat.befriend(chat.ann, chat.bob)
      let conversation = ConversationID.between(chat.ann, chat.bob)
      for index in 1...10 { try await chat.send("\(index)", by: chat.ann, in: conversation) }
      func sequences(before: Int64? = nil, after: Int64? = nil) async throws -> [Int64] {
        let page = MessagePage(before: before, after: after, limit: 3)
        return try await chat.tables.messages.history(of: conversation, for: chat.bob, page).map(\.sequence.value)
      }
      #expect(try await sequences() == [8, 9, 10])
      #expect(try await sequences(before: 5) == [2, 3, 4])
      #expect(try await sequences(after: 5) == [6, 7, 8])
      #expect(try await sequences(before: 7, after: 4) == [5, 6])
    }
  }

  @Test("in a group, a user reads the messages that were stored during a membership, and no others")
  func visibility() throws {
    try ChatRulesWorld.run { chat in
      let group = try await chat.groups.create("g", by: chat.ann, members: [chat.bob])
      let conversation = ConversationID.group(group)
      func read(_ user: UserNumber) async throws -> [String] {
        try await chat.history(conversation, for: user).map(\.content)
      }
      try await chat.send("one", by: chat.ann, in: conversation)
      await #expect(throws: ChatRefusal.noSuchGroup) { try await chat.send("no", by: chat.cid, in: conversation) }
      try await chat.groups.add(chat.cid, to: group, by: chat.ann)
      try await chat.send("two", by: chat.cid, in: conversation)
      try await chat.groups.remove(chat.bob, from: group, by: chat.bob)
      try await chat.send("three", by: chat.ann, in: conversation)
      try await chat.groups.add(chat.bob, to: group, by: chat.ann)
      try await chat.send("four", by: chat.bob, in: conversation)
      #expect(try await read(chat.ann) == ["one", "two", "three", "four"])
      #expect(try await read(chat.bob) == ["one", "two", "four"])
      #expect(try await read(chat.cid) == ["two", "three", "four"])
      #expect(try await chat.messages.participants(conversation) == [chat.ann, chat.cid, chat.bob])
    }
  }

  @Test("admins add and remove members, a member may leave, and the oldest member succeeds the last admin")
  func admins() throws {
    try ChatRulesWorld.run { chat in
      let group = try await chat.groups.create("g", by: chat.ann, members: [chat.bob])
      await #expect(throws: ChatRefusal.notAdmin) { try await chat.groups.add(chat.cid, to: group, by: chat.bob) }
      await #expect(throws: ChatRefusal.noSuchGroup) { try await chat.groups.add(chat.cid, to: group, by: chat.cid) }
      try await chat.groups.add(chat.cid, to: group, by: chat.ann)
      await #expect(throws: ChatRefusal.alreadyMember) { try await chat.groups.add(chat.cid, to: group, by: chat.ann) }
      await #expect(throws: ChatRefusal.notAdmin) { try await chat.groups.remove(chat.ann, from: group, by: chat.cid) }
      try await chat.groups.remove(chat.ann, from: group, by: chat.ann)
      #expect(try await chat.tables.groups.role(of: chat.bob, in: group) == .admin)
      #expect(try await chat.tables.groups.role(of: chat.cid, in: group) == .member)
      try await chat.groups.remove(chat.cid, from: group, by: chat.bob)
      #expect(try await chat.tables.groups.members(of: group) == [chat.bob])
    }
  }

  @Test("a user is online from the first socket to the last, and each new connection has a higher number")
  func sockets() throws {
    try ChatRulesWorld.run { (chat) async throws -> Void in
      let sockets = chat.tables.sockets
      func socket(_ id: String, _ namespace: String = "/") -> SocketID {
        SocketID(session: "s", namespace: namespace, id: id)
      }
      #expect(try await sockets.insert(socket("1"), of: chat.ann, life: "now"))
      #expect(try await sockets.insert(socket("2"), of: chat.ann, life: "now") == false)
      #expect(try await sockets.remove(socket("1"), of: chat.ann) == false)
      #expect(try await sockets.remove(socket("1"), of: chat.ann) == false, "it was removed before")
      #expect(try await sockets.isOnline(chat.ann))
      #expect(try await sockets.remove(socket("2"), of: chat.ann))
      #expect(try await sockets.isOnline(chat.ann) == false)
      #expect(try await sockets.lastConnection(of: chat.ann).value == 0)
      #expect(try await sockets.nextConnection(of: chat.ann).value == 1)
      #expect(try await sockets.nextConnection(of: chat.ann).value == 2)
      #expect(try await sockets.nextConnection(of: chat.bob).value == 1)
    }
  }

  @Test("the sockets of an earlier life are removed, and leave a departure of each available user")
  func earlierLife() throws {
    try ChatRulesWorld.run { (chat) async throws -> Void in
      let sockets = chat.tables.sockets
      let namespaces = [(chat.ann, UserServer.namespace), (chat.bob, "/"), (chat.cid, UserServer.namespace)]
      for (user, namespace) in namespaces {
        let socket = SocketID(session: "\(user.value)", namespace: namespace, id: "x")
        _ = try await sockets.insert(socket, of: user, life: user == chat.cid ? "now" : "before")
        if namespace == UserServer.namespace { _ = try await sockets.nextConnection(of: user) }
      }
      try await sockets.removeAll(exceptOf: "now")
      let departures = try await chat.tables.departures.oldest(limit: 9)
      #expect(departures.map(\.user) == [chat.ann])
      #expect(departures.map(\.connection.value) == [1])
      #expect(try await sockets.isOnline(chat.bob) == false)
      try await chat.tables.departures.remove(departures[0])
      #expect(try await chat.tables.departures.oldest(limit: 9).isEmpty)
    }
  }
}
