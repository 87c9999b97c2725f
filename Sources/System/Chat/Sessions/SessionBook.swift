import Environment

/// The sockets of a session, in the order in which they came. Each operation on one socket takes constant time.
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

/// The sessions that are known, and how long they are believed. All of a node's actors may read it: where somebody waited for an
/// answer instead, time would pass between the answer and what it is for.
final class SessionBook: @unchecked Sendable {
  /// The contract says 5 s; the rest is for closing.
  static let lease: Duration = .milliseconds(4500)
  /// How often somebody looks for sessions that are no longer believed.
  static let doubtInterval: Duration = .milliseconds(250)

  struct Session {
    let user: ChatUser
    var verifiedAt: Instant
    /// How long after that it has to be asked about again, if it is used, so that the User Service does not end it as unused.
    let askAgainAfter: Duration?
    var sockets = SocketRegister()
    /// Whether events are missing since it was verified: then the lease says nothing of it.
    var isDoubtful = false
  }

  var sessions: [ChatSessionID: Session] = [:]
  var leasedAt: Instant?
  /// When somebody looked last.
  var doubtedAt: Instant
  let planted: PlantedBugs
  private let clock: any Clock

  init(_ clock: any Clock, planted: PlantedBugs) {
    self.clock = clock
    self.planted = planted
    doubtedAt = clock.now
  }

  func isBelieved(_ session: Session) -> Bool {
    planted(.trustsSessionsForever) || clock.now - knownAt(session) < Self.lease
  }

  /// Whether a session that is used has to be asked about now.
  func isDue(_ session: Session) -> Bool {
    session.askAgainAfter.map { clock.now - session.verifiedAt >= $0 } ?? false
  }

  /// When a session was last known to go on.
  func knownAt(_ session: Session) -> Instant {
    session.isDoubtful ? session.verifiedAt : max(session.verifiedAt, leasedAt ?? session.verifiedAt)
  }

  /// Why nothing may be done on a session now; nil when it is believed.
  func objection(to id: ChatSessionID) -> ChatRefusal? {
    guard let session = sessions[id] else { return .noSuchSession }
    return isBelieved(session) ? nil : AccountsClient.unavailable
  }

  /// Whether nobody has looked when they should have: this node stood still, and sockets that should be closed are not.
  var isLate: Bool { clock.now - doubtedAt > Self.doubtInterval + .milliseconds(50) }
}
