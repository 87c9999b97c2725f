import Environment

/// The users that a supervisor got for its request.
struct Grant: Hashable, Sendable {
  let users: [UserID]
  /// The users that are missing.
  let shortfall: Int
  /// Whether the request is met. `"ALL"` is met by one user.
  let isSufficient: Bool
}

/// The users and what supervisors want of them. A user is in one place: offline, free, or with one
/// supervisor.
struct UserPool: Sendable {
  enum Place: Hashable, Sendable {
    case offline
    case free
    case serving(SupervisorID)

    /// The place, for the log.
    var name: String {
      switch self {
      case .offline: "offline"
      case .free: "free"
      case .serving(let supervisor): "with \(supervisor.text)"
      }
    }
  }

  struct User: Hashable, Sendable {
    /// The latest connection that is known.
    var connection: ConnectionNumber
    var place: Place
    /// Counts the times at which users became free. The lowest is granted first.
    var turn: Int64
  }

  /// The number of a demand, from 1. Demands are met in the order of their numbers.
  struct DemandID: Hashable, Comparable, Sendable {
    let number: Int64

    init(_ number: Int64) { self.number = number }

    var next: DemandID { DemandID(number + 1) }

    static func < (a: DemandID, b: DemandID) -> Bool { a.number < b.number }
  }

  /// Users that a supervisor waits for.
  struct Demand: Hashable, Sendable {
    let id: DemandID
    let supervisor: SupervisorID
    var count: Int
  }

  /// The sum of a supervisor's demands.
  private struct Wait {
    var users = 0
    var rows = 0
    /// The id of the latest demand.
    var last = DemandID(0)
  }

  private(set) var users: [UserID: User] = [:]
  /// The users of each supervisor that has some.
  private var served: [SupervisorID: Set<UserID>] = [:]
  /// By id, so oldest first.
  private(set) var demands: [Demand] = []
  /// The sums of `demands` by supervisor.
  private var waits: [SupervisorID: Wait] = [:]
  /// The free users, by turn. Entries of users that are no longer free are skipped.
  private var queue: [(turn: Int64, user: UserID)] = []
  private var head = 0
  private var lastTurn: Int64 = 0
  private var lastDemand = DemandID(0)
  /// The changes since the last call of `takeChanges`.
  private var touchedUsers: [UserID] = []
  private var touchedDemands: [DemandID] = []

  /// Demands of one supervisor. Further ones are added to its latest.
  private var maximumDemands = WorkLimit.joinedDemands.standard
  /// Entries of users that are not free, beyond the number of users, after which they are removed.
  private var maximumStale = WorkLimit.staleUsers.standard

  /// Bugs to plant; none but in tests and scenarios.
  var planted = PlantedBugs()

  init() {}

  /// Makes a pool from stored rows.
  init(users stored: [(UserID, User)], demands: [Demand]) {
    for (id, user) in stored {
      users[id] = user
      lastTurn = max(lastTurn, user.turn)
      if case .serving(let supervisor) = user.place { served[supervisor, default: []].insert(id) }
    }
    for (id, user) in stored.sorted(by: { $0.1.turn < $1.1.turn }) where user.place == .free {
      queue.append((user.turn, id))
    }
    self.demands = demands.sorted { $0.id < $1.id }
    lastDemand = demands.map(\.id).max() ?? lastDemand
    for demand in self.demands {
      var wait = waits[demand.supervisor, default: Wait()]
      wait.users += demand.count
      wait.rows += 1
      wait.last = demand.id
      waits[demand.supervisor] = wait
    }
  }

  /// Takes the work limits of its node.
  mutating func limit(by limits: WorkLimits) {
    maximumDemands = limits[.joinedDemands]
    maximumStale = limits[.staleUsers]
  }

  // MARK: Connections

  /// Notes that a user has connected. Connections that are older than the latest, or have ended,
  /// have no effect.
  ///
  /// Without a number the connection is the one after the latest. Numbers end at
  /// `ConnectionNumber.last`: each connection of that number counts as new, so that the user can
  /// still come back.
  mutating func connect(_ id: UserID, connection number: ConnectionNumber?) {
    let connection = number ?? (users[id]?.connection ?? .none).next
    if let known = users[id] {
      guard connection > known.connection || connection == .last else { return }
      users[id]!.connection = connection
      if known.place == .offline { free(id) } else { touchedUsers.append(id) }
    } else {
      users[id] = User(connection: connection, place: .offline, turn: 0)
      free(id)
    }
  }

  /// Notes that a connection has ended, without a number the latest. Returns the supervisor that
  /// lost the user, if it had one.
  mutating func disconnect(_ id: UserID, connection number: ConnectionNumber?) -> SupervisorID? {
    let connection = number ?? users[id]?.connection ?? .none
    // The news may overtake that of the connection's beginning, which then has no effect.
    var user = users[id] ?? User(connection: connection, place: .offline, turn: 0)
    guard connection >= user.connection || planted(.dropsOnAnyDisconnect) else { return nil }
    let place = user.place
    user.connection = connection
    users[id] = user
    move(id, to: .offline)
    if case .serving(let supervisor) = place { return supervisor }
    return nil
  }

  private mutating func free(_ id: UserID) {
    lastTurn += 1
    users[id]!.turn = lastTurn
    queue.append((lastTurn, id))
    move(id, to: .free)
    // Users may come and go without end while nobody wants one.
    if queue.count > 2 * users.count + maximumStale {
      queue = queue[head...].filter { isFree($0.user, since: $0.turn) }
      head = 0
    }
  }

  private func isFree(_ id: UserID, since turn: Int64) -> Bool {
    guard let user = users[id] else { return false }
    return user.place == .free && user.turn == turn
  }

  /// Makes every change of place, so that `served` agrees with `users`.
  private mutating func move(_ id: UserID, to place: Place) {
    if case .serving(let supervisor)? = users[id]?.place {
      served[supervisor]?.remove(id)
      if served[supervisor]?.isEmpty == true { served[supervisor] = nil }
    }
    users[id]!.place = place
    if case .serving(let supervisor) = place { served[supervisor, default: []].insert(id) }
    touchedUsers.append(id)
  }

  private mutating func takeFree() -> UserID? {
    while head < queue.count {
      let (turn, id) = queue[head]
      head += 1
      if head > 1024, head * 2 > queue.count {
        queue.removeFirst(head)
        head = 0
      }
      if planted(.listBesideDictionary) { return id }
      if isFree(id, since: turn) { return id }
    }
    return nil
  }

  // MARK: Supervisors

  /// The users of a supervisor, in the order in which they became free.
  func users(of supervisor: SupervisorID) -> [UserID] {
    let found = (served[supervisor] ?? []).map { (turn: users[$0]!.turn, id: $0) }
    return found.sorted { ($0.turn, $0.id.key) < ($1.turn, $1.id.key) }.map(\.id)
  }

  func isServing(_ user: UserID, _ supervisor: SupervisorID) -> Bool { users[user]?.place == .serving(supervisor) }

  /// Gives a supervisor free users, and remembers how many are missing.
  mutating func grant(_ count: UserCount, to supervisor: SupervisorID) -> Grant {
    let wanted = if case .number(let number) = count { number } else { Int.max }
    var granted: [UserID] = []
    // Older demand comes first. While there is some, no user is free.
    if demands.isEmpty {
      while granted.count < wanted, let id = takeFree() {
        move(id, to: .serving(supervisor))
        granted.append(id)
      }
    }
    guard case .number = count else { return Grant(users: granted, shortfall: 0, isSufficient: !granted.isEmpty) }
    let shortfall = wanted - granted.count
    remember(shortfall, for: supervisor)
    return Grant(users: granted, shortfall: shortfall, isSufficient: shortfall == 0)
  }

  /// Adds to the demand of a supervisor, which is at most `ClientBounds.users`.
  private mutating func remember(_ shortfall: Int, for supervisor: SupervisorID) {
    var wait = waits[supervisor, default: Wait()]
    let more = min(shortfall, ClientBounds.users - wait.users)
    guard more > 0 else { return }
    wait.users += more
    // With no other supervisor's demand after it, the latest demand can grow.
    if wait.rows > 0, wait.last == demands.last?.id || wait.rows >= maximumDemands {
      demands[index(of: wait.last)!].count += more
    } else {
      lastDemand = lastDemand.next
      demands.append(Demand(id: lastDemand, supervisor: supervisor, count: more))
      wait.rows += 1
      wait.last = lastDemand
    }
    touchedDemands.append(wait.last)
    waits[supervisor] = wait
  }

  private func index(of demand: DemandID) -> Int? {
    var low = 0
    var high = demands.count
    while low < high {
      let middle = (low + high) / 2
      if demands[middle].id < demand { low = middle + 1 } else { high = middle }
    }
    return low < demands.count && demands[low].id == demand ? low : nil
  }

  /// Frees users, if the supervisor has them.
  mutating func release(_ released: [UserID], from supervisor: SupervisorID) {
    for id in released where isServing(id, supervisor) { free(id) }
  }

  /// Deletes the demand of a supervisor whose session is over.
  mutating func forget(_ supervisor: SupervisorID) {
    guard waits.removeValue(forKey: supervisor) != nil else { return }
    for demand in demands where demand.supervisor == supervisor { touchedDemands.append(demand.id) }
    demands.removeAll { $0.supervisor == supervisor }
  }

  /// Meets demand with free users, oldest demand first. Returns the users by supervisor.
  mutating func assign() -> [(supervisor: SupervisorID, users: [UserID])] {
    var assigned: [(supervisor: SupervisorID, users: [UserID])] = []
    var met = 0
    while met < demands.count, let id = takeFree() {
      let demand = demands[met]
      move(id, to: .serving(demand.supervisor))
      touchedDemands.append(demand.id)
      waits[demand.supervisor]!.users -= 1
      if demand.count == 1 {
        met += 1
        waits[demand.supervisor]!.rows -= 1
        if waits[demand.supervisor]!.rows == 0 { waits[demand.supervisor] = nil }
      } else {
        demands[met].count -= 1
      }
      if let last = assigned.last, last.supervisor == demand.supervisor {
        assigned[assigned.count - 1].users.append(id)
      } else {
        assigned.append((demand.supervisor, [id]))
      }
    }
    demands.removeFirst(met)
    return assigned
  }

  /// The number of users that a supervisor waits for.
  func demand(of supervisor: SupervisorID) -> Int {
    waits[supervisor]?.users ?? 0
  }

  /// Returns the rows that changed since the last call, as they are now; nil for a deleted demand.
  mutating func takeChanges() -> (users: [(UserID, User)], demands: [(DemandID, Demand?)]) {
    var seen: Set<UserID> = []
    let changedUsers = touchedUsers.filter { seen.insert($0).inserted }.map { ($0, users[$0]!) }
    var seenDemands: Set<DemandID> = []
    let changedDemands = touchedDemands.filter { seenDemands.insert($0).inserted }
      .map { ($0, index(of: $0).map { demands[$0] }) }
    touchedUsers = []
    touchedDemands = []
    return (changedUsers, changedDemands)
  }
}
