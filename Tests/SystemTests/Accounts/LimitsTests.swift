@testable import Environment
import Testing

@testable import System

@Suite("Limits on logins and registrations")
struct LimitsTests {
  private let start = Instant(nanoseconds: 0)
  private func account(_ id: String) -> LoginThrottle.Account { .init(id: AccountID(id)) }
  private func address(_ host: String) -> ClientAddress { ClientAddress(host)! }

  @Test("an account has ten failures, and an address a hundred, in a quarter of an hour")
  func throttle() {
    var throttle = LoginThrottle(.init())
    for _ in 0..<10 {
      #expect(throttle.wait(account: account("a"), at: start) == nil)
      throttle.failed(account: account("a"), address: address("10.0.0.1"), at: start)
    }
    #expect(throttle.wait(account: account("a"), at: start) == .seconds(900))
    #expect(throttle.wait(address: address("10.0.0.1"), at: start) == nil)
    #expect(throttle.wait(account: account("a"), at: start + .seconds(900)) == nil)
    for index in 0..<90 {
      throttle.failed(account: account("x\(index)"), address: address("10.0.0.1"), at: start)
    }
    #expect(throttle.wait(address: address("10.0.0.1"), at: start) != nil)
    #expect(throttle.wait(address: address("10.0.0.2"), at: start) == nil)
    for _ in 0..<10 { throttle.failed(account: account("b"), address: nil, at: start) }
    #expect(throttle.wait(account: account("b"), at: start) != nil)
    throttle.succeeded(account: account("b"))
    #expect(throttle.wait(account: account("b"), at: start) == nil)
    #expect(throttle.wait(address: nil, at: start) == nil)
  }

  @Test("all forms of an unknown name count together, in 16 bytes")
  func unknownNames() throws {
    let one = LoginThrottle.Account(unknown: try #require(AccountName("ΝΙΚΟΣ")))
    #expect(one == LoginThrottle.Account(unknown: try #require(AccountName("νικος"))))
    #expect(one != LoginThrottle.Account(unknown: try #require(AccountName("nikos"))))
    #expect(MemoryLayout<LoginThrottle.Account>.size <= 24)
  }

  @Test("invented names do not fill the memory")
  func bounded() {
    var events = RecentEvents<Int>(limit: 10, window: .seconds(900))
    for index in 0..<(RecentEvents<Int>.maximumKeys + 10) { events.add(index, at: start) }
    #expect(events.count <= RecentEvents<Int>.maximumKeys)
  }

  @Test(
    "addresses that are counted together",
    arguments: [
      ("10.0.0.1", "::ffff:10.0.0.1", true), ("10.0.0.1", "10.0.0.2", false),
      ("2001:db8::1", "2001:db8:0:0:ffff::9", true), ("2001:db8::1", "2001:db8:0:1::1", false), ("ann", "ann", true),
      ("ann", "bob", false),
    ])
  func addresses(one: String, other: String, isSame: Bool) {
    #expect((address(one) == address(other)) == isSame)
  }

  @Test("texts that are not addresses", arguments: ["", String(repeating: "a", count: 256)])
  func noAddress(text: String) { #expect(ClientAddress(text) == nil) }

  @Test("four strong passwords of one address are hashed at once, and the rest in order")
  func shares() {
    var queue = HashingQueue<Int>()
    let rounds = PasswordHash.defaultRounds
    let crowd = HashingLane.logins(address("10.0.0.1"))
    let other = HashingLane.logins(address("10.0.0.2"))
    for _ in 0..<4 { #expect(queue.begin(rounds, in: crowd) == .start) }
    for index in 0..<256 {
      #expect(queue.begin(rounds, in: crowd) == .wait)
      queue.enqueue(index, rounds, in: crowd)
    }
    #expect(queue.begin(rounds, in: crowd) == .refuse)
    #expect(queue.begin(rounds, in: other) == .start)
    #expect(queue.begin(rounds, in: .registrations) == .start)
    for index in 0..<256 { #expect(queue.finish(rounds, in: crowd) == [index]) }
    for _ in 0..<4 { #expect(queue.finish(rounds, in: crowd) == []) }
    #expect(queue.waiting == 0 && queue.underWay == 2)
  }

  @Test("registrations are hashed one at a time; weak hashes and unknown clients do not wait")
  func lanes() {
    var queue = HashingQueue<Int>()
    #expect(queue.begin(2, in: .registrations) == .start)
    #expect(queue.begin(2, in: .registrations) == .wait)
    queue.enqueue(1, 2, in: .registrations)
    for _ in 0..<100 { #expect(queue.begin(2, in: .logins(address("10.0.0.1"))) == .start) }
    for _ in 0..<100 { #expect(queue.begin(PasswordHash.maximumRounds, in: .loginsFromAnywhere) == .start) }
    #expect(queue.finish(2, in: .registrations) == [1])
    #expect(queue.finish(2, in: .registrations) == [])
  }
}
