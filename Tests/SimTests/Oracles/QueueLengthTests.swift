import Testing

@testable import Sim

@Suite("The length of a queue")
struct QueueLengthTests {
  private func breaches(kept: ClosedRange<Int>, dropped: [Int], isOver: Bool = true) -> [String] {
    let log = LimitsLog(worker: "ann", hasSteadyClocks: true)
    log.lengthRounds = [
      .init(number: 1, published: 7, kept: Set(kept), dropped: Set(dropped), isOver: isOver)
    ]
    return QueueOracles.withinLength(log).flatMap(\.events)
  }

  @Test("the newest messages are kept, and the others are dropped")
  func keepsTheNewest() {
    #expect(breaches(kept: 3...7, dropped: [1, 2]) == [])
    #expect(breaches(kept: 3...7, dropped: [1]) == ["ann: message 2 of 7 was neither kept nor dead-lettered"])
    #expect(breaches(kept: 2...6, dropped: [1, 7]) == ["ann: the newest message, 7, was not kept"])
  }

  @Test("a queue that drops nothing is too long")
  func keepsTooMany() {
    #expect(
      breaches(kept: 2...7, dropped: [1]) == ["ann: the messages 2, 3, 4, 5, 6, 7 of 7 were in a queue of length 5"])
  }

  @Test("a message that was dropped may come again in a repeated publication")
  func repeatedPublication() {
    #expect(breaches(kept: 1...7, dropped: [1, 2]) == [])
  }

  @Test("nothing is judged before the end of a round, since dead letters may be late")
  func lateDeadLetters() {
    #expect(breaches(kept: 1...7, dropped: [], isOver: false) == [])
  }
}
