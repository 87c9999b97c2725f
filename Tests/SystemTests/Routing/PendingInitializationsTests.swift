import Testing

@testable import System

@Suite("Initializations that wait for a supervisor")
struct PendingInitializationsTests {
  private let request = RequestID("r")!

  @Test("a supervisor that takes the session before the caller waits is not missed")
  func early() {
    var pending = PendingInitializations()
    pending.expect(request)
    pending.end(request, isServed: true)
    let answers = [pending.takeServed(request), pending.takeServed(request)]
    #expect(answers == [true, false], "the answer is taken once")
  }

  @Test("an answer to a request that nobody makes is ignored")
  func unknown() {
    var pending = PendingInitializations()
    pending.end(request, isServed: true)
    let isServed = pending.takeServed(request)
    #expect(!isServed)
  }
}
