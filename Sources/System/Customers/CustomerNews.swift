import Environment

/// News from the manager: a session runs, has a new message, or has ended.
enum CustomerNews: Sendable {
  /// A supervisor runs the customer's session. `request` is nil if the session ran before.
  case running(CustomerEmail, SupervisorID, RequestID?, RequestTrace?)
  case message(SupervisorID, TranscriptEntry)
  case ended(SupervisorID)
  /// The manager has removed the session.
  case erased(SupervisorID)

  /// Parses a message.
  /// - Throws: `QueueMessage.Malformed` for a message that belongs in the dead-letter queue.
  init(_ message: QueueMessage) throws(QueueMessage.Malformed) {
    try message.check(against: QueueMessages.customerAgent, queue: QueueNames.toCustomerServer)
    let data = message.data
    let session: SupervisorID
    if data["SESSION_SUPERVISOR_ID"] == nil, let sender = message.supervisor {
      session = sender
    } else {
      session = try QueueMessage.supervisor(data)
    }
    switch message.type {
    case "SESSION_RUNNING":
      self = .running(
        try QueueMessage.email(data), session, message.correlationID?.text.flatMap { RequestID($0) }, message.trace)
    case "SESSION_MESSAGE":
      guard let sequence = data["SEQ"]?.int, (1...ClientBounds.counter).contains(sequence) else {
        throw .init(reason: "SEQ: missing, or not an integer from 1 to \(ClientBounds.counter)")
      }
      let entry = TranscriptEntry(
        position: TranscriptPosition(sequence), sender: try QueueMessage.user(data, "FROM"),
        text: try QueueMessage.value(data, "MESSAGE"),
        id: data["MESSAGE_ID"] == nil ? nil : try QueueMessage.messageID(data))
      self = .message(session, entry)
    case "SESSION_ENDED": self = .ended(session)
    case "SESSION_ERASED": self = .erased(session)
    default:
      throw .init(reason: "TYPE: \"\(message.type.shortened(toBytes: 64))\" is not known to the Customer Server")
    }
  }

  /// The actions to take once news is stored.
  struct Outcome: Sendable {
    /// Messages to send to supervisors.
    var messages: [AMQPMessage] = []
    /// The requests whose sessions run.
    var served: [RequestID] = []
    /// The sessions whose transcripts are to be removed.
    var erased: [SupervisorID] = []
  }

  static func store(_ news: [CustomerNews], in tables: CustomerTables) async throws(DatabaseError) -> Outcome {
    var outcome = Outcome()
    for item in news {
      switch item {
      case .running(let email, let session, let request, let trace):
        guard let unheard = try await tables.run(email, session, request) else { continue }
        if let request { outcome.served.append(request) }
        outcome.messages += unheard.map { $0.message(to: session, of: trace) }
      case .message(let session, let entry): try await tables.add(entry, to: session)
      case .ended(let session): try await tables.end(session)
      case .erased(let session):
        try await tables.end(session)
        outcome.erased.append(session)
      }
    }
    return outcome
  }
}
