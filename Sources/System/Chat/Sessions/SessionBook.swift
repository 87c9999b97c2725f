import Environment

/// The sockets of a session, in the order in which they were added. Adding, finding and removing take
/// constant time.
struct SocketRegister {
  private var places: [SocketID: Int64] = [:]
  private var next: Int64 = 0

  var isEmpty: Bool { places.isEmpty }
  var inOrder: [SocketID] { places.sorted { $0.value < $1.value }.map(\.key) }

  func contains(_ socket: SocketID) -> Bool { places[socket] != nil }

  mutating func append(_ socket: SocketID) {
    places[socket] = next
    next += 1
  }

  mutating func remove(_ socket: SocketID) { places[socket] = nil }
}

/// The known sessions and their leases.
///
/// All actors of a node run on one executor and read the book without waiting, so a lease is checked at the
/// instant at which it is relied on. Only `SessionDirectory` writes.
final class SessionBook: @unchecked Sendable {
  /// The time for which a session may be used after it was last known to exist. The contract allows 5 s; the
  /// rest is for closing the sockets.
  static let lease: Duration = .milliseconds(4500)
  /// The interval at which `SessionDirectory` closes the sockets of sessions without a lease.
  static let doubtInterval: Duration = .milliseconds(250)

  struct Session {
    let user: ChatUser
    /// The time of the latest question that the User Service answered.
    var verifiedAt: Instant
    /// The time after `verifiedAt` at which a session in use must be asked about again, so that it does not
    /// expire at the User Service.
    let askAgainAfter: Duration?
    var sockets = SocketRegister()
    /// Whether events were missed since `verifiedAt`. Then the lease of all sessions does not cover this one.
    var isDoubtful = false
  }

  var sessions: [ChatSessionID: Session] = [:]
  /// The start of the lease of all sessions.
  var leasedAt: Instant?
  /// The time of the latest search for sessions without a lease.
  var doubtedAt: Instant
  let planted: PlantedBugs
  private let clock: any Clock

  init(_ clock: any Clock, planted: PlantedBugs) {
    self.clock = clock
    self.planted = planted
    doubtedAt = clock.now
  }

  /// Whether a session has a lease now.
  func isBelieved(_ session: Session) -> Bool {
    planted(.trustsSessionsForever) || clock.now - knownAt(session) < Self.lease
  }

  /// Whether a session in use must be asked about now.
  func isDue(_ session: Session) -> Bool {
    session.askAgainAfter.map { clock.now - session.verifiedAt >= $0 } ?? false
  }

  /// The latest time at which a session was known to exist.
  func knownAt(_ session: Session) -> Instant {
    session.isDoubtful ? session.verifiedAt : max(session.verifiedAt, leasedAt ?? session.verifiedAt)
  }

  /// The reason why a session may not be used now; nil when it may.
  func objection(to id: ChatSessionID) -> ChatRefusal? {
    guard let session = sessions[id] else { return .noSuchSession }
    return isBelieved(session) ? nil : AccountsClient.unavailable
  }

  /// Whether the search for sessions without a lease is overdue. Then the node stood still, and sockets may be
  /// open that should be closed.
  var isLate: Bool { clock.now - doubtedAt > Self.doubtInterval + .milliseconds(50) }
}
