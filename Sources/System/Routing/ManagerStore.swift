/// What the outbox holds: a message, or a queue to make.
struct OutboxRow: Sendable {
  enum Kind: String, Sendable {
    case publish, declare, remove
  }

  let position: Int64
  let kind: Kind
  let exchange: String
  let routingKey: String
  let properties: [UInt8]
  let body: [UInt8]
}

/// What a commit leaves to do.
struct ManagerOutcome: Sendable {
  var outbox: [OutboxRow] = []
  /// Answers to those who asked over HTTP, by the number of their question.
  var answers: [(question: Int, value: JSONValue)] = []
  /// Whose messages were sent again in this commit.
  var resent: Set<String> = []
  /// What waits for supervisors, once it was counted.
  var forwarded: ForwardedTotal?
  /// Users whose messages were refused, and why.
  var refused: [(user: UserID, reason: String)] = []
}

/// One commit of the manager: effects and rows together.
struct ManagerCommit: Sendable {
  /// Message ids that are remembered, so that what comes twice is handled once.
  static let keptHandled: Int64 = 50_000
  /// Every so many commits, those that are too many are forgotten.
  private static let trimming: Int64 = 64
  /// More than a commit can add to the outbox.
  private static let rows: Int64 = 1 << 20
  /// Above it the places of its rows would be no numbers.
  static let maximumNumber = Int64.max / rows - 1

  /// Each commit has the number after that of the last one.
  let number: Int64
  var effects: [ManagerEffect] = []
  var users: [(UserID, UserPool.User)] = []
  var demands: [(Int64, UserPool.Demand?)] = []
  var sessions: [ManagedSession] = []
  var nextSession: Int64 = 1
  var handled: [String] = []

  /// Whether nothing happened that is to be remembered: hosts that live, and what had come before.
  var isEmpty: Bool { effects.isEmpty && users.isEmpty && demands.isEmpty && sessions.isEmpty && handled.isEmpty }

  /// Rows of the outbox that were published go, up to `published`. With `missedAfter`, the outcome has every row after that
  /// position, whoever wrote it.
  func run(on database: SQLConnection, forgetting published: Int64?, missedAfter: Int64?) throws(DatabaseError)
    -> ManagerOutcome
  {
    var outcome = ManagerOutcome()
    if let published { try database.forgetOutbox(through: published) }
    // A commit that seemed to have failed, and had not: its effects are there, and would be there twice.
    if try database.execute("UPDATE manager SET last_commit = $1 WHERE last_commit < $1", .int(number)) == 1 {
      try writeRows(database)
      for effect in effects { try perform(effect, database, &outcome) }
    }
    if let missedAfter { outcome.outbox = try database.outbox(after: missedAfter) }
    return outcome
  }

  private func writeRows(_ database: SQLConnection) throws(DatabaseError) {
    for (id, user) in users {
      let (place, supervisor) = user.place.columns
      try database.execute(
        """
        INSERT INTO pool_users (user_key, connection, place, supervisor, turn) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (user_key) DO UPDATE SET connection = $2, place = $3, supervisor = $4, turn = $5
        """, .text(id.key), .int(user.connection), .text(place), .text(supervisor), .int(user.turn))
    }
    for (id, demand) in demands {
      guard let demand else {
        try database.execute("DELETE FROM demands WHERE demand_id = $1", .int(id))
        continue
      }
      try database.execute(
        """
        INSERT INTO demands (demand_id, supervisor, user_count) VALUES ($1, $2, $3)
        ON CONFLICT (demand_id) DO UPDATE SET user_count = $3
        """, .int(id), .text(demand.supervisor.text), .int(Int64(demand.count)))
    }
    for session in sessions {
      try database.execute(
        """
        INSERT INTO sessions (supervisor, email, epoch, status, host, data, is_own, additional, request)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ON CONFLICT (supervisor) DO UPDATE SET epoch = $3, status = $4, host = $5, additional = $8, request = $9
        """, .text(session.id.text), .text(session.email?.text ?? ""), .int(session.epoch),
        .text(session.status.rawValue),
        .text(session.host), .text(session.data.text), .int(session.isOwn ? 1 : 0), .int(session.additional),
        .text(session.request))
    }
    if !sessions.isEmpty { try database.execute("UPDATE manager SET next_session = $1", .int(nextSession)) }
    for id in handled {
      try database.execute("INSERT INTO handled (message_id) VALUES ($1)", .text(id))
    }
    if !handled.isEmpty, number % Self.trimming == 0 {
      try database.execute(
        "DELETE FROM handled WHERE position <= (SELECT max(position) FROM handled) - $1", .int(Self.keptHandled))
    }
  }

  // MARK: Effects

  private func perform(
    _ effect: ManagerEffect, _ database: SQLConnection, _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    switch effect {
    case .send(let exchange, let key, let message):
      try publish(exchange, key, message.properties, message.body.bytes, database, &outcome)
    case .deadLetter(let letter):
      try publish(letter.exchange, letter.routingKey, letter.properties, letter.body, database, &outcome)
    case .forward(let user, let id, let message, let supervisor, let answer):
      let reply = try forward(user, id, message, supervisor, database, &outcome)
      try self.answer(answer, reply, database, &outcome)
    case .declare(let id): try make(.declare, id, database, &outcome)
    case .remove(let id): try make(.remove, id, database, &outcome)
    case .forget(let queue): try add(.remove, "", queue, [], [], database, &outcome)
    case .offer(let id):
      try make(.declare, id, database, &outcome)
      let waiting = try database.query(
        "SELECT user_key, message_id, message FROM forwarded WHERE supervisor = $1 ORDER BY position", .text(id.text),
        row: Self.forwarded)
      for (user, messageID, message) in waiting { try send(user, messageID, message, id, database, &outcome) }
    case .append(let id, let messageID, let from, let message, let previous, let answer):
      let reply = try append(id, messageID, from, message, previous, database, &outcome)
      try self.answer(answer, reply, database, &outcome)
    case .tell(let user, let message, let id, let answer):
      try tell(user, message, id, database, &outcome)
      try self.answer(answer, ManagerState.success, database, &outcome)
    case .join(let users, let id):
      let last = try database.lastSequence(id)
      for user in users { try database.noteRelayed(id, user, last) }
    case .brief(let id, let users, let demand, let additional, let answer):
      try self.answer(answer, try brief(id, users, demand, additional, database, &outcome), database, &outcome)
    case .answer(let answer, let value): try self.answer(answer, value, database, &outcome)
    case .resend(let id, let messageID, let from): try resend(id, messageID, from, database, &outcome)
    case .log: break
    }
  }

  private static func forwarded(_ row: SQLRow) -> (user: JSONValue, id: String, message: JSONValue) {
    (row.json(0), row.text(1), row.json(2))
  }

  private func publish(
    _ exchange: String, _ key: String, _ properties: AMQPProperties, _ body: [UInt8], _ database: SQLConnection,
    _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    try add(.publish, exchange, key, properties.bytes, body, database, &outcome)
  }

  private func make(
    _ kind: OutboxRow.Kind, _ id: SupervisorID, _ database: SQLConnection, _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    for queue in QueueNames.queues(of: id) {
      try add(kind, QueueNames.supervisorExchange, queue, [], [], database, &outcome)
    }
  }

  private func add(
    _ kind: OutboxRow.Kind, _ exchange: String, _ key: String, _ properties: [UInt8], _ body: [UInt8],
    _ database: SQLConnection, _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    // After every row of an earlier commit, also when those are gone.
    let position = number * Self.rows + Int64(outcome.outbox.count)
    try database.execute(
      """
      INSERT INTO outbox (position, kind, exchange, routing_key, properties, body) VALUES ($1, $2, $3, $4, $5, $6)
      """, .int(position), .text(kind.rawValue), .text(exchange), .text(key), .blob(properties), .blob(body))
    outcome.outbox.append(
      OutboxRow(
        position: position, kind: kind, exchange: exchange, routingKey: key, properties: properties, body: body))
  }

  private func answer(
    _ answer: ManagerEffect.Answer?, _ value: JSONValue, _ database: SQLConnection, _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    switch answer?.destination {
    case nil: break
    case .question(let number)?: outcome.answers.append((number, value))
    case .queue(let queue, let correlationID)?:
      var properties = AMQPProperties()
      properties.contentType = "application/json"
      properties.correlationID = correlationID
      properties.type = answer!.type
      try publish("", queue, properties, value.bytes, database, &outcome)
    }
  }

  // MARK: Messages

  private func forward(
    _ user: UserID, _ id: String, _ message: JSONValue, _ supervisor: SupervisorID, _ database: SQLConnection,
    _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) -> JSONValue {
    if try database.sequence(of: id, in: supervisor) != nil { return ManagerState.success }
    switch try database.keepForwarded(message, id: id, of: user, for: supervisor, total: &outcome.forwarded) {
    case .added: try send(user.json, id, message, supervisor, database, &outcome)
    case .known: break
    case .refused(let reason):
      outcome.refused.append((user, reason))
      return ManagerState.failure(reason)
    }
    return ManagerState.success
  }

  private func send(
    _ user: JSONValue, _ id: String, _ message: JSONValue, _ supervisor: SupervisorID, _ database: SQLConnection,
    _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    let message = QueueMessage("USER_MESSAGE", ["USER_ID": user, "MESSAGE_ID": .string(id), "MESSAGE": message])
    try publish(
      QueueNames.supervisorExchange, QueueNames.fromManager(to: supervisor), message.properties, message.body.bytes,
      database, &outcome)
  }

  /// Gives a message its place in the transcript, once; the customer hears of it in the same commit.
  private func append(
    _ id: SupervisorID, _ messageID: String, _ from: JSONValue, _ message: JSONValue, _ previous: String?,
    _ database: SQLConnection, _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) -> JSONValue {
    func reply(_ sequence: Int64) -> JSONValue {
      [
        "STATUS": "SUCCESS", "SEQ": .int(sequence), "MESSAGE_ID": .string(messageID), "FROM": from, "MESSAGE": message,
      ]
    }
    if let known = try database.sequence(of: messageID, in: id) { return reply(known) }
    var isEarly = try database.hasEarlier(messageID, in: id)
    if let previous, try database.sequence(of: previous, in: id) == nil { isEarly = true }
    if isEarly {
      try resend(id, messageID, from, database, &outcome)
      return ManagerState.failure("out of order")
    }
    let sequence = try database.lastSequence(id) + 1
    try database.execute(
      "INSERT INTO transcripts (supervisor, seq, message_id, sender, message) VALUES ($1, $2, $3, $4, $5)",
      .text(id.text), .int(sequence), .text(messageID), .text(from.text), .text(message.text))
    try database.execute(
      "DELETE FROM forwarded WHERE supervisor = $1 AND message_id = $2", .text(id.text), .text(messageID))
    if let email = try database.customer(of: id) {
      var message = QueueMessage(
        "SESSION_MESSAGE",
        [
          "EMAIL": .string(email.text), "SESSION_SUPERVISOR_ID": .string(id.text), "SEQ": .int(sequence), "FROM": from,
          "MESSAGE": message, "MESSAGE_ID": .string(messageID),
        ])
      message.supervisor = id
      try publish(
        QueueNames.customerExchange, QueueNames.toCustomerServer, message.properties, message.body.bytes, database,
        &outcome)
    }
    return reply(sequence)
  }

  /// Has everything of a sender that is not in the transcript sent again, in its order: once in a commit.
  private func resend(
    _ id: SupervisorID, _ messageID: String, _ from: JSONValue, _ database: SQLConnection,
    _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    guard outcome.resent.insert("\(id.text)/\(from.text)").inserted else { return }
    let waiting = try database.query(
      "SELECT user_key, message_id, message FROM forwarded WHERE supervisor = $1 AND user_key = $2 ORDER BY position",
      .text(id.text), .text(from.text), row: Self.forwarded)
    for (user, messageID, message) in waiting { try send(user, messageID, message, id, database, &outcome) }
    guard waiting.isEmpty, from == "CUSTOMER" else { return }
    guard let email = try database.customer(of: id, status: .running) else { return }
    // The customer's agent keeps what is not in the transcript, and sends it again when it hears this.
    let message = QueueMessage(
      "SESSION_RUNNING", ["EMAIL": .string(email.text), "SESSION_SUPERVISOR_ID": .string(id.text)])
    try publish(
      QueueNames.customerExchange, QueueNames.toCustomerServer, message.properties, message.body.bytes, database,
      &outcome)
  }

  /// Passes on what a supervisor says to a user, each place of the transcript once and in order. What it skips is passed on before: a stale
  /// host had the answer, and the supervisor gets it when it has been put back, which is too late.
  private func tell(
    _ user: UserID, _ message: JSONValue, _ id: SupervisorID, _ database: SQLConnection, _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    // Places of a transcript count from 1; a foreign supervisor may mean something else by SEQ.
    if let sequence = message["SEQ"]?.int, sequence > 0 {
      let last = try database.relayed(id, user)
      guard last < sequence else { return }
      if last + 1 < sequence { try relay(id, to: user, last + 1..<sequence, database, &outcome) }
      try database.noteRelayed(id, user, sequence)
    }
    try pass(message, to: user, database, &outcome)
  }

  /// Passes on what others have at these places of the transcript. What a foreign supervisor keeps to itself stays with it.
  private func relay(
    _ id: SupervisorID, to user: UserID, _ places: Range<Int64>, _ database: SQLConnection,
    _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    let unheard = try database.query(
      """
      SELECT seq, sender, message FROM transcripts JOIN sessions USING (supervisor)
      WHERE supervisor = $1 AND is_own = 1 AND seq >= $2 AND seq < $3 AND sender <> $4 ORDER BY seq
      """, .text(id.text), .int(places.lowerBound), .int(places.upperBound), .text(user.key)
    ) { row in
      ["SEQ": .int(row.int(0)), "FROM": row.json(1), "MESSAGE": row.json(2)] as JSONValue
    }
    for message in unheard { try pass(message, to: user, database, &outcome) }
  }

  private func pass(
    _ message: JSONValue, to user: UserID, _ database: SQLConnection, _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) {
    let message = QueueMessage("SEND_MESSAGE_TO_USER", ["USER_ID": user.json, "MESSAGE_FOR_USER": message])
    try publish(
      QueueNames.communicationExchange, QueueNames.toUserServer, message.properties, message.body.bytes, database,
      &outcome)
  }

  /// Where a session stands: its users, and what is still wanted. What the supervisor before this one had not passed on is passed on.
  private func brief(
    _ id: SupervisorID, _ users: [UserID], _ demand: Int, _ additional: Int64, _ database: SQLConnection,
    _ outcome: inout ManagerOutcome
  ) throws(DatabaseError) -> JSONValue {
    let last = try database.lastSequence(id)
    for user in users {
      let heard = try database.relayed(id, user)
      guard heard < last else { continue }
      try relay(id, to: user, heard + 1..<last + 1, database, &outcome)
      try database.noteRelayed(id, user, last)
    }
    return [
      "STATUS": "SUCCESS", "LIST_USER_ID": .array(users.map(\.json)), "DEMAND": .int(Int64(demand)),
      "ADDITIONAL": .int(additional),
    ]
  }
}

extension UserPool.Place {
  fileprivate var columns: (place: String, supervisor: String) {
    switch self {
    case .offline: ("offline", "")
    case .free: ("free", "")
    case .serving(let id): ("serving", id.text)
    }
  }
}

extension SQLConnection {
  /// The customer of a session that the manager started; with `status` only while the session has it.
  fileprivate func customer(
    of id: SupervisorID, status: ManagedSession.Status? = nil
  ) throws(DatabaseError) -> CustomerEmail? {
    let found = try first("SELECT email, status FROM sessions WHERE supervisor = $1", .text(id.text)) {
      (email: $0.text(0), status: $0.text(1))
    }
    guard let found, status == nil || found.status == status?.rawValue else { return nil }
    return CustomerEmail(found.email)
  }

  fileprivate func lastSequence(_ id: SupervisorID) throws(DatabaseError) -> Int64 {
    try first(
      "SELECT max(seq) FROM transcripts WHERE supervisor = $1 AND seq < $2", .text(id.text), .int(ClientBounds.counter)
    ) { $0.int(0) } ?? 0
  }

  fileprivate func sequence(of messageID: String, in id: SupervisorID) throws(DatabaseError) -> Int64? {
    try first(
      "SELECT seq FROM transcripts WHERE supervisor = $1 AND message_id = $2", .text(id.text), .text(messageID)
    ) { $0.int(0) }
  }

  /// Whether a message of the same user that was forwarded before is not in the transcript yet.
  fileprivate func hasEarlier(_ messageID: String, in id: SupervisorID) throws(DatabaseError) -> Bool {
    try first(
      """
      SELECT 1 FROM forwarded f JOIN forwarded e ON e.supervisor = f.supervisor AND e.user_key = f.user_key
      WHERE f.supervisor = $1 AND f.message_id = $2 AND e.position < f.position
      """, .text(id.text), .text(messageID)
    ) { $0.int(0) } != nil
  }

  fileprivate func relayed(_ id: SupervisorID, _ user: UserID) throws(DatabaseError) -> Int64 {
    try first(
      "SELECT last_seq FROM relayed WHERE supervisor = $1 AND user_key = $2", .text(id.text), .text(user.key)
    ) { $0.int(0) } ?? 0
  }

  fileprivate func noteRelayed(_ id: SupervisorID, _ user: UserID, _ sequence: Int64) throws(DatabaseError) {
    try execute(
      """
      INSERT INTO relayed (supervisor, user_key, last_seq) VALUES ($1, $2, $3)
      ON CONFLICT (supervisor, user_key) DO UPDATE SET last_seq = $3
      """, .text(id.text), .text(user.key), .int(sequence))
  }
}
