import Environment

/// Tells from heartbeats which hosts live, and which sessions to offer again.
struct HostLeases {
  private let options: UserManagerOptions
  /// A host without a heartbeat in this life of the manager counts as heard at its beginning.
  private let begun: Instant
  private var heard: [HostName: Instant] = [:]
  /// The sessions that no host has taken: when each was offered last, and how often again.
  private var offers: [SupervisorID: (since: Instant, times: Int)] = [:]

  /// Hosts that were silent for longer are forgotten.
  private static let memory: Duration = .seconds(600)
  /// The most hosts. Whoever may publish to the manager's queue can name any number of them.
  static let maximum = 10_000

  init(_ options: UserManagerOptions, at now: Instant) {
    self.options = options
    begun = now
  }

  mutating func hear(from host: HostName, at now: Instant) {
    guard !host.isUnnamed, heard.count < Self.maximum || heard[host] != nil else { return }
    heard[host] = now
  }

  mutating func forget(_ host: HostName) { heard[host] = nil }

  /// The hosts and when each was heard last, by name.
  var hosts: [(name: HostName, heard: Instant)] { heard.keys.sorted().map { ($0, heard[$0]!) } }

  /// Returns an input for each session that waited too long for a host, and for each host that was
  /// silent for too long.
  mutating func expire(among sessions: [ManagedSession], at now: Instant) -> [ManagerInput] {
    var inputs: [ManagerInput] = []
    var lost: Set<HostName> = []
    var waiting: [SupervisorID: (since: Instant, times: Int)] = [:]
    let isHostAlive = heard.contains { now - $0.value < options.hostTimeout }  // in any order
    for session in sessions where session.isOwn {
      guard session.status == .starting else {
        if now - (heard[session.host] ?? begun) > options.hostTimeout { lost.insert(session.host) }
        continue
      }
      var offer = offers[session.id] ?? (now, 0)
      if now - offer.since > options.patience(withOffers: offer.times), isHostAlive {
        offer = (now, offer.times + 1)
        inputs.append(.offerAgain(session.id))
      }
      waiting[session.id] = offer
    }
    offers = waiting
    // With many hosts there is no room for those that are lost.
    let memory = heard.count < Self.maximum / 2 ? Self.memory : options.hostTimeout
    heard = heard.filter { now - $0.value <= memory }
    return inputs + lost.sorted().map { .hostLost($0) }
  }
}
