/// What a supervisor gets.
struct Grant: Hashable, Sendable {
  let users: [UserID]
  /// How many more it wanted.
  let shortfall: Int
  /// Whether it has what it asked for.
  let isSufficient: Bool
}

/// Who is free and who serves whom. A user is offline, free, or with one supervisor: never in two places.
struct UserPool: Sendable {
  enum Place: Hashable, Sendable {
    case offline
    case free
    case serving(SupervisorID)

    /// The place in words.
    var name: String {
      switch self {
      case .offline: "offline"
      case .free: "free"
      case .serving(let supervisor): "with \(supervisor.text)"
      }
    }
  }

  struct User: Hashable, Sendable {
    /// The latest connection that was heard of.
    var connection: Int64
    var place: Place
    /// When the user became free, in the order of all that did; who is free for longest comes first.
    var turn: Int64
  }

  /// What a supervisor still waits for.
  struct Demand: Hashable, Sendable {
    let id: Int64
    let supervisor: SupervisorID
    var count: Int
  }

  private(set) var users: [UserID: User] = [:]
  /// Oldest first.
  private(set) var demands: [Demand] = []
  /// The free users, by turn. Entries of those who are free no more are passed over.
  private var queue: [(turn: Int64, user: UserID)] = []
  private var head = 0
  private var lastTurn: Int64 = 0
  private var lastDemand: Int64 = 0
  /// What changed since `takeChanges`: whom to write to the database.
  private var touchedUsers: [UserID] = []
  private var touchedDemands: [Int64] = []

  /// See `PlantedManagerBug`.
  var planted: Set<PlantedManagerBug> = []

  init() {}

  /// The pool as it was stored.
  init(users stored: [(UserID, User)], demands: [Demand]) {
    for (id, user) in stored {
      users[id] = user
      lastTurn = max(lastTurn, user.turn)
    }
    for (id, user) in stored.sorted(by: { $0.1.turn < $1.1.turn }) where user.place == .free {
      queue.append((user.turn, id))
    }
    self.demands = demands.sorted { $0.id < $1.id }
    lastDemand = demands.map(\.id).max() ?? 0
  }

  // MARK: Coming and going

  /// A user has connected. An older connection than the latest, or one that has ended already, changes nothing.
  mutating func connect(_ id: UserID, connection: Int64) {
    if let known = users[id] {
      guard connection > known.connection else { return }
      users[id]!.connection = connection
      if known.place == .offline { free(id) } else { touchedUsers.append(id) }
    } else {
      users[id] = User(connection: connection, place: .offline, turn: 0)
      free(id)
    }
  }

  /// A user's connection has ended. Returns the supervisor that has lost the user.
  mutating func disconnect(_ id: UserID, connection: Int64) -> SupervisorID? {
    // It may be heard of before the connection itself: then that is over before it began.
    var user = users[id] ?? User(connection: connection, place: .offline, turn: 0)
    guard connection >= user.connection || planted.contains(.dropsOnAnyDisconnect) else { return nil }
    let place = user.place
    user.connection = connection
    user.place = .offline
    users[id] = user
    touchedUsers.append(id)
    if case .serving(let supervisor) = place { return supervisor }
    return nil
  }

  private mutating func free(_ id: UserID) {
    lastTurn += 1
    users[id]!.place = .free
    users[id]!.turn = lastTurn
    queue.append((lastTurn, id))
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
      if planted.contains(.listBesideDictionary) { return id }
      if let user = users[id], user.place == .free, user.turn == turn { return id }
    }
    return nil
  }

  // MARK: Supervisors

  func users(of supervisor: SupervisorID) -> [UserID] {
    let found = users.filter { $0.value.place == .serving(supervisor) }
    return found.sorted { $0.value.turn < $1.value.turn }.map(\.key)
  }

  func isServing(_ user: UserID, _ supervisor: SupervisorID) -> Bool { users[user]?.place == .serving(supervisor) }

  /// Gives a supervisor as many users as there are; what is missing is remembered.
  mutating func grant(_ count: UserCount, to supervisor: SupervisorID) -> Grant {
    let wanted = if case .number(let number) = count { number } else { Int.max }
    var granted: [UserID] = []
    // Older demand comes first: while there is some, nobody is free for this one.
    if demands.isEmpty {
      while granted.count < wanted, let id = takeFree() {
        users[id]!.place = .serving(supervisor)
        touchedUsers.append(id)
        granted.append(id)
      }
    }
    guard case .number = count else { return Grant(users: granted, shortfall: 0, isSufficient: !granted.isEmpty) }
    let shortfall = wanted - granted.count
    remember(shortfall, for: supervisor)
    return Grant(users: granted, shortfall: shortfall, isSufficient: shortfall == 0)
  }

  /// Adds to the demand of a supervisor, up to the bound of all that one may want.
  private mutating func remember(_ shortfall: Int, for supervisor: SupervisorID) {
    let more = min(shortfall, ClientBounds.users - demand(of: supervisor))
    guard more > 0 else { return }
    if let last = demands.last, last.supervisor == supervisor {
      // Nothing stands between the two, so one row says the same.
      demands[demands.count - 1].count += more
      touchedDemands.append(last.id)
    } else {
      lastDemand += 1
      demands.append(Demand(id: lastDemand, supervisor: supervisor, count: more))
      touchedDemands.append(lastDemand)
    }
  }

  /// Frees users, those that the supervisor has and no others.
  mutating func release(_ released: [UserID], from supervisor: SupervisorID) {
    for id in released where isServing(id, supervisor) { free(id) }
  }

  /// The session is over: its demand is gone.
  mutating func forget(_ supervisor: SupervisorID) {
    for demand in demands where demand.supervisor == supervisor { touchedDemands.append(demand.id) }
    demands.removeAll { $0.supervisor == supervisor }
  }

  /// Meets demand as users are free, oldest first. Returns who got whom.
  mutating func assign() -> [(supervisor: SupervisorID, users: [UserID])] {
    var assigned: [(supervisor: SupervisorID, users: [UserID])] = []
    while let demand = demands.first, let id = takeFree() {
      users[id]!.place = .serving(demand.supervisor)
      touchedUsers.append(id)
      touchedDemands.append(demand.id)
      if demand.count == 1 { demands.removeFirst() } else { demands[0].count -= 1 }
      if let last = assigned.last, last.supervisor == demand.supervisor {
        assigned[assigned.count - 1].users.append(id)
      } else {
        assigned.append((demand.supervisor, [id]))
      }
    }
    return assigned
  }

  /// How many users a supervisor still waits for.
  func demand(of supervisor: SupervisorID) -> Int {
    demands.filter { $0.supervisor == supervisor }.reduce(0) { $0 + $1.count }
  }

  /// What has to be written: rows as they are now, nil for those that are gone.
  mutating func takeChanges() -> (users: [(UserID, User)], demands: [(Int64, Demand?)]) {
    var seen: Set<UserID> = []
    let changedUsers = touchedUsers.filter { seen.insert($0).inserted }.map { ($0, users[$0]!) }
    var seenDemands: Set<Int64> = []
    // Looked up once for all of them: there may be many of both.
    let byID = touchedDemands.isEmpty ? [:] : Dictionary(uniqueKeysWithValues: demands.map { ($0.id, $0) })
    let changedDemands = touchedDemands.filter { seenDemands.insert($0).inserted }.map { ($0, byID[$0]) }
    touchedUsers = []
    touchedDemands = []
    return (changedUsers, changedDemands)
  }
}
