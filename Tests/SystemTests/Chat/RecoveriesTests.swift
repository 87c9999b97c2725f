@testable import Environment
import Testing

@testable import System

/// The rows of clients that want to be recovered.
@Suite("Recovery of connections: the rows")
struct RecoveriesTests {
  private static func socket(_ id: String) -> SocketID { SocketID(session: id, namespace: "/", id: "i" + id) }
  private static let now = Timestamp(seconds: 1_000_000)

  private static func request(_ id: String? = nil, _ offset: String? = nil) throws -> RecoveryRequest {
    var members: [JSONValue.Member] = [.init("recover", true)]
    if let id { members.append(.init("pid", .string(id))) }
    if let offset { members.append(.init("offset", .string(offset))) }
    return try #require(RecoveryRequest(.object(members)))
  }

  /// Opens a socket of `user`, whose row is `new` unless it gets a former one.
  private static func open(
    _ chat: ChatRulesWorld, _ id: String, of user: UserNumber, _ request: RecoveryRequest, new: String,
    last: Int64 = 10,
    at now: Timestamp = now
  ) async throws -> RecoverableSocket {
    try await chat.tables.recoveries.open(
      request, for: socket(id), of: user, new: new, since: Position(min(4, last)), last: Position(last), at: now)
  }

  @Test("a client that comes back in time goes on after its last event, with its ids")
  func inTime() throws {
    try ChatRulesWorld.run { (chat) async throws -> Void in
      let first = try await Self.open(chat, "1", of: chat.ann, Self.request(), new: "p")
      #expect(!first.isRecovered && first.id == "p" && first.socketID == "i1")
      try await chat.tables.recoveries.close(Self.socket("1"), at: Self.now)
      let second = try await Self.open(
        chat, "2", of: chat.ann, Self.request("p", "7-1"), new: "q", at: Self.now + .seconds(120))
      #expect(second.isRecovered && second.id == "p" && second.socketID == "i1")
      #expect(second.offset == EventOffset(position: 7, part: 1))
      // The end of the former socket is noticed late.
      try await chat.tables.recoveries.close(Self.socket("1"), at: Self.now)
      let third = try await Self.open(
        chat, "3", of: chat.ann, Self.request("p"), new: "r", at: Self.now + .seconds(3600))
      #expect(third.isRecovered, "its row is open")
      #expect(third.offset == .end(of: 4), "it has received nothing since its row was made")
      let older = try await Self.open(chat, "4", of: chat.ann, Self.request("p", "2-0"), new: "s")
      #expect(older.offset == .end(of: 4), "an offset from before its row")
    }
  }

  @Test("whoever is late, or shows what is not theirs, is a new client")
  func refused() throws {
    try ChatRulesWorld.run { (chat) async throws -> Void in
      _ = try await Self.open(chat, "1", of: chat.ann, Self.request(), new: "p")
      let shown = [("q", "7-0"), ("", "7-0"), ("p", "11-0"), ("p", "x"), (String(repeating: "p", count: 65), "7-0")]
      for (number, (id, offset)) in shown.enumerated() {
        let found = try await Self.open(chat, "w\(number)", of: chat.ann, Self.request(id, offset), new: "n\(number)")
        #expect(!found.isRecovered && found.id == "n\(number)")
      }
      let other = try await Self.open(chat, "2", of: chat.bob, Self.request("p", "7-0"), new: "b")
      #expect(!other.isRecovered && other.id == "b")
      try await chat.tables.recoveries.close(Self.socket("1"), at: Self.now)
      let late = try await Self.open(
        chat, "3", of: chat.ann, Self.request("p", "7-0"), new: "l",
        at: Self.now + RecoveriesTable.lifetime)
      #expect(!late.isRecovered)
    }
  }

  @Test("without the flag nothing is asked for")
  func withoutFlag() throws {
    #expect(RecoveryRequest(["pid": "p", "offset": "1-0"]) == nil)
    #expect(RecoveryRequest(["recover": "true", "pid": "p"]) == nil)
    #expect(RecoveryRequest(.null) == nil)
    #expect(RecoveryRequest(["recover": true, "pid": 7])?.id == nil)
  }

  @Test("the sockets of a node that is gone are closed with it, and old rows go a few at a time")
  func gone() throws {
    try ChatRulesWorld.run { (chat) async throws -> Void in
      let tables = chat.tables
      for number in 1...30 {
        _ = try await tables.sockets.insert(Self.socket("\(number)"), of: chat.ann, life: "dead")
        _ = try await Self.open(chat, "\(number)", of: chat.ann, Self.request(), new: "p\(number)")
      }
      func count(_ condition: String) async throws -> Int64 {
        try await chat.connection.first(SQLText("SELECT count(*) FROM recoveries WHERE \(condition)")) { $0.int(0) }!
      }
      try await tables.recoveries.closeSome(of: "alive", limit: 10, at: Self.now)
      #expect(try await count("closed_at IS NULL") == 30)
      try await tables.recoveries.closeSome(of: "dead", limit: 10, at: Self.now)
      #expect(try await count("closed_at IS NULL") == 20)
      let page = try await tables.sockets.removeSome(of: "dead", limit: 10)
      #expect(page.count == 10)
      try await tables.recoveries.closeGone(at: Self.now)
      #expect(try await count("closed_at IS NULL") == 20, "the same ten")
      try await tables.sockets.removeAll(exceptOf: "alive")
      try await tables.recoveries.closeGone(at: Self.now)
      #expect(try await count("closed_at IS NULL") == 0)
      let later = Self.now + .seconds(3600)
      _ = try await Self.open(chat, "a", of: chat.bob, Self.request(), new: "a", at: later)
      #expect(try await count("true") == 21)
      for name in ["b", "c"] { _ = try await Self.open(chat, name, of: chat.bob, Self.request(), new: name, at: later) }
      #expect(try await count("true") == 3)
    }
  }

  @Test("after a restart, clients that recover are told who was gone; without any, nothing is stored")
  func restarted() throws {
    try ChatRulesWorld.run { (chat) async throws -> Void in
      let presence = PresenceTransactions(tables: chat.tables)
      try await chat.befriend(chat.ann, chat.bob)
      for name in ["1", "2"] { _ = try await chat.tables.sockets.insert(Self.socket(name), of: chat.ann, life: "a") }
      try await presence.removeAll(exceptOf: "b", at: Self.now)
      #expect(try await chat.tables.publications.lastPosition().value == 0)
      #expect(try await !chat.tables.sockets.isOnline(chat.ann))
      _ = try await chat.tables.sockets.insert(Self.socket("3"), of: chat.ann, life: "b")
      _ = try await Self.open(chat, "3", of: chat.ann, Self.request(), new: "p", last: 0)
      try await presence.removeAll(exceptOf: "c", at: Self.now)
      let told = try await chat.tables.publications.stored(after: Position(0), through: Position(9))
      #expect(told.flatMap(\.publications).map(\.recipients) == [[chat.bob]])
      #expect(told.first?.publications.first?.payload["status"] == "offline")
    }
  }

  @Test("the rows of a deleted account go with it")
  func deleted() throws {
    try ChatRulesWorld.run { (chat) async throws -> Void in
      _ = try await Self.open(chat, "1", of: chat.ann, Self.request(), new: "p")
      _ = try await chat.removal.remove(AccountID("id-ann"))
      #expect(try await !Self.open(chat, "2", of: chat.ann, Self.request("p"), new: "q").isRecovered)
    }
  }

  @Test("publications are removed from the oldest on, a bounded number at a time")
  func publications() throws {
    try ChatRulesWorld.run { (chat) async throws -> Void in
      for _ in 1...5 {
        _ = try await chat.tables.publications.publish([
          Publication("news", .null, to: []), Publication("more", .null, to: []),
        ])
      }
      #expect(try await chat.tables.publications.removeSome(through: Position(0)))
      #expect(try await chat.tables.publications.removeSome(through: Position(3)))
      let rest = try await chat.tables.publications.stored(after: Position(0), through: Position(9))
      #expect(rest.map(\.position.value) == [4, 5])
    }
  }
}
