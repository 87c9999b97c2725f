@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The removal of messages for their age, by the virtual clock.
@Suite("Retention of messages")
struct MessageRetentionTests {
  /// The time within which what is too old has to be gone.
  private static let margin: Duration = .seconds(8)
  private static let chat = SocketAddress(host: "chat", port: 5000)

  /// A Chat Service whose messages live for a minute. It starts on a database of two friends.
  private func world(lifetime: Duration?) -> World {
    let world = World(seed: 11)
    world.addNode("chat") { environment in
      let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
      try await database.transaction { connection in
        let tables = ChatTables(connection)
        for name in ["ann", "bob"] {
          _ = try await tables.users.number(of: AccountID("id-\(name)"), username: name)
        }
        let contacts = ContactTransactions(tables: tables)
        if try await tables.contacts.contact(UserNumber(1), UserNumber(2)) == nil {
          _ = try await contacts.add(by: UserNumber(1), to: UserNumber(2))
          _ = try await contacts.add(by: UserNumber(2), to: UserNumber(1))
        }
      }
      await database.close()
      var options = ChatServiceOptions()
      options.address = Self.chat
      options.messageLifetime = lifetime
      return try await ChatService.start(environment, options)
    }.start()
    world.run(until: .milliseconds(500))
    return world
  }

  /// Works on the disk of the service while it is down, and starts it again.
  private func whileDown<R: Sendable>(
    _ world: World, _ body: @escaping @Sendable (SQLSession, Timestamp) async throws -> R
  ) throws -> R {
    let node = world.node("chat")!
    node.crash(.kill)
    defer {
      node.start()
      world.run(until: world.now + .milliseconds(100))
    }
    return try world.perform(as: "operator-\(world.now)") { environment in
      let environment = node.environmentForOperator(environment)
      let database = Database(environment, path: "chat.db", migrations: ChatSchema.migrations)
      let now = environment.clock.wallTime
      let result = try await database.transaction { try await body($0, now) }
      await database.close()
      return result
    }
  }

  private static let conversation = ConversationID.between(UserNumber(1), UserNumber(2))

  /// Sends messages and returns the places that they get.
  private func send(_ world: World, _ texts: [String]) throws -> [Int64] {
    try whileDown(world) { connection, now in
      let tables = ChatTables(connection)
      var places: [Int64] = []
      for text in texts {
        let stored = try await MessageTransactions(tables: tables).store(
          OutgoingMessage(text, .text, in: Self.conversation, clientID: nil), from: UserNumber(1), at: now.rfc3339)
        places.append(stored.message.sequence.value)
      }
      return places
    }
  }

  private func contents(_ world: World) throws -> [String] {
    try whileDown(world) { connection, _ in
      try await ChatTables(connection).messages.history(of: Self.conversation, for: UserNumber(2), MessagePage()).map(
        \.content)
    }
  }

  private func breaches(_ world: World) throws -> [String] {
    try whileDown(world) { connection, _ in
      var found: [String] = []
      for invariant in ChatInvariants.all { found += try await invariant.breaches(in: connection) }
      return found
    }
  }

  @Test("nothing goes before its time, everything is gone after it, and the numbers go on")
  func byAge() throws {
    let world = world(lifetime: .seconds(60))
    #expect(try send(world, ["a", "b"]) == [1, 2])
    let first = world.now
    world.run(until: first + .seconds(30))
    #expect(try send(world, ["c"]) == [3])
    let second = world.now
    world.run(until: first + .seconds(58))
    #expect(try contents(world) == ["a", "b", "c"])
    world.run(until: first + .seconds(60) + Self.margin)
    #expect(try contents(world) == ["c"])
    #expect(try breaches(world) == [])
    world.run(until: second + .seconds(60) + Self.margin)
    #expect(try contents(world) == [])
    // No place and no position is used twice, also after a restart on the empty table.
    #expect(try send(world, ["d", "e"]) == [4, 5])
    let ids = try whileDown(world) { connection, _ in
      try await ChatTables(connection).messages.history(of: Self.conversation, for: UserNumber(2), MessagePage()).map(
        \.id.value)
    }
    // Two positions were taken by the friendship.
    #expect(ids.allSatisfy { $0 > 3 })
    #expect(try breaches(world) == [])
    world.end()
  }

  @Test("without the setting nothing goes")
  func off() throws {
    let world = world(lifetime: nil)
    _ = try send(world, ["a"])
    world.run(until: .seconds(90))
    #expect(try contents(world) == ["a"])
    world.end()
  }

  @Test("a pass removes a bounded number of messages, and none that waits to be published")
  func bounded() throws {
    try ChatRulesWorld.run { chat in
      try await chat.befriend(chat.ann, chat.bob)
      let conversation = ConversationID.between(chat.ann, chat.bob)
      let pass = RemovedMessagesTable.maximumPass
      for number in 1...(pass + 10) {
        _ = try await chat.messages.store(
          OutgoingMessage("\(number)", .text, in: conversation, clientID: nil), from: chat.ann,
          at: Timestamp(microseconds: number).rfc3339)
      }
      let last = try await chat.tables.publications.lastPosition()
      let late = Timestamp(seconds: 100)
      func remove(_ time: Timestamp, _ position: Position) async throws -> Int {
        try await chat.tables.removed.removeOldest(storedBefore: time, through: position)
      }
      // The time of the first message is not over.
      #expect(try await remove(Timestamp(microseconds: 0), last) == 0)
      #expect(try await remove(Timestamp(microseconds: 2), last) == 2)
      #expect(try await remove(late, last) == pass)
      #expect(try await remove(late, last.advanced(by: -1)) == 7)
      #expect(try await chat.history(conversation, for: chat.bob).map(\.content) == ["\(pass + 10)"])
      #expect(try await remove(late, last) == 1)
      #expect(try await chat.tables.messages.lastSequence(of: conversation).value == pass + 10)
      #expect(try await chat.tables.publications.lastPosition() == last)
    }
  }
}
