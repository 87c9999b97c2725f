/// What came to the manager, read and checked.
enum ManagerInput: Sendable {
  /// `connection` is nil from a User Server that does not number connections.
  case newUser(UserID, connection: Int64?)
  case removeUser(UserID, connection: Int64?)
  case userMessage(UserID, id: String, message: JSONValue)
  case startSession(email: CustomerEmail, data: JSONValue)
  case customerWantsUsers(SupervisorID, UserCount)
  case endSession(SupervisorID)
  /// `request` is the `START_SESSION` that is given up; without it any is.
  case cancelSession(email: CustomerEmail, request: String?)
  case initialize(host: String)
  case wantsUsers(UserCount)
  case sendToUser(UserID, JSONValue)
  case released([UserID])
  case append(id: String, from: JSONValue, message: JSONValue, previous: String?)
  case heartbeat(host: String)
  /// A host was silent for too long.
  case hostLost(String)
  /// A session that no host has taken in time is offered again.
  case offerAgain(SupervisorID)
}

/// What has to be done because of an input, in order. The rows of pool and sessions are written beside it.
enum ManagerEffect: Sendable {
  case send(exchange: String, key: String, QueueMessage)
  /// Sends a user's message to a supervisor, and keeps it until it is in the transcript. It is refused
  /// when too many wait.
  case forward(UserID, id: String, message: JSONValue, SupervisorID, answer: Answer?)
  /// A session is offered to the hosts: its queues have to be there, and what is not in the transcript is sent again, since
  /// whoever had the session before may hold it.
  case offer(SupervisorID)
  case append(SupervisorID, id: String, from: JSONValue, message: JSONValue, previous: String?, answer: Answer?)
  /// Passes something on to a user, unless its SEQ was passed on before.
  case tell(UserID, JSONValue, SupervisorID, answer: Answer?)
  /// New users of a session hear what comes from now on.
  case join([UserID], SupervisorID)
  /// The queue of a supervisor that came by itself has to be there.
  case declare(SupervisorID)
  /// The queues of a supervisor that is done go.
  case remove(SupervisorID)
  /// A queue that nobody reads any more goes.
  case forget(queue: String)
  /// Tells a supervisor that took a session where that stands.
  case brief(SupervisorID, users: [UserID], demand: Int, additional: Int64, Answer?)
  case answer(Answer, JSONValue)
  /// What could not be read goes where people look at it.
  case deadLetter(AMQPMessage)
  /// What a supervisor could not append comes to it, or to the next one, again.
  case resend(SupervisorID, id: String, from: JSONValue)
  case log(String, String)

  /// Where an answer goes.
  struct Answer: Hashable, Sendable {
    enum Destination: Hashable, Sendable {
      /// To whoever asks over HTTP, by the number of the question.
      case question(Int)
      case queue(String, correlationID: String?)
    }

    let destination: Destination
    /// What it answers.
    let type: String

    /// The number of the question, when it was asked over HTTP.
    var question: Int? { if case .question(let number) = destination { number } else { nil } }
  }
}

/// Sessions, users and demand: the rules of the User Manager, as one value. It changes nothing outside itself.
struct ManagerState: Sendable {
  var pool = UserPool()
  private(set) var sessions = ManagedSessions()
  private var touched: [SupervisorID] = []
  /// Sessions that ended since the last commit: they may be forgotten here before it.
  private var ended: [ManagedSession] = []
  private var nextSession: Int64 = 1

  init() {}

  init(pool: UserPool, sessions stored: [ManagedSession], nextSession: Int64) {
    self.pool = pool
    self.nextSession = nextSession
    for session in stored { sessions[session.id] = session }
  }

  static let success: JSONValue = ["STATUS": "SUCCESS"]
  static func failure(_ reason: String) -> JSONValue { ["STATUS": "FAILED", "ERROR": .string(reason)] }

  /// Handles an input. `message` is what brought it; its headers say who sends it.
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
    case .userMessage(let user, let id, let text):
      guard case .serving(let supervisor)? = pool.users[user]?.place else {
        return answered(answer, Self.failure("the user is with no supervisor"))
      }
      return [.forward(user, id: id, message: text, supervisor, answer: answer)]
    case .startSession(let email, let data):
      return start(email, data, request: message.id ?? "") + answered(answer, Self.success)
    case .customerWantsUsers(let id, let count):
      guard var session = sessions[id], session.status != .ended else {
        return answered(answer, Self.failure("no such session"))
      }
      if case .number(let number) = count {
        session.additional = min(session.additional + Int64(number), Int64(ClientBounds.users))
        sessions[id] = session
        touched.append(id)
      }
      return granted(count, to: id) + answered(answer, Self.success)
    case .endSession(let id): return end(id, answer)
    case .cancelSession(let email, let request):
      // What a later request is for is not given up with this one.
      guard let session = sessions.current(of: email), request == nil || request == session.request else {
        return answered(answer, Self.success)
      }
      return end(session.id, answer)
    case .hostLost(let host):
      return takeOver(from: host) + [.forget(queue: QueueNames.answers(to: host))] + answered(answer, Self.success)
    case .offerAgain(let id): return offer(id)
    case .heartbeat: return answered(answer, Self.success)
    case .initialize, .wantsUsers, .sendToUser, .released, .append: return fromSupervisor(input, message, answer)
    }
  }

  private func answered(_ answer: ManagerEffect.Answer?, _ value: JSONValue) -> [ManagerEffect] {
    answer.map { [.answer($0, value)] } ?? []
  }

  private func toSupervisor(_ id: SupervisorID, _ type: String, _ data: JSONValue) -> ManagerEffect {
    var message = QueueMessage("USER_MANAGER_MESSAGE", ["TYPE": .string(type), "DATA": data])
    // One that has been replaced and does not know it gives back what is for its successor.
    message.epoch = sessions[id]?.epoch
    return .send(exchange: QueueNames.supervisorExchange, key: QueueNames.fromManager(to: id), message)
  }

  private func toCustomer(_ session: ManagedSession, _ type: String) -> ManagerEffect {
    var message = QueueMessage(
      type, ["EMAIL": .string(session.email?.text ?? ""), "SESSION_SUPERVISOR_ID": .string(session.id.text)])
    message.supervisor = session.id
    message.epoch = session.epoch
    // Whether a session runs is an answer: one that comes late is not taken for that to a later request.
    if type == "SESSION_RUNNING", !session.request.isEmpty { message.correlationID = session.request }
    return .send(exchange: QueueNames.customerExchange, key: QueueNames.toCustomerServer, message)
  }

  private mutating func assign() -> [ManagerEffect] {
    pool.assign().flatMap { supervisor, users in told(supervisor, users) }
  }

  private func told(_ supervisor: SupervisorID, _ users: [UserID]) -> [ManagerEffect] {
    users.isEmpty
      ? []
      : [
        .join(users, supervisor),
        toSupervisor(supervisor, "USERS_ASSIGNED", ["LIST_USER_ID": .array(users.map(\.json))]),
      ]
  }

  private mutating func granted(_ count: UserCount, to id: SupervisorID) -> [ManagerEffect] {
    told(id, pool.grant(count, to: id).users)
  }

  // MARK: Sessions

  /// The queues of all sessions that go on.
  var queues: [AMQPDeclaration] {
    sessions.all.filter { $0.status != .ended }.flatMap { QueueNames.queues(of: $0.id) }
      .map { .queue($0, exchange: QueueNames.supervisorExchange) }
  }

  private mutating func start(_ email: CustomerEmail, _ data: JSONValue, request: String) -> [ManagerEffect] {
    if let known = sessions.current(of: email) {
      // Asked for twice: the customer hears again what it has. Without an id, as foreign agents publish it, it is nobody's request.
      if !request.isEmpty {
        sessions[known.id]!.request = request
        touched.append(known.id)
      }
      return known.status == .running ? [toCustomer(sessions[known.id]!, "SESSION_RUNNING")] : []
    }
    let id = SupervisorID("s\(nextSession)")!
    nextSession += 1
    sessions[id] = ManagedSession(
      id: id, email: email, epoch: 1, status: .starting, host: "", data: data, isOwn: true, request: request)
    touched.append(id)
    return [.offer(id), startMessage(sessions[id]!)]
  }

  private func startMessage(_ session: ManagedSession) -> ManagerEffect {
    .send(
      exchange: QueueNames.supervisorExchange, key: QueueNames.hosts,
      QueueMessage(
        "START_SUPERVISOR",
        [
          "SESSION_SUPERVISOR_ID": .string(session.id.text), "EPOCH": .int(session.epoch), "SESSION_DATA": session.data,
        ]))
  }

  private mutating func end(_ id: SupervisorID, _ answer: ManagerEffect.Answer?) -> [ManagerEffect] {
    guard let session = sessions[id], session.status != .ended else {
      return answered(answer, Self.failure("no such session"))
    }
    sessions[id]!.status = .ended
    ended.append(sessions[id]!)
    pool.forget(id)
    var effects = [toSupervisor(id, "END_SESSION", .object([])), toCustomer(session, "SESSION_ENDED")]
    // One that nobody runs has nobody who would release its users.
    if session.status == .starting { effects += close(id) }
    return effects + answered(answer, Self.success)
  }

  /// Does what the supervisor of an ended session would do, and forgets the session.
  private mutating func close(_ id: SupervisorID) -> [ManagerEffect] {
    pool.release(pool.users(of: id), from: id)
    sessions[id] = nil
    return assign() + [.remove(id)]
  }

  /// Starts the sessions of a lost host elsewhere, each with a higher epoch.
  private mutating func takeOver(from host: String) -> [ManagerEffect] {
    var effects: [ManagerEffect] = []
    for session in sessions.all where session.host == host && session.isOwn {
      switch session.status {
      case .ended: effects += close(session.id)
      case .running, .starting: effects += offer(session.id)
      }
    }
    return effects
  }

  /// Offers a session to any host, with a higher epoch.
  private mutating func offer(_ id: SupervisorID) -> [ManagerEffect] {
    guard let session = sessions[id], session.isOwn, session.status != .ended else { return [] }
    sessions[id]!.epoch += 1
    sessions[id]!.status = .starting
    sessions[id]!.host = ""
    touched.append(id)
    return [.offer(id), startMessage(sessions[id]!), .log("session-offered", "\(id.text) epoch \(session.epoch + 1)")]
  }

  // MARK: What supervisors send

  private mutating func fromSupervisor(
    _ input: ManagerInput, _ message: QueueMessage, _ answer: ManagerEffect.Answer?
  ) -> [ManagerEffect] {
    guard let id = message.supervisor else { return answered(answer, Self.failure("SESSION_SUPERVISOR_ID: missing")) }
    let epoch = message.epoch ?? 0
    if case .initialize(let host) = input { return initialize(id, epoch, host, answer) }
    guard let session = sessions[id] else { return answered(answer, Self.failure("not initialized")) }
    guard epoch >= session.epoch else {
      var effects: [ManagerEffect] = [.log("stale-epoch", "\(id.text) epoch \(epoch)")]
      if case .append(let messageID, let from, _, _) = input { effects.append(.resend(id, id: messageID, from: from)) }
      return effects + answered(answer, Self.failure("stale epoch"))
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
    case .append(let messageID, let from, let text, let previous):
      guard session.status != .ended else { return answered(answer, Self.failure("the session has ended")) }
      return [.append(id, id: messageID, from: from, message: text, previous: previous, answer: answer)]
    default: return []
    }
  }

  private mutating func initialize(
    _ id: SupervisorID, _ epoch: Int64, _ host: String, _ answer: ManagerEffect.Answer?
  ) -> [ManagerEffect] {
    guard let session = sessions[id] else {
      // One that was not started from here: it has epoch 0 and is not failed over.
      guard epoch == 0 else { return answered(answer, Self.failure("no such session")) }
      sessions[id] = ManagedSession(
        id: id, email: nil, epoch: 0, status: .running, host: host, data: .object([]), isOwn: false)
      touched.append(id)
      return [.declare(id)] + answered(answer, Self.success)
    }
    guard epoch >= session.epoch else { return answered(answer, Self.failure("stale epoch")) }
    if !session.isOwn {
      sessions[id]!.status = .running
      touched.append(id)
      return answered(answer, Self.success)
    }
    guard session.status != .ended else { return answered(answer, Self.failure("the session has ended")) }
    // An offer that came twice has reached two hosts.
    guard session.status == .starting || session.host == host else {
      return answered(answer, Self.failure("another host has it"))
    }
    sessions[id]!.status = .running
    sessions[id]!.host = host
    touched.append(id)
    return [
      .brief(
        id, users: pool.users(of: id), demand: pool.demand(of: id), additional: session.additional, answer),
      toCustomer(sessions[id]!, "SESSION_RUNNING"),
    ]
  }

  /// The number of the next session.
  var sessionNumber: Int64 { nextSession }

  /// The sessions that changed since this was called last, as they are now.
  mutating func takeChangedSessions() -> [ManagedSession] {
    var seen: Set<SupervisorID> = []
    let changed = touched.filter { seen.insert($0).inserted }.compactMap { sessions[$0] } + ended
    touched = []
    ended = []
    return changed
  }
}
