import Environment
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

  @Test("a stored request that nobody makes, as after a commit that seemed to fail, does not lock the customer out")
  func abandoned() {
    var pending = PendingInitializations()
    func session(_ status: CustomerSession.Status) -> CustomerSession {
      CustomerSession(
        email: CustomerEmail("ann@example.com")!, status: status, token: SessionToken("t"), data: .null,
        requestedAt: Timestamp(microseconds: 0), supervisor: nil, request: request)
    }
    let ann = CustomerEmail("ann@example.com")!
    pending.begin(request, of: ann)
    #expect(pending.number(of: ann) == 1)
    #expect(!session(.initializing).mayInitialize(underWay: pending.underWay))
    pending.finish(request, of: ann)
    #expect(pending.number(of: ann) == 0)
    #expect(session(.initializing).mayInitialize(underWay: pending.underWay))
    #expect(session(.pending).mayInitialize(underWay: [request]))
    #expect(!session(.running).mayInitialize(underWay: []))
  }
}
