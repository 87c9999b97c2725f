import Environment

/// Performs the effects of one commit: writes transcripts and the outbox, and collects the outcome.
struct EffectWriter {
  private let tables: ManagerTables
  private let commit: Int64
  private let time: Timestamp
  private let limits: WorkLimits
  private(set) var outcome = ManagerOutcome()
  /// What waits for supervisors, once it was counted.
  private var forwarded: ForwardedTable.Total?
  /// The request whose effects are performed.
  private var trace: RequestTrace?
  /// Senders whose messages were sent again in this commit.
  private var resent: Set<Sender> = []

  private struct Sender: Hashable {
    let session: SupervisorID
    let id: UserID
  }

  init(_ tables: ManagerTables, commit: Int64, at time: Timestamp, _ limits: WorkLimits) {
    self.tables = tables
    self.commit = commit
    self.time = time
    self.limits = limits
  }

  mutating func perform(_ effect: ManagerEffect) async throws(DatabaseError) {
    switch effect {
    case .send(let exchange, let key, let message): try await publish(message, to: exchange, key)
    case .within(let trace): self.trace = trace
    case .deadLetter(let letter):
      try await publish(letter.properties, letter.body, to: letter.exchange, letter.routingKey)
    case .forward(let message, let session, let recipient):
      try await answer(recipient, try await forward(message, to: session))
    case .declare(let session): try await add(.declare, QueueNames.queues(of: session))
    case .remove(let session): try await add(.remove, QueueNames.queues(of: session))
    case .forget(let queue): try await add(.remove, to: "", queue)
    case .offer(let session):
      try await add(.declare, QueueNames.queues(of: session))
      for message in try await tables.forwarded.messages(of: session) { try await send(message, to: session) }
    case .append(let session, let message, let recipient):
      try await answer(recipient, try await append(message, to: session))
    case .tell(let user, let message, let session, let recipient):
      try await tell(message, to: user, in: session)
      try await answer(recipient, ManagerState.success)
    case .join(let users, let session):
      let last = try await tables.transcripts.lastPosition(in: session)
      for user in users { try await tables.transcripts.setRelayedPosition(last, to: user, in: session) }
    case .brief(let session, let users, let demand, let additional, let recipient):
      try await relayAll(in: session, to: users)
      try await answer(
        recipient,
        [
          "STATUS": "SUCCESS", "LIST_USER_ID": .array(users.map(\.json)), "DEMAND": .int(Int64(demand)),
          "ADDITIONAL": .int(additional),
        ])
    case .answer(let recipient, let value): try await answer(recipient, value)
    case .resend(let session, let sender): try await resend(from: sender, in: session)
    case .erase(let customer, let recipient):
      let marked = try await tables.ended.mark(of: customer)
      let removed = try await removeEnded(Retention())
      try await answer(recipient, marked.answer(removed: removed, remaining: try await tables.ended.erasing()))
    case .removeEnded(let rule): _ = try await removeEnded(rule)
    }
  }

  // MARK: Ended sessions

  /// Removes ended sessions as far as one pass goes. Returns those that are gone.
  private mutating func removeEnded(_ rule: Retention) async throws(DatabaseError) -> [SupervisorID] {
    var pass = try await tables.ended.pass(rule, at: time, limits)
    var removed: [SupervisorID] = []
    while let session = try await tables.ended.removeNext(&pass) {
      removed.append(session)
      // After all that the Customer Server has heard of the session, so that its copy goes, too.
      var news = QueueMessage("SESSION_ERASED", ["SESSION_SUPERVISOR_ID": .string(session.text)])
      news.supervisor = session
      try await publish(news, to: QueueNames.customerExchange, QueueNames.toCustomerServer)
    }
    outcome.removedSessions += removed.count
    outcome.removal = try await tables.ended.progress(of: pass)
    return removed
  }

  // MARK: The outbox

  private mutating func publish(_ message: QueueMessage, to exchange: String, _ key: String) async throws(DatabaseError)
  {
    var properties = message.properties
    properties.carry(trace)
    try await publish(properties, message.body.bytes, to: exchange, key)
  }

  private mutating func publish(
    _ properties: AMQPProperties, _ body: [UInt8], to exchange: String, _ key: String
  ) async throws(DatabaseError) {
    try await add(.publish, to: exchange, key, properties.bytes, body)
  }

  private mutating func add(_ kind: OutboxRow.Kind, _ queues: [String]) async throws(DatabaseError) {
    for queue in queues { try await add(kind, to: QueueNames.supervisorExchange, queue) }
  }

  private mutating func add(
    _ kind: OutboxRow.Kind, to exchange: String, _ key: String, _ properties: [UInt8] = [], _ body: [UInt8] = []
  ) async throws(DatabaseError) {
    // After every row of the commits before, also when those rows are gone.
    let position = commit * ManagerCommit.maximumRows + Int64(outcome.outbox.count)
    let row = OutboxRow(
      position: position, kind: kind, exchange: exchange, routingKey: key, properties: properties, body: body)
    try await tables.outbox.add(row)
    outcome.outbox.append(row)
  }

  private mutating func answer(_ recipient: ManagerEffect.Answer?, _ value: JSONValue) async throws(DatabaseError) {
    switch recipient?.destination {
    case nil: break
    case .caller(let caller)?: outcome.answers.append((caller, value))
    case .queue(let queue, let correlationID)?:
      var properties = AMQPProperties()
      properties.contentType = "application/json"
      properties.correlationID = correlationID
      properties.type = AMQPText(recipient!.type)
      properties.carry(trace)
      try await publish(properties, value.bytes, to: "", queue)
    }
  }

  // MARK: Messages to supervisors

  private mutating func forward(_ message: SessionMessage, to session: SupervisorID) async throws(DatabaseError)
    -> JSONValue
  {
    if try await tables.transcripts.position(of: message.id, in: session) != nil { return ManagerState.success }
    switch try await tables.forwarded.add(message, for: session, total: &forwarded) {
    case .added: try await send(message, to: session)
    case .known: break
    case .refused(let reason):
      outcome.refused.append((message.sender, reason))
      return ManagerState.failure(reason)
    }
    return ManagerState.success
  }

  private mutating func send(_ message: SessionMessage, to session: SupervisorID) async throws(DatabaseError) {
    let message = QueueMessage(
      "USER_MESSAGE",
      ["USER_ID": message.sender.json, "MESSAGE_ID": .string(message.id.text), "MESSAGE": message.text])
    try await publish(message, to: QueueNames.supervisorExchange, QueueNames.fromManager(to: session))
  }

  /// Sends everything of a sender that is not in the transcript again, in order, once in a commit.
  private mutating func resend(from sender: UserID, in session: SupervisorID) async throws(DatabaseError) {
    guard resent.insert(Sender(session: session, id: sender)).inserted else { return }
    let waiting = try await tables.forwarded.messages(of: session, from: sender)
    for message in waiting { try await send(message, to: session) }
    guard waiting.isEmpty, sender == .customer,
      let customer = try await tables.customer(of: session, status: .running)
    else { return }
    // The Customer Server keeps the customer's messages, and sends them again when it gets this.
    let message = QueueMessage(
      "SESSION_RUNNING", ["EMAIL": .string(customer.text), "SESSION_SUPERVISOR_ID": .string(session.text)])
    try await publish(message, to: QueueNames.customerExchange, QueueNames.toCustomerServer)
  }

  // MARK: The transcript

  /// Gives a message its place in the transcript, once, and sends it to the customer.
  private mutating func append(_ message: SessionMessage, to session: SupervisorID) async throws(DatabaseError)
    -> JSONValue
  {
    if let known = try await tables.transcripts.position(of: message.id, in: session) {
      return Self.appended(message, at: known)
    }
    var isEarly = try await tables.forwarded.hasEarlier(than: message.id, of: session)
    if let previous = message.previous, try await tables.transcripts.position(of: previous, in: session) == nil {
      isEarly = true
    }
    if isEarly {
      try await resend(from: message.sender, in: session)
      return ManagerState.failure("out of order")
    }
    let position = try await tables.transcripts.lastPosition(in: session).next
    try await tables.transcripts.add(message, at: position, in: session)
    try await tables.forwarded.delete(message.id, of: session)
    if let customer = try await tables.customer(of: session) {
      var news = QueueMessage(
        "SESSION_MESSAGE",
        [
          "EMAIL": .string(customer.text), "SESSION_SUPERVISOR_ID": .string(session.text), "SEQ": position.json,
          "FROM": message.sender.json, "MESSAGE": message.text, "MESSAGE_ID": .string(message.id.text),
        ])
      news.supervisor = session
      try await publish(news, to: QueueNames.customerExchange, QueueNames.toCustomerServer)
    }
    return Self.appended(message, at: position)
  }

  private static func appended(_ message: SessionMessage, at position: TranscriptPosition) -> JSONValue {
    [
      "STATUS": "SUCCESS", "SEQ": position.json, "MESSAGE_ID": .string(message.id.text),
      "FROM": message.sender.json, "MESSAGE": message.text,
    ]
  }

  // MARK: Messages to users

  /// Passes a supervisor's message on to a user, each SEQ once and in order.
  ///
  /// First passes on what the supervisor skipped: a stale host took the answer with that message,
  /// and the supervisor gets it too late.
  private mutating func tell(
    _ message: JSONValue, to user: UserID, in session: SupervisorID
  ) async throws(DatabaseError) {
    // A transcript counts from 1. A foreign supervisor may use SEQ for something else.
    if let position = message["SEQ"]?.int.map(TranscriptPosition.init), position > .start {
      let last = try await tables.transcripts.relayedPosition(to: user, in: session)
      guard last < position else { return }
      if last.next < position { try await relay(last.next..<position, to: user, in: session) }
      try await tables.transcripts.setRelayedPosition(position, to: user, in: session)
    }
    try await pass(message, to: user)
  }

  /// Passes on what the last supervisor of a session did not.
  private mutating func relayAll(in session: SupervisorID, to users: [UserID]) async throws(DatabaseError) {
    let last = try await tables.transcripts.lastPosition(in: session)
    for user in users {
      let relayed = try await tables.transcripts.relayedPosition(to: user, in: session)
      guard relayed < last else { continue }
      try await relay(relayed.next..<last.next, to: user, in: session)
      try await tables.transcripts.setRelayedPosition(last, to: user, in: session)
    }
  }

  private mutating func relay(
    _ positions: Range<TranscriptPosition>, to user: UserID, in session: SupervisorID
  ) async throws(DatabaseError) {
    for message in try await tables.transcripts.messages(in: session, positions, notFrom: user) {
      try await pass(message, to: user)
    }
  }

  private mutating func pass(_ message: JSONValue, to user: UserID) async throws(DatabaseError) {
    let message = QueueMessage("SEND_MESSAGE_TO_USER", ["USER_ID": user.json, "MESSAGE_FOR_USER": message])
    try await publish(message, to: QueueNames.communicationExchange, QueueNames.toUserServer)
  }
}
