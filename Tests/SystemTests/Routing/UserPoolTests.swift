import Testing

@testable import System

@Suite("The pool of users")
struct UserPoolTests {
  private func id(_ number: Int64) -> UserID { UserID(.int(number))! }
  private let one = SupervisorID("one")!
  private let two = SupervisorID("two")!

  @Test("who is free for longest is granted first, and what is missing is remembered")
  func grant() {
    var pool = UserPool()
    for number in 1...3 { pool.connect(id(Int64(number)), connection: 1) }
    #expect(pool.grant(.number(2), to: one) == Grant(users: [id(1), id(2)], shortfall: 0, isSufficient: true))
    #expect(pool.grant(.number(3), to: two) == Grant(users: [id(3)], shortfall: 2, isSufficient: false))
    #expect(pool.demand(of: two) == 2)
    pool.release([id(1)], from: two)
    #expect(pool.isServing(id(1), one), "only its own users can be released")
    pool.release([id(1)], from: one)
    #expect(pool.assign().map(\.supervisor) == [two])
    #expect(pool.isServing(id(1), two))
    #expect(pool.demand(of: two) == 1)
  }

  @Test("the oldest demand comes first, also before a new request")
  func oldestFirst() {
    var pool = UserPool()
    _ = pool.grant(.number(1), to: one)
    _ = pool.grant(.number(2), to: two)
    pool.connect(id(1), connection: 1)
    #expect(pool.grant(.number(1), to: two).users == [])
    #expect(pool.assign().map(\.supervisor) == [one])
  }

  @Test("ALL is what is free now")
  func all() {
    var pool = UserPool()
    #expect(pool.grant(.all, to: one) == Grant(users: [], shortfall: 0, isSufficient: false))
    #expect(pool.demand(of: one) == 0)
    for number in 1...3 { pool.connect(id(Int64(number)), connection: 1) }
    #expect(pool.grant(.all, to: one).users.count == 3)
  }

  @Test("demand is bounded, however often more is asked for, and keeps its order")
  func bounded() {
    var pool = UserPool()
    for _ in 0..<3 { _ = pool.grant(.number(600_000), to: one) }
    #expect(pool.demand(of: one) == 1_000_000)
    #expect(pool.demands.count == 1, "one row says what three would")
    for _ in 0..<2 {
      _ = pool.grant(.number(1), to: two)
      _ = pool.grant(.number(1), to: one)
    }
    #expect(pool.demand(of: one) == 1_000_000)
    #expect(pool.demand(of: two) == 2)
    #expect(pool.takeChanges().demands.map(\.0) == pool.demands.map(\.id))
  }

  @Test("an older connection changes nothing, whichever way the news comes")
  func connections() {
    var pool = UserPool()
    pool.connect(id(1), connection: 2)
    #expect(pool.disconnect(id(1), connection: 1) == nil)
    #expect(pool.users[id(1)]?.place == .free)
    // Heard of after its own end.
    _ = pool.disconnect(id(2), connection: 1)
    pool.connect(id(2), connection: 1)
    #expect(pool.users[id(2)]?.place == .offline)
    pool.connect(id(2), connection: 2)
    #expect(pool.users[id(2)]?.place == .free)
    _ = pool.grant(.number(1), to: one)
    #expect(pool.disconnect(id(1), connection: 2) == one)
    #expect(pool.users[id(1)]?.place == .offline)
    pool.release([id(1)], from: one)
    #expect(pool.users[id(1)]?.place == .offline, "who is gone is not freed")
  }
}
