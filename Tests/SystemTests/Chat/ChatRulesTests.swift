@testable import Environment
@testable import Simulation
import Sim
import Testing

@testable import System

@Suite("The rules of contacts")
struct ContactRulesTests {
  private let ann = UserNumber(1)
  private let bob = UserNumber(2)

  private func contact(_ status: ContactStatus, asker: Int64 = 1, blocker: Int64? = nil) -> Contact {
    Contact(status: status, asker: UserNumber(asker), blocker: blocker.map(UserNumber.init))
  }

  @Test("asking, and answering by asking back")
  func adding() throws {
    let asked = try Contact.adding(nil, by: ann, to: bob)
    #expect(asked.status == .new)
    #expect(try Contact.adding(asked, by: ann, to: bob) == asked)
    #expect(try Contact.adding(asked, by: bob, to: ann).status == .friend)
    #expect(throws: Contact.Refusal.withOneself) { try Contact.adding(nil, by: ann, to: ann) }
    #expect(throws: Contact.Refusal.alreadyFriends) { try Contact.adding(contact(.friend), by: bob, to: ann) }
    #expect(throws: Contact.Refusal.blocked) { try Contact.adding(contact(.blocked, blocker: 2), by: ann, to: bob) }
  }

  @Test("every step of /changeContact, and nothing else")
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

  @Test("the statuses that a user may set are those that a change to them is not refused")
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

  @Test("who ended a friendship may restore it, the other cannot do it alone")
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
  private func run<R: Sendable>(_ body: @escaping @Sendable (SQLConnection, [UserNumber]) throws -> R) throws -> R {
    try World(seed: 1).perform { environment in
      let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
      return try await database.transaction { connection in
        let users = try ["ann", "bob", "cid"].map {
          try connection.userNumber(account: AccountID("id-\($0)"), username: $0)!
        }
        return try body(connection, users)
      }
    }
  }

  private static func befriend(_ connection: SQLConnection, _ a: UserNumber, _ b: UserNumber) throws {
    _ = try connection.addContact(by: a, to: b)
    _ = try connection.addContact(by: b, to: a)
  }

  @Test("accounts are numbered as they are met, and keep their numbers")
  func numbers() throws {
    try run { connection, users in
      #expect(users.map(\.value) == [1, 2, 3])
      #expect(try connection.userNumber(account: AccountID("id-bob"), username: "Robert") == users[1])
      _ = try connection.addContact(by: users[0], to: users[1])
      #expect(try connection.contacts(of: users[0]).map(\.username) == ["Robert"])
      #expect(try connection.contacts(of: users[1]).map(\.contact.status) == [.new])
    }
  }

  @Test("a conversation is numbered 1, 2, 3 … and the same client_id is stored once")
  func sequence() throws {
    try run { connection, users in
      let conversation = ConversationID.between(users[1], users[0])
      #expect(throws: ChatRefusal.notFriends) {
        try connection.storeMessage("x", .text, by: users[0], in: conversation, clientID: nil, at: "t")
      }
      try Self.befriend(connection, users[0], users[1])
      let first = try connection.storeMessage("a", .text, by: users[0], in: conversation, clientID: "c1", at: "t1")
      let second = try connection.storeMessage("b", .image, by: users[1], in: conversation, clientID: "c1", at: "t2")
      let again = try connection.storeMessage("a", .text, by: users[0], in: conversation, clientID: "c1", at: "t3")
      #expect([first.message.sequence, second.message.sequence] == [1, 2])
      #expect(again.message == first.message && !again.isNew)
      #expect(throws: ChatRefusal.clientIDReused) {
        try connection.storeMessage("other", .text, by: users[0], in: conversation, clientID: "c1", at: "t4")
      }
      let all = try connection.messages(in: conversation, for: users[0], before: nil, after: nil, limit: 50)
      #expect(all.map(\.content) == ["a", "b"])
    }
  }

  @Test(
    "a client_id whose stored message is damaged stores the message again, once",
    arguments: ["message_id = -5", "seq = 0", "kind = 'song'"])
  func damagedMessage(damage: String) throws {
    try run { connection, users in
      try Self.befriend(connection, users[0], users[1])
      let conversation = ConversationID.between(users[0], users[1])
      func send() throws -> (message: ChatMessage, isNew: Bool) {
        try connection.storeMessage("a", .text, by: users[0], in: conversation, clientID: "c1", at: "t")
      }
      _ = try send()
      try connection.run("UPDATE messages SET \(damage)")
      let second = try send()
      let again = try send()
      #expect(second.isNew)
      #expect(again.message == second.message && !again.isNew)
      let all = try connection.messages(in: conversation, for: users[1], before: nil, after: nil, limit: 50)
      #expect(all == [second.message])
    }
  }

  @Test("history by before and after, oldest first")
  func history() throws {
    try run { connection, users in
      try Self.befriend(connection, users[0], users[1])
      let conversation = ConversationID.between(users[0], users[1])
      for index in 1...10 {
        _ = try connection.storeMessage("\(index)", .text, by: users[0], in: conversation, clientID: nil, at: "t")
      }
      func sequences(_ before: Int64?, _ after: Int64?) throws -> [Int64] {
        try connection.messages(in: conversation, for: users[1], before: before, after: after, limit: 3).map(\.sequence)
      }
      #expect(try sequences(nil, nil) == [8, 9, 10])
      #expect(try sequences(5, nil) == [2, 3, 4])
      #expect(try sequences(nil, 5) == [6, 7, 8])
      #expect(try sequences(7, 4) == [5, 6])
    }
  }

  @Test("of a group, everybody reads what was stored while they were members, and nothing else")
  func visibility() throws {
    try run { connection, users in
      let group = try connection.createGroup("g", by: users[0], members: [users[1]])
      let conversation = ConversationID.group(group)
      func write(_ text: String, _ user: Int) throws {
        _ = try connection.storeMessage(text, .text, by: users[user], in: conversation, clientID: nil, at: "t")
      }
      func read(_ user: Int) throws -> [String] {
        try connection.messages(in: conversation, for: users[user], before: nil, after: nil, limit: 50).map(\.content)
      }
      try write("one", 0)
      #expect(throws: ChatRefusal.noSuchGroup) { try write("no", 2) }
      try connection.addMember(users[2], to: group, by: users[0])
      try write("two", 2)
      try connection.removeMember(users[1], from: group, by: users[1])
      try write("three", 0)
      try connection.addMember(users[1], to: group, by: users[0])
      try write("four", 1)
      #expect(try read(0) == ["one", "two", "three", "four"])
      #expect(try read(1) == ["one", "two", "four"])
      #expect(try read(2) == ["two", "three", "four"])
      #expect(try connection.participants(conversation) == [users[0], users[2], users[1]])
    }
  }

  @Test("admins add and remove, members leave, and the oldest member inherits")
  func admins() throws {
    try run { connection, users in
      let group = try connection.createGroup("g", by: users[0], members: [users[1]])
      #expect(throws: ChatRefusal.notAdmin) { try connection.addMember(users[2], to: group, by: users[1]) }
      #expect(throws: ChatRefusal.noSuchGroup) { try connection.addMember(users[2], to: group, by: users[2]) }
      try connection.addMember(users[2], to: group, by: users[0])
      #expect(throws: ChatRefusal.alreadyMember) { try connection.addMember(users[2], to: group, by: users[0]) }
      #expect(throws: ChatRefusal.notAdmin) { try connection.removeMember(users[0], from: group, by: users[2]) }
      try connection.removeMember(users[0], from: group, by: users[0])
      #expect(try connection.membership(group, users[1])?.isAdmin == true)
      #expect(try connection.membership(group, users[2])?.isAdmin == false)
      try connection.removeMember(users[2], from: group, by: users[1])
      #expect(try connection.members(of: group) == [users[1]])
    }
  }
}
