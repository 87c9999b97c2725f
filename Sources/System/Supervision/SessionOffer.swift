import Environment

/// A `START_SUPERVISOR`: the manager offers a session to any host.
struct SessionOffer: Sendable {
  let session: SupervisorID
  let epoch: Epoch
  /// The `DATA` of the customer's request.
  let data: JSONValue
  /// The request that brought the offer.
  var trace: RequestTrace?

  init(session: SupervisorID, epoch: Epoch, data: JSONValue) {
    self.session = session
    self.epoch = epoch
    self.data = data
  }

  /// Parses a message.
  /// - Throws: `QueueMessage.Malformed` for a message that belongs in the dead-letter queue.
  init(_ message: QueueMessage) throws(QueueMessage.Malformed) {
    try message.check(against: QueueMessages.supervisor, queue: QueueNames.hosts)
    guard let epoch = message.data["EPOCH"]?.int, (0...ClientBounds.counter).contains(epoch) else {
      throw .init(reason: "EPOCH: missing, or not an integer from 0 to \(ClientBounds.counter)")
    }
    session = try QueueMessage.supervisor(message.data)
    self.epoch = Epoch(epoch)
    data = message.data["SESSION_DATA"] ?? .object([])
    trace = message.trace
  }
}

/// A question of a supervisor to the manager. The correlation id of the answer carries it.
struct SupervisorQuestion: Sendable {
  enum Kind: String, Sendable {
    case initialize, users, append
  }

  let epoch: Epoch
  let kind: Kind
  /// The session, if the answer goes to the host's queue.
  let session: SupervisorID?
  /// The number of a question whether the host still has the session.
  let check: Int?

  init(_ kind: Kind, epoch: Epoch, session: SupervisorID? = nil, check: Int? = nil) {
    self.kind = kind
    self.epoch = epoch
    self.session = session
    self.check = check
  }

  /// Parses a correlation id; nil if it is not one of a supervisor.
  init?(_ correlationID: String) {
    let parts = correlationID.split(separator: "/").map(String.init)
    guard parts.count >= 2, let epoch = Int64(parts[0]), let kind = Kind(rawValue: parts[1]) else { return nil }
    self.init(
      kind, epoch: Epoch(epoch), session: parts.count > 2 ? SupervisorID(parts[2]) : nil,
      check: parts.count > 3 ? Int(parts[3]) : nil)
  }

  var correlationID: String {
    "\(epoch.number)/\(kind.rawValue)" + (session.map { "/\($0.text)" } ?? "") + (check.map { "/\($0)" } ?? "")
  }
}
