import Environment

/// A customer's supervised session, or the request for one.
struct CustomerSession: Sendable {
  enum Status: String, Sendable {
    case pending = "PENDING"
    /// The customer waits for a supervisor.
    case initializing = "INITIALIZING"
    case running = "RUNNING"
  }

  let email: CustomerEmail
  let status: Status
  let token: SessionToken
  /// The `DATA` of the request, for the supervisor.
  let data: JSONValue
  let requestedAt: Timestamp
  let supervisor: SupervisorID?
  /// The last request for a supervisor.
  let request: RequestID?

  /// Whether a supervisor can be asked for. A commit that seems to fail may have stored a request
  /// that nobody made after all, or not stored that it was given up. Such a request is not
  /// `underWay`, and another takes its place.
  func mayInitialize(underWay: Set<RequestID>) -> Bool {
    switch status {
    case .pending: true
    case .initializing: request.map { !underWay.contains($0) } ?? true
    case .running: false
    }
  }
}

/// The token of a customer's session. Requests show it.
struct SessionToken: Sendable {
  let text: String

  /// A token that was stored or shown.
  init(_ text: String) { self.text = text }

  /// A new token, of 256 random bits.
  init(from entropy: any Entropy) { text = Hex.encode(entropy.bytes(32)) }

  /// Compares in a time that does not depend on where two tokens of one length differ.
  func matches(_ other: SessionToken) -> Bool {
    Cryptography.constantTimeEqual(text.utf8, other.text.utf8)
  }
}

/// A message of a customer that is not in the transcript. Each names the one before, so that the
/// transcript keeps their order.
struct UnheardMessage: Sendable {
  let id: SessionMessageID
  let previous: SessionMessageID?
  let text: JSONValue

  /// The customer's message of this number in a session, counted from 1.
  init(number: Int64, in session: SupervisorID, _ text: JSONValue) {
    id = Self.id(number, session)
    previous = number > 1 ? Self.id(number - 1, session) : nil
    self.text = text
  }

  private static func id(_ number: Int64, _ session: SupervisorID) -> SessionMessageID {
    // At most 64 bytes of the supervisor's name and 20 of the number.
    SessionMessageID("customer/\(session.text)/\(number)")!
  }

  /// The message on its way to the session's supervisor, as a part of the request `trace`.
  func message(to session: SupervisorID, of trace: RequestTrace?) -> AMQPMessage {
    var members: [JSONValue.Member] = [.init("MESSAGE_ID", .string(id.text)), .init("MESSAGE", text)]
    if let previous { members.append(.init("PREVIOUS", .string(previous.text))) }
    var message = QueueMessage("CUSTOMER_MESSAGE", .object(members))
    message.trace = trace
    return message.sent(to: QueueNames.supervisorExchange, QueueNames.fromCustomer(to: session))
  }
}
