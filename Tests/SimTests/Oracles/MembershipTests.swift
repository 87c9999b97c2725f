import Testing

@testable import Sim

@Suite("Friends and members, as far as requests and answers tell")
struct MembershipTests {
  private let pair = Conversation.between(1, 2)

  private func change(_ kind: Change.Kind, _ times: ClosedRange<Int>, mayComeAgain: Bool = false) -> Change {
    Change(kind: kind, interval: interval(times), succeeded: true, mayComeAgain: mayComeAgain)
  }

  private func interval(_ times: ClosedRange<Int>) -> Interval {
    var interval = Interval(invoked: times.lowerBound, invokedAt: Int64(times.lowerBound))
    (interval.answered, interval.answeredAt) = (times.upperBound, Int64(times.upperBound))
    return interval
  }

  @Test("two users are apart while one is blocked, and certainly only until the block ends")
  func blocks() {
    let block = change(.contact(pair, isBlocked: true), 1...2)
    let lift = change(.contact(pair, isBlocked: false), 5...6)
    #expect(MembershipModel([block, lift]).areApart(pair, during: interval(3...4)))
    // A request of the other side that was on its way makes them friends.
    #expect(!MembershipModel([block, lift]).areApart(pair, during: interval(7...8)))
    #expect(!MembershipModel([block]).areApart(pair, during: interval(1...4)))
  }

  @Test("a request that was repeated without an answer may still take effect after the answer")
  func comesAgain() {
    let again = change(.contact(pair, isBlocked: false), 1...2, mayComeAgain: true)
    let block = change(.contact(pair, isBlocked: true), 3...4)
    #expect(!MembershipModel([again, block]).areApart(pair, during: interval(5...6)))
    #expect(
      MembershipModel([change(.contact(pair, isBlocked: false), 1...2), block]).areApart(pair, during: interval(5...6)))

    func member(_ isAdded: Bool) -> Change.Kind { .member(group: 7, user: 1, isAdded: isAdded) }
    let removal = change(member(false), 3...4)
    let gone = MembershipModel([change(member(true), 1...2), removal])
    #expect(!gone.mayTakePart(1, in: .group(7), during: interval(5...6)))
    let back = MembershipModel([change(member(true), 1...2, mayComeAgain: true), removal])
    #expect(back.mayTakePart(1, in: .group(7), during: interval(5...6)))
    let unsure = MembershipModel([change(member(false), 1...2, mayComeAgain: true), change(member(true), 3...4)])
    #expect(!unsure.takesPart(1, in: .group(7), during: interval(5...6)))
    #expect(MembershipModel([change(member(true), 3...4)]).takesPart(1, in: .group(7), during: interval(5...6)))
  }
}
