/// Whose password is hashed.
enum HashingLane: Hashable {
  /// One at a time, whoever registers.
  case registrations
  case logins(ClientAddress)
  /// Of clients whose address a service does not say.
  case loginsFromAnywhere

  /// Rounds that may be under way; a single password may exceed it.
  var share: Int {
    switch self {
    case .registrations: 0
    // Four passwords of the default strength: a third of a second on one core.
    case .logins: 4 * PasswordHash.defaultRounds
    case .loginsFromAnywhere: .max
    }
  }
}

/// Which passwords are being hashed, and which wait for that.
///
/// Each lane has a share of the rounds that are under way. Beyond it a lane's work waits in order, so that one client's many
/// logins take turns with each other and not with everybody else's, and registrations hold up nobody's login.
struct HashingQueue<Waiter> {
  enum Verdict {
    case start
    /// It may start once `enqueue` was told of it and `finish` has returned it.
    case wait
    case refuse
  }

  /// Passwords that may be hashed at once, and that may wait: each holds a client and its request.
  static var maximumUnderWay: Int { 256 }
  static var maximumWaiting: Int { 2048 }
  static var maximumWaitingInLane: Int { 256 }

  private struct LaneState {
    var rounds = 0
    var count = 0
    var waiting: [(rounds: Int, waiter: Waiter)] = []
  }

  private var lanes: [HashingLane: LaneState] = [:]
  private(set) var underWay = 0
  private(set) var waiting = 0

  /// Takes work of `rounds` up, and counts it if it may start.
  mutating func begin(_ rounds: Int, in lane: HashingLane) -> Verdict {
    if let state = lanes[lane], !state.waiting.isEmpty || state.rounds > lane.share - rounds {
      return state.waiting.count < Self.maximumWaitingInLane && waiting < Self.maximumWaiting ? .wait : .refuse
    }
    guard underWay < Self.maximumUnderWay else { return .refuse }
    start(rounds, in: lane)
    return .start
  }

  private mutating func start(_ rounds: Int, in lane: HashingLane) {
    underWay += 1
    lanes[lane, default: LaneState()].rounds += rounds
    lanes[lane]!.count += 1
  }

  /// Adds work that waits.
  mutating func enqueue(_ waiter: Waiter, _ rounds: Int, in lane: HashingLane) {
    lanes[lane]!.waiting.append((rounds, waiter))
    waiting += 1
  }

  /// Notes that work is done; returns those who may start now, and are counted.
  mutating func finish(_ rounds: Int, in lane: HashingLane) -> [Waiter] {
    underWay -= 1
    lanes[lane]!.rounds -= rounds
    lanes[lane]!.count -= 1
    var started: [Waiter] = []
    while let next = lanes[lane]!.waiting.first,
      lanes[lane]!.count == 0 || lanes[lane]!.rounds <= lane.share - next.rounds
    {
      lanes[lane]!.waiting.removeFirst()
      waiting -= 1
      start(next.rounds, in: lane)
      started.append(next.waiter)
    }
    if lanes[lane]!.count == 0 { lanes[lane] = nil }
    return started
  }
}
