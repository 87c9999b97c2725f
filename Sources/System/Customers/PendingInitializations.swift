import Environment

/// The callers of `/initializeSession` that wait for a supervisor, by request. A customer may have
/// several requests, of which only the last one is served.
struct PendingInitializations {
  private enum Waiter {
    /// The request was sent, and nobody waits yet.
    case expected
    /// A supervisor took the session before anybody waited.
    case served
    case waiting(UnsafeContinuation<Bool, Never>)
  }

  private var waiters: [RequestID: Waiter] = [:]
  /// The requests that a caller makes now, from before they are stored until they are served or
  /// given up.
  private(set) var underWay: Set<RequestID> = []
  /// Their numbers by the key of the customer's email.
  private var counts: [String: Int] = [:]

  /// Notes that a caller makes a request.
  mutating func begin(_ request: RequestID, of customer: CustomerEmail) {
    underWay.insert(request)
    counts[customer.key, default: 0] += 1
  }

  /// Notes that the call has ended, in whatever way.
  mutating func finish(_ request: RequestID, of customer: CustomerEmail) {
    underWay.remove(request)
    counts[customer.key]! -= 1
    if counts[customer.key] == 0 { counts[customer.key] = nil }
  }

  /// The number of a customer's requests that are under way.
  func number(of customer: CustomerEmail) -> Int { counts[customer.key] ?? 0 }

  /// Begins to listen for the answer to a request.
  mutating func expect(_ request: RequestID) { waiters[request] = .expected }

  /// Whether a supervisor took the session before anybody waited. If so, nobody need wait.
  mutating func takeServed(_ request: RequestID) -> Bool {
    guard case .served? = waiters[request] else { return false }
    waiters[request] = nil
    return true
  }

  /// Resumes `continuation` once the request is served or given up.
  mutating func wait(for request: RequestID, _ continuation: UnsafeContinuation<Bool, Never>) {
    waiters[request] = .waiting(continuation)
  }

  /// Ends the wait for a request, if there is one.
  mutating func end(_ request: RequestID, isServed: Bool) {
    switch waiters[request] {
    case nil, .served?: break
    case .expected?: waiters[request] = .served
    case .waiting(let continuation)?:
      waiters[request] = nil
      continuation.resume(returning: isServed)
    }
  }
}
