import Testing

@testable import System

@Suite("The pool of users")
struct UserPoolTests {
  private func id(_ number: Int64) -> UserID { UserID(.int(number))! }
  private let one = SupervisorID("one")!
  private let two = SupervisorID("two")!

  @Test("the user who is free longest is granted first, and the missing ones are remembered")
  func grant() {
    var pool = UserPool()
    for number in 1...3 { pool.connect(id(Int64(number)), connection: ConnectionNumber(1)) }
    #expect(pool.grant(.number(2), to: one) == Grant(users: [id(1), id(2)], shortfall: 0, isSufficient: true))
    #expect(pool.grant(.number(3), to: two) == Grant(users: [id(3)], shortfall: 2, isSufficient: false))
    #expect(pool.demand(of: two) == 2)
    pool.release([id(1)], from: two)
    #expect(pool.isServing(id(1), one), "a supervisor releases only its own users")
    pool.release([id(1)], from: one)
    #expect(pool.assign().map(\.supervisor) == [two])
    #expect(pool.isServing(id(1), two))
    #expect(pool.demand(of: two) == 1)
  }

  @Test("the oldest demand is met first, also before a new request")
  func oldestFirst() {
    var pool = UserPool()
    _ = pool.grant(.number(1), to: one)
    _ = pool.grant(.number(2), to: two)
    pool.connect(id(1), connection: ConnectionNumber(1))
    #expect(pool.grant(.number(1), to: two).users == [])
    #expect(pool.assign().map(\.supervisor) == [one])
  }

  @Test("ALL means the users that are free now")
  func all() {
    var pool = UserPool()
    #expect(pool.grant(.all, to: one) == Grant(users: [], shortfall: 0, isSufficient: false))
    #expect(pool.demand(of: one) == 0)
    for number in 1...3 { pool.connect(id(Int64(number)), connection: ConnectionNumber(1)) }
    #expect(pool.grant(.all, to: one).users.count == 3)
  }

  @Test("demand is bounded and keeps its order")
  func bounded() {
    var pool = UserPool()
    for _ in 0..<3 { _ = pool.grant(.number(600_000), to: one) }
    #expect(pool.demand(of: one) == 1_000_000)
    #expect(pool.demands.count == 1, "one row holds all three")
    for _ in 0..<2 {
      _ = pool.grant(.number(1), to: two)
      _ = pool.grant(.number(1), to: one)
    }
    #expect(pool.demand(of: one) == 1_000_000)
    #expect(pool.demand(of: two) == 2)
    #expect(pool.takeChanges().demands.map(\.0) == pool.demands.map(\.id))
  }

  @Test("a supervisor's users are those whose place is with it, in the order in which they became free")
  func usersOfASupervisor() {
    var pool = UserPool()
    for number in 1...20 { pool.connect(id(Int64(number)), connection: ConnectionNumber(1)) }
    _ = pool.grant(.number(12), to: one)
    _ = pool.grant(.number(12), to: two)
    for number in [3, 1, 15] { _ = pool.disconnect(id(Int64(number)), connection: ConnectionNumber(1)) }
    pool.release([id(7), id(4), id(13)], from: one)
    _ = pool.assign()
    for supervisor in [one, two] {
      let found = pool.users.filter { $0.value.place == .serving(supervisor) }.sorted { $0.value.turn < $1.value.turn }
      #expect(!found.isEmpty)
      #expect(pool.users(of: supervisor) == found.map(\.key))
      pool.release(pool.users(of: supervisor), from: supervisor)
      #expect(pool.users(of: supervisor).isEmpty)
    }
  }

  @Test("an older connection has no effect, in any order of the news")
  func connections() {
    var pool = UserPool()
    pool.connect(id(1), connection: ConnectionNumber(2))
    #expect(pool.disconnect(id(1), connection: ConnectionNumber(1)) == nil)
    #expect(pool.users[id(1)]?.place == .free)
    // The end overtakes the beginning.
    _ = pool.disconnect(id(2), connection: ConnectionNumber(1))
    pool.connect(id(2), connection: ConnectionNumber(1))
    #expect(pool.users[id(2)]?.place == .offline)
    pool.connect(id(2), connection: ConnectionNumber(2))
    #expect(pool.users[id(2)]?.place == .free)
    _ = pool.grant(.number(1), to: one)
    #expect(pool.disconnect(id(1), connection: ConnectionNumber(2)) == one)
    #expect(pool.users[id(1)]?.place == .offline)
    pool.release([id(1)], from: one)
    #expect(pool.users[id(1)]?.place == .offline, "an offline user is not freed")
  }

  /// Applies a message of a User Server.
  private func take(_ state: inout ManagerState, _ type: String, _ connection: JSONValue?) throws {
    let fields: [JSONValue.Member] = [.init("USER_ID", 1)] + (connection.map { [.init("CONNECTION", $0)] } ?? [])
    let message = QueueMessage(type, .object(fields))
    _ = state.apply(try ManagerInput(message, from: .userServer), message, answer: nil)
  }

  @Test("a CONNECTION out of bounds is refused", arguments: [-1, ClientBounds.counter + 1, .max, .min])
  func connectionBounds(connection: Int64) throws {
    var state = ManagerState()
    for type in ["NEW_USER", "REMOVE_USER"] {
      #expect(throws: QueueMessage.Malformed.self) { try take(&state, type, .int(connection)) }
    }
    #expect(state.pool.users.isEmpty)
  }

  @Test(
    "a user comes back after a connection of any number, and without numbers",
    arguments: [0, 1, ClientBounds.counter - 1, ClientBounds.counter, nil])
  func comesBack(connection: Int64?) throws {
    var state = ManagerState()
    for _ in 0..<3 {
      try take(&state, "NEW_USER", connection.map { .int($0) })
      #expect(state.pool.users[id(1)]?.place == .free)
      try take(&state, "REMOVE_USER", connection.map { .int($0) })
      #expect(state.pool.users[id(1)]?.place == .offline)
      // A server that numbers connections uses only the highest number twice.
      guard connection == nil || connection == ClientBounds.counter else { break }
    }
    try take(&state, "NEW_USER", connection.map { .int(min($0 + 1, ClientBounds.counter)) })
    #expect(state.pool.users[id(1)]?.place == .free)
  }

  @Test("two supervisors that ask in turn have few rows and all their demand")
  func rows() {
    var pool = UserPool()
    for _ in 0..<5_000 {
      _ = pool.grant(.number(1), to: one)
      _ = pool.grant(.number(1), to: two)
    }
    #expect(pool.demands.count <= 2 * 64)
    #expect(pool.demand(of: one) == 5_000)
    #expect(pool.demand(of: two) == 5_000)
    for number in 0..<10_000 { pool.connect(id(Int64(number)), connection: ConnectionNumber(1)) }
    #expect(pool.assign().reduce(0) { $0 + $1.users.count } == 10_000)
    #expect(pool.demand(of: one) == 0)
    #expect(pool.demand(of: two) == 0)
    let changes = pool.takeChanges().demands
    #expect(changes.allSatisfy { $0.1 == nil })
    #expect(changes.map(\.0) == Array(Set(changes.map(\.0))).sorted())
  }

  @Test("users who come and go while nobody wants them leave nothing behind, and keep their turns")
  func comingAndGoing() {
    var pool = UserPool()
    pool.connect(id(1), connection: nil)
    for _ in 0..<10_000 {
      pool.connect(id(2), connection: nil)
      _ = pool.disconnect(id(2), connection: nil)
    }
    pool.connect(id(2), connection: nil)
    let queue = Mirror(reflecting: pool).children.first { $0.label == "queue" }
    #expect(queue.map { Mirror(reflecting: $0.value).children.count } ?? .max < 100)
    #expect(pool.grant(.number(1), to: one).users == [id(1)])
    #expect(pool.grant(.number(1), to: two).users == [id(2)])
  }
}
