/// The source of a password to hash.
enum HashingLane: Hashable {
  /// Registrations of all clients, one at a time.
  case registrations
  case logins(ClientAddress)
  /// Logins of clients whose address is not known.
  case loginsFromAnywhere

  /// The maximum number of rounds in progress. A single password may exceed it.
  var share: Int {
    switch self {
    case .registrations: 0
    // Four passwords of the default strength, half a second on one core.
    case .logins: 4 * PasswordHash.defaultRounds
    case .loginsFromAnywhere: .max
    }
  }
}

/// The passwords that are being hashed, and those that wait.
///
/// Each lane has a share of the rounds in progress, and work beyond it waits in order. The many
/// logins of one client so wait for each other and not hold up others, and registrations hold up no
/// login.
struct HashingQueue<Waiter> {
  enum Verdict {
    case start
    /// The work must be passed to `enqueue`, and may start when `finish` returns it.
    case wait
    case refuse
  }

  /// The maximum numbers of passwords in progress, waiting, and waiting in one lane. Each holds a
  /// client and its request.
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

  /// Decides whether work of `rounds` may start, and counts it if so.
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

  /// Adds waiting work.
  mutating func enqueue(_ waiter: Waiter, _ rounds: Int, in lane: HashingLane) {
    lanes[lane]!.waiting.append((rounds, waiter))
    waiting += 1
  }

  /// Ends work. Returns the waiters that may start now; they are counted.
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
