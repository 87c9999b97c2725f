/// The sessions, users and demand of the manager, with its rules. A value: it has no effects of its
/// own.
struct ManagerState: Sendable {
  var pool = UserPool()
  private(set) var sessions = ManagedSessions()
  /// The number in the name of the next session.
  private(set) var nextSession: Int64 = 1
  /// Sessions that were offered to another host since the process began.
  private(set) var takeovers = 0
  private var changed: [SupervisorID] = []
  /// Sessions that ended since the last commit. Some are no longer in `sessions`.
  private var ended: [ManagedSession] = []

  init() {}

  init(pool: UserPool, sessions stored: [ManagedSession], nextSession: Int64) {
    self.pool = pool
    self.nextSession = nextSession
    for session in stored { sessions[session.id] = session }
  }

  static let success: JSONValue = ["STATUS": "SUCCESS"]
  static func failure(_ reason: String) -> JSONValue { ["STATUS": "FAILED", "ERROR": .string(reason)] }

  /// The queues of all sessions that have not ended.
  var queues: [AMQPDeclaration] {
    sessions.all.filter { $0.status != .ended }.flatMap { QueueNames.queues(of: $0.id) }
      .map { .queue($0, exchange: QueueNames.supervisorExchange) }
  }

  /// Returns the sessions that changed since the last call, as they are now.
  mutating func takeChangedSessions() -> [ManagedSession] {
    var seen: Set<SupervisorID> = []
    let taken = changed.filter { seen.insert($0).inserted }.compactMap { sessions[$0] } + ended
    changed = []
    ended = []
    return taken
  }

  /// Applies an input, and returns its effects. `message` brought it; its headers name the sender.
  mutating func apply(_ input: ManagerInput, _ message: QueueMessage, answer: ManagerEffect.Answer?) -> [ManagerEffect]
  {
    switch input {
    case .newUser(let user, let connection):
      pool.connect(user, connection: connection)
      return assign() + answered(answer, Self.success)
    case .removeUser(let user, let connection):
      var effects: [ManagerEffect] = []
      if let supervisor = pool.disconnect(user, connection: connection) {
        effects.append(toSupervisor(supervisor, "USER_DISCONNECT", ["USER_ID": user.json]))
      }
      return effects + answered(answer, Self.success)
    case .userMessage(let text):
      guard case .serving(let supervisor)? = pool.users[text.sender]?.place else {
        return answered(answer, Self.failure("the user is with no supervisor"))
      }
      return [.forward(text, supervisor, answer: answer)]
    case .startSession(let customer, let data):
      let request = message.id.flatMap { RequestID($0) }
      return start(customer, data, request) + answered(answer, Self.success)
    case .customerWantsUsers(let id, let count):
      guard let session = sessions[id], session.status != .ended else {
        return answered(answer, Self.failure("no such session"))
      }
      if case .number(let number) = count {
        change(id) { $0.additional = min($0.additional + Int64(number), Int64(ClientBounds.users)) }
      }
      return tell(id, assigned: pool.grant(count, to: id).users) + answered(answer, Self.success)
    case .endSession(let id): return end(id, answer)
    case .cancelSession(let customer, let request):
      // A session that a later request asked for goes on.
      guard let session = sessions.current(of: customer), request == nil || request == session.request else {
        return answered(answer, Self.success)
      }
      return end(session.id, answer)
    case .hostLost(let host):
      return takeOver(from: host) + [.forget(queue: QueueNames.answers(to: host))] + answered(answer, Self.success)
    case .offerAgain(let id): return offerAgain(id)
    case .erase(let customer, let closing): return erase(customer, closing: closing, answer)
    case .removeEnded(let rule): return [.removeEnded(rule)]
    case .heartbeat: return answered(answer, Self.success)
    case .initialize, .wantsUsers, .sendToUser, .released, .append: return fromSupervisor(input, message, answer)
    }
  }

  private mutating func change(_ id: SupervisorID, _ body: (inout ManagedSession) -> Void) {
    body(&sessions[id]!)
    changed.append(id)
  }

  // MARK: Effects

  private func answered(_ answer: ManagerEffect.Answer?, _ value: JSONValue) -> [ManagerEffect] {
    answer.map { [.answer($0, value)] } ?? []
  }

  private func toSupervisor(_ id: SupervisorID, _ type: String, _ data: JSONValue) -> ManagerEffect {
    var message = QueueMessage("USER_MANAGER_MESSAGE", ["TYPE": .string(type), "DATA": data])
    // A replaced supervisor puts back a message with a later epoch than its own.
    message.epoch = sessions[id]?.epoch
    return .send(exchange: QueueNames.supervisorExchange, key: QueueNames.fromManager(to: id), message)
  }

  private func toCustomer(_ session: ManagedSession, _ type: String) -> ManagerEffect {
    var message = QueueMessage(
      type, ["EMAIL": .string(session.customer?.text ?? ""), "SESSION_SUPERVISOR_ID": .string(session.id.text)])
    message.supervisor = session.id
    message.epoch = session.epoch
    // Names the request that it answers, so that a late answer is not taken for that to a later
    // request.
    if type == "SESSION_RUNNING" { message.correlationID = session.request.map { AMQPText($0.text) } }
    return .send(exchange: QueueNames.customerExchange, key: QueueNames.toCustomerServer, message)
  }

  /// Assigns free users to the supervisors that wait for some.
  private mutating func assign() -> [ManagerEffect] {
    pool.assign().flatMap { supervisor, users in tell(supervisor, assigned: users) }
  }

  private func tell(_ supervisor: SupervisorID, assigned users: [UserID]) -> [ManagerEffect] {
    guard !users.isEmpty else { return [] }
    return [
      .join(users, supervisor),
      toSupervisor(supervisor, "USERS_ASSIGNED", ["LIST_USER_ID": .array(users.map(\.json))]),
    ]
  }

  // MARK: Sessions

  private mutating func start(_ customer: CustomerEmail, _ data: JSONValue, _ request: RequestID?) -> [ManagerEffect] {
    if let known = sessions.current(of: customer) {
      // A repeated request gets the answer to the first. Foreign customer agents send no id.
      if let request { change(known.id) { $0.request = request } }
      return known.status == .running ? [toCustomer(sessions[known.id]!, "SESSION_RUNNING")] : []
    }
    let id = SupervisorID("s\(nextSession)")!
    nextSession += 1
    sessions[id] = ManagedSession(
      id: id, customer: customer, epoch: .first, status: .starting, host: .unnamed, data: data, isOwn: true,
      request: request)
    changed.append(id)
    return offer(id)
  }

  private func offer(_ id: SupervisorID) -> [ManagerEffect] {
    let session = sessions[id]!
    let message = QueueMessage(
      "START_SUPERVISOR",
      [
        "SESSION_SUPERVISOR_ID": .string(id.text), "EPOCH": .int(session.epoch.number), "SESSION_DATA": session.data,
      ])
    return [.offer(id), .send(exchange: QueueNames.supervisorExchange, key: QueueNames.hosts, message)]
  }

  /// Offers a session to the hosts in its next epoch.
  private mutating func offerAgain(_ id: SupervisorID) -> [ManagerEffect] {
    guard let session = sessions[id], session.isOwn, session.status != .ended else { return [] }
    change(id) {
      $0.epoch = session.epoch.next
      $0.status = .starting
      $0.host = .unnamed
    }
    takeovers += 1
    return offer(id)
  }

  private mutating func end(_ id: SupervisorID, _ answer: ManagerEffect.Answer?) -> [ManagerEffect] {
    guard let session = sessions[id], session.status != .ended else {
      return answered(answer, Self.failure("no such session"))
    }
    sessions[id]!.status = .ended
    ended.append(sessions[id]!)
    pool.forget(id)
    var effects = [toSupervisor(id, "END_SESSION", .object([])), toCustomer(session, "SESSION_ENDED")]
    // No supervisor will release the users of a session that no host has taken.
    if session.status == .starting { effects += close(id) }
    return effects + answered(answer, Self.success)
  }

  private mutating func erase(
    _ customer: CustomerEmail, closing: Bool, _ answer: ManagerEffect.Answer?
  ) -> [ManagerEffect] {
    var effects: [ManagerEffect] = []
    for session in sessions.all where session.customer?.key == customer.key {
      if session.status != .ended { effects += end(session.id, nil) }
      if closing, sessions[session.id] != nil { effects += close(session.id) }
    }
    return effects + [.erase(customer, answer: answer)]
  }

  /// Releases the users of an ended session in place of its supervisor, and forgets the session.
  private mutating func close(_ id: SupervisorID) -> [ManagerEffect] {
    pool.release(pool.users(of: id), from: id)
    sessions[id] = nil
    return assign() + [.remove(id)]
  }

  /// Offers the sessions of a lost host to the others.
  private mutating func takeOver(from host: HostName) -> [ManagerEffect] {
    var effects: [ManagerEffect] = []
    for session in sessions.all where session.host == host && session.isOwn {
      switch session.status {
      case .ended: effects += close(session.id)
      case .running, .starting: effects += offerAgain(session.id)
      }
    }
    return effects
  }

  // MARK: Supervisors

  private mutating func fromSupervisor(
    _ input: ManagerInput, _ message: QueueMessage, _ answer: ManagerEffect.Answer?
  ) -> [ManagerEffect] {
    guard let id = message.supervisor else { return answered(answer, Self.failure("SESSION_SUPERVISOR_ID: missing")) }
    let epoch = message.epoch ?? .foreign
    if case .initialize(let host) = input { return initialize(id, epoch, host, answer) }
    guard let session = sessions[id] else { return answered(answer, Self.failure("not initialized")) }
    guard epoch >= session.epoch else {
      let refusal = answered(answer, Self.failure("stale epoch"))
      if case .append(let message) = input { return [.resend(id, sender: message.sender)] + refusal }
      return refusal
    }
    switch input {
    case .wantsUsers(let count):
      guard session.status != .ended else { return answered(answer, Self.failure("the session has ended")) }
      let grant = pool.grant(count, to: id)
      let reply: JSONValue = [
        "LIST_USER_ID": .array(grant.users.map(\.json)),
        "NOTICE": grant.isSufficient ? "SUFFICIENT" : "NOT_SUFFICIENT",
      ]
      return [.join(grant.users, id)] + answered(answer, reply)
    case .sendToUser(let user, let text):
      guard pool.isServing(user, id) else {
        return answered(answer, Self.failure("the user is not with this supervisor"))
      }
      return [.tell(user, text, id, answer: answer)]
    case .released(let users):
      pool.release(users, from: id)
      var effects = assign()
      if session.status == .ended, pool.users(of: id).isEmpty {
        sessions[id] = nil
        effects.append(.remove(id))
      }
      return effects + answered(answer, Self.success)
    case .append(let message):
      guard session.status != .ended else { return answered(answer, Self.failure("the session has ended")) }
      return [.append(id, message, answer: answer)]
    default: return []
    }
  }

  private mutating func initialize(
    _ id: SupervisorID, _ epoch: Epoch, _ host: HostName, _ answer: ManagerEffect.Answer?
  ) -> [ManagerEffect] {
    guard let session = sessions[id] else {
      guard epoch == .foreign else { return answered(answer, Self.failure("no such session")) }
      sessions[id] = ManagedSession(
        id: id, customer: nil, epoch: .foreign, status: .running, host: host, data: .object([]), isOwn: false)
      changed.append(id)
      return [.declare(id)] + answered(answer, Self.success)
    }
    guard epoch >= session.epoch else { return answered(answer, Self.failure("stale epoch")) }
    if !session.isOwn {
      change(id) { $0.status = .running }
      return answered(answer, Self.success)
    }
    guard session.status != .ended else {
      // The host stops at this answer, and will not release the users.
      let effects = session.host == host ? close(id) : []
      return effects + answered(answer, Self.failure("the session has ended"))
    }
    // An offer that is delivered twice may reach two hosts.
    guard session.status == .starting || session.host == host else {
      return answered(answer, Self.failure("another host has it"))
    }
    change(id) {
      $0.status = .running
      $0.host = host
    }
    return [
      .brief(
        id, users: pool.users(of: id), demand: pool.demand(of: id), additional: session.additional, answer),
      toCustomer(sessions[id]!, "SESSION_RUNNING"),
    ]
  }
}
