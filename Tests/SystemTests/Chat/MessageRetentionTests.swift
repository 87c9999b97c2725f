@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The removal of messages for their age or number, by the virtual clock.
@Suite("Retention of messages")
struct MessageRetentionTests {
  /// The time within which what is too old has to be gone.
  private static let margin: Duration = .seconds(8)
  private static let chat = SocketAddress(host: "chat", port: 5000)

  /// A Chat Service on a database of two friends.
  private func world(_ retention: Retention) -> World {
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
      options.retention = retention
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
    let world = world(Retention(age: .seconds(60)))
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

  @Test("the latest messages of all conversations are kept, and the numbers go on")
  func byNumber() throws {
    let world = world(Retention(number: 3))
    #expect(try send(world, ["a", "b", "c"]) == [1, 2, 3])
    world.run(until: world.now + .seconds(130))
    #expect(try contents(world) == ["a", "b", "c"])
    #expect(try send(world, ["d", "e"]) == [4, 5])
    world.run(until: world.now + .seconds(65))
    #expect(try contents(world) == ["c", "d", "e"])
    #expect(try breaches(world) == [])
    #expect(try send(world, ["f"]) == [6])
    world.run(until: world.now + .seconds(65))
    #expect(try contents(world) == ["d", "e", "f"])
    #expect(try breaches(world) == [])
    world.end()
  }

  @Test("what was counted agrees with the messages, whatever removes them")
  func counted() throws {
    try ChatRulesWorld.run { chat in
      try await chat.befriend(chat.ann, chat.bob)
      let conversation = ConversationID.between(chat.ann, chat.bob)
      func send(_ count: Int64) async throws {
        for _ in 0..<count {
          _ = try await chat.messages.store(
            OutgoingMessage("x", .text, in: conversation, clientID: nil), from: chat.ann,
            at: Timestamp(microseconds: 1).rfc3339)
        }
      }
      func left() async throws -> Int {
        for invariant in ChatInvariants.all {
          #expect(try await invariant.breaches(in: chat.connection) == [], "\(invariant.promise)")
        }
        return try await chat.history(conversation, for: chat.bob).count
      }
      func remove(_ time: Timestamp?, _ number: Int?) async throws -> RemovedMessagesTable.Pass {
        let last = try await chat.tables.publications.lastPosition()
        return try await chat.tables.removed.remove(
          storedBefore: time, beyond: number, ofThoseBefore: Timestamp(seconds: 1), through: last, atMost: 500)
      }
      try await send(20)
      #expect(try await remove(nil, 15) == .init(count: 5, isLast: true))
      #expect(try await left() == 15)
      // Those that were not counted yet may go, too.
      try await send(5)
      #expect(try await remove(Timestamp(seconds: 1), nil) == .init(count: 20, isLast: true))
      #expect(try await left() == 0)
      try await send(8)
      #expect(try await remove(nil, 7) == .init(count: 1, isLast: true))
      #expect(try await remove(nil, 7) == .init(count: 0, isLast: true))
      #expect(try await left() == 7)
    }
  }

  /// A message of the model.
  private struct Kept {
    let content: String
    let isGroup: Bool
    let second: Int64
    let position: Position
  }

  @Test("in drawn worlds what goes is old or beyond the number, and nothing else", arguments: 1...60)
  func model(seed: Int) throws {
    try ChatRulesWorld.run { chat in
      let draw = Choices(seed: UInt64(seed), hash: RunHash()).stream("retention")
      try await chat.befriend(chat.ann, chat.bob)
      let group = try await chat.groups.create("g", by: chat.ann, members: [chat.bob])
      let conversations = [ConversationID.between(chat.ann, chat.bob), .group(group)]
      let age: Int64? = draw.chance(0.6) ? 1 + Int64(draw.choose(40)) : nil
      let number: Int? = draw.chance(0.6) ? 1 + draw.choose(20) : nil
      let shortest: Int64 = draw.chance(0.5) ? 0 : 10
      var kept: [Kept] = []
      var sent = [0, 0]
      var counted = Position(0)
      var now: Int64 = 1000
      for step in 0..<80 {
        // Now and then a clock is set back.
        now += draw.chance(0.05) ? -5 : Int64(draw.choose(4))
        guard draw.chance(0.3) else {
          let place = draw.choose(2)
          sent[place] += 1
          let stored = try await chat.messages.store(
            OutgoingMessage("\(step)", .text, in: conversations[place], clientID: nil), from: chat.ann,
            at: Timestamp(seconds: now).rfc3339)
          #expect(stored.message.sequence.value == Int64(sent[place]))
          kept.append(
            Kept(content: "\(step)", isGroup: place == 1, second: now, position: stored.message.id.position))
          continue
        }
        let last = try await chat.tables.publications.lastPosition()
        let through = draw.chance(0.3) && !kept.isEmpty ? draw.pick(kept).position : last
        let pass = try await chat.tables.removed.remove(
          storedBefore: age.map { Timestamp(seconds: now - $0) }, beyond: number,
          ofThoseBefore: Timestamp(seconds: now - shortest), through: through, atMost: 500)
        // Another node may have counted further.
        counted = max(counted, through)
        let published = kept.count { $0.position <= counted }
        let gone = kept.enumerated().prefix { place, message in
          guard message.position <= through else { return false }
          if let age, message.second <= now - age { return true }
          guard let number else { return false }
          return place < published - number && message.second <= now - shortest
        }
        kept.removeFirst(gone.count)
        #expect(pass == .init(count: gone.count, isLast: true))
        for (place, conversation) in conversations.enumerated() {
          let found = try await chat.history(conversation, for: chat.bob).map(\.content)
          #expect(found == kept.filter { $0.isGroup == (place == 1) }.map(\.content))
        }
        for invariant in ChatInvariants.all {
          #expect(try await invariant.breaches(in: chat.connection) == [], "\(invariant.promise)")
        }
      }
    }
  }

  @Test("without the setting nothing goes")
  func off() throws {
    let world = world(Retention())
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
      let pass = Int64(20)
      for number in 1...(pass + 10) {
        _ = try await chat.messages.store(
          OutgoingMessage("\(number)", .text, in: conversation, clientID: nil), from: chat.ann,
          at: Timestamp(microseconds: number).rfc3339)
      }
      let last = try await chat.tables.publications.lastPosition()
      let late = Timestamp(seconds: 100)
      func remove(_ time: Timestamp, _ position: Position) async throws -> Int {
        try await chat.tables.removed.remove(
          storedBefore: time, beyond: nil, ofThoseBefore: time, through: position, atMost: Int(pass)
        ).count
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
