import Environment
import Synchronization

/// The sockets of a session, in the order in which they were added. Adding, finding and removing
/// take constant time.
struct SocketRegister: Sendable {
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
/// Any actor reads the book without waiting, so a lease is checked at the instant at which it is
/// relied on. Only `SessionDirectory` writes. A mutex guards the book: the actors of a node run on
/// one executor, so the mutex is free, and costs less than a nanosecond.
final class SessionBook: Sendable {
  /// The time for which a session may be used after it was last known to exist. The contract allows
  /// 5 s; the rest is for closing the sockets.
  static let lease: Duration = .milliseconds(4500)
  /// The interval at which `SessionDirectory` closes the sockets of sessions without a lease.
  static let doubtInterval: Duration = .milliseconds(250)

  struct Session: Sendable {
    let user: ChatUser
    /// The time of the latest question that the User Service answered.
    var verifiedAt: Instant
    /// The time after `verifiedAt` at which a session in use must be asked about again, so that it
    /// does not expire at the User Service.
    let askAgainAfter: Duration?
    var sockets = SocketRegister()
    /// Sockets that were taken to be closed, and have not left yet.
    var leaving: Set<SocketID> = []
    /// Whether events were missed since `verifiedAt`. Then the lease of all sessions does not cover
    /// this one.
    var isDoubtful = false

    /// Whether a socket relies on the session: its absence would say that it has ended.
    var isInUse: Bool { !sockets.isEmpty || !leaving.isEmpty }

    /// Whether a session in use must be asked about at `now`.
    func isDue(at now: Instant) -> Bool { askAgainAfter.map { now - verifiedAt >= $0 } ?? false }
  }

  /// The contents of the book.
  struct Pages: Sendable {
    private(set) var sessions: [ChatSessionID: Session] = [:]
    /// The number of sessions in use.
    private var inUse = 0
    /// The start of the lease of all sessions.
    var leasedAt: Instant?
    /// The time of the latest search for sessions without a lease.
    var doubtedAt: Instant
    /// Whether a session has a lease for ever: a planted bug.
    let trustsForever: Bool

    init(doubtedAt: Instant, trustsForever: Bool) {
      self.doubtedAt = doubtedAt
      self.trustsForever = trustsForever
    }

    /// The latest time at which a session was known to exist.
    func knownAt(_ session: Session) -> Instant {
      session.isDoubtful ? session.verifiedAt : max(session.verifiedAt, leasedAt ?? session.verifiedAt)
    }

    /// Whether a session has a lease at `now`.
    func isBelieved(_ session: Session, at now: Instant) -> Bool {
      trustsForever || now - knownAt(session) < SessionBook.lease
    }

    /// Changes a session and returns the result of `body`; returns nil without the session.
    mutating func change<R>(_ id: ChatSessionID, _ body: (inout Session) -> R) -> R? {
      guard let wasInUse = sessions[id]?.isInUse else { return nil }
      let result = body(&sessions[id]!)
      inUse += (sessions[id]!.isInUse ? 1 : 0) - (wasInUse ? 1 : 0)
      return result
    }

    /// Adds a session that is not there, without sockets. If `mostIdle` sessions are not in use,
    /// they are removed first.
    mutating func add(_ id: ChatSessionID, _ session: Session, mostIdle: Int) {
      if sessions.count - inUse >= mostIdle { sessions = sessions.filter { $0.value.isInUse } }
      sessions[id] = session
    }

    mutating func remove(_ id: ChatSessionID) -> Session? {
      guard let session = sessions.removeValue(forKey: id) else { return nil }
      if session.isInUse { inUse -= 1 }
      return session
    }

    /// Marks all sessions as doubtful.
    mutating func doubtAll() {
      sessions = sessions.mapValues { session in
        var session = session
        session.isDoubtful = true
        return session
      }
    }

    /// Takes the sockets from the sessions that match, and returns those of each session, in the
    /// order of the sessions' ids.
    mutating func takeSockets(where matches: (Session, Pages) -> Bool) -> [[SocketID]] {
      let taken = sessions.filter { !$0.value.sockets.isEmpty && matches($0.value, self) }
      return taken.keys.sorted().map { id in
        let sockets = taken[id]!.sockets.inOrder
        sessions[id]!.sockets = SocketRegister()
        sessions[id]!.leaving.formUnion(sockets)
        return sockets
      }
    }
  }

  private let pages: Mutex<Pages>
  private let clock: any Clock

  init(_ clock: any Clock, planted: PlantedBugs) {
    self.clock = clock
    pages = Mutex(Pages(doubtedAt: clock.now, trustsForever: planted(.trustsSessionsForever)))
  }

  /// Reads or changes the contents at one instant. Only `SessionDirectory` changes them.
  func update<R: Sendable>(_ body: (inout sending Pages, Instant) -> sending R) -> R {
    let now = clock.now
    return pages.withLock { body(&$0, now) }
  }

  /// The reason why a session may not be used now; nil when it may.
  func objection(to id: ChatSessionID) -> ChatRefusal? {
    update { pages, now in
      guard let session = pages.sessions[id] else { return .noSuchSession }
      return pages.isBelieved(session, at: now) ? nil : AccountsClient.unavailable
    }
  }

  /// Whether the search for sessions without a lease is overdue. Then the node stood still, and
  /// sockets may be open that should be closed.
  var isLate: Bool { update { pages, now in now - pages.doubtedAt > Self.doubtInterval + .milliseconds(50) } }
}
