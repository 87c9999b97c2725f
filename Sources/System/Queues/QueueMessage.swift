import Environment

/// A message of the services' queues (contract section 4): the body `{"TYPE", "DATA"}`, and headers
/// that name the sender.
struct QueueMessage: Sendable {
  /// At most 255 bytes.
  var type: String
  var data: JSONValue
  /// The headers `SESSION_SUPERVISOR_ID` and `SESSION_EPOCH`.
  var supervisor: SupervisorID?
  var epoch: Epoch?
  /// The queue for the answer, and the id that the answer repeats. Never empty.
  var replyTo: String?
  var correlationID: AMQPText?
  /// Messages with the same id are the same message.
  var id: String?
  /// The request that the message belongs to.
  var trace: RequestTrace?

  init(_ type: String, _ data: JSONValue = .object([])) {
    self.type = type
    self.data = data
    trace = RequestTrace.current
  }

  var body: JSONValue { ["TYPE": .string(type), "DATA": data] }

  /// The reason why a message cannot be read.
  struct Malformed: Error {
    /// At most 512 bytes and an ellipsis.
    let reason: String

    init(reason: String) { self.reason = reason.shortened(toBytes: 512) }
  }

  /// Parses a delivery: JSON, or with `DATA_FORMAT: BYTES` a binary property list.
  init(_ delivery: AMQPDelivery, depth: Int = JSONParser.innerDepth) throws(Malformed) {
    try self.init(delivery, try delivery.value(depth: depth))
  }

  /// Reads a delivery whose body has been parsed.
  init(_ delivery: AMQPDelivery, _ value: JSONValue) throws(Malformed) {
    try self.init(value)
    if let name = delivery.properties.headers?["SESSION_SUPERVISOR_ID"] {
      guard let id = SupervisorID(name.text ?? name.int.map { "\($0)" } ?? "") else {
        throw Malformed(reason: "SESSION_SUPERVISOR_ID: not a name of a supervisor")
      }
      supervisor = id
    }
    if let value = delivery.properties.headers?["SESSION_EPOCH"] {
      guard let number = value.int ?? value.text.flatMap({ Int64($0) }) else {
        throw Malformed(reason: "SESSION_EPOCH: must be an integer")
      }
      epoch = Epoch(number)
    }
    replyTo = delivery.replyTo
    correlationID = delivery.properties.correlationID
    id = delivery.properties.messageID?.text
    trace = delivery.trace
  }

  init(_ value: JSONValue) throws(Malformed) {
    guard let type = value["TYPE"]?.string, type.utf8.count <= ClientBounds.identifier else {
      throw Malformed(reason: "TYPE: missing, or not a string of at most \(ClientBounds.identifier) bytes")
    }
    self.init(type, value["DATA"] ?? .object([]))
  }

  /// The message for an exchange.
  func sent(to exchange: String, _ routingKey: String) -> AMQPMessage {
    AMQPMessage(exchange: exchange, routingKey: routingKey, properties: properties, body: body.bytes)
  }

  /// The properties of the published message.
  var properties: AMQPProperties {
    var properties = AMQPProperties()
    properties.contentType = "application/json"
    properties.messageID = id.map { AMQPText($0) }
    properties.replyTo = replyTo.map { AMQPText($0) }
    properties.correlationID = correlationID
    var headers: AMQPTable = ["DATA_FORMAT": .text("JSON")]
    if let supervisor { headers["SESSION_SUPERVISOR_ID"] = .text(supervisor.text) }
    if let epoch { headers["SESSION_EPOCH"] = .int64(epoch.number) }
    properties.headers = headers
    properties.carry(trace)
    return properties
  }

  /// A message id for a text: the text itself if it has at most 255 bytes, else its hash.
  static func id(_ text: String) -> String {
    guard text.utf8.count > ClientBounds.identifier else { return text }
    return "sha256/" + Hex.encode(Cryptography.sha256(Array(text.utf8)))
  }

  // MARK: Fields

  static func messageID(_ data: JSONValue, _ name: String = "MESSAGE_ID") throws(Malformed) -> SessionMessageID {
    guard let id = data[name]?.string.flatMap({ SessionMessageID($0) }) else { throw notAnIdentifier(name) }
    return id
  }

  static func requestID(_ data: JSONValue, _ name: String = "REQUEST") throws(Malformed) -> RequestID {
    guard let id = data[name]?.string.flatMap({ RequestID($0) }) else { throw notAnIdentifier(name) }
    return id
  }

  private static func notAnIdentifier(_ name: String) -> Malformed {
    Malformed(reason: "\(name): missing, or not a string of 1 to \(ClientBounds.identifier) bytes")
  }

  static func email(_ data: JSONValue) throws(Malformed) -> CustomerEmail {
    guard let email = data["EMAIL"]?.string.flatMap({ CustomerEmail($0) }) else {
      throw Malformed(
        reason: "EMAIL: missing, or not a string of 3 to \(ClientBounds.identifier) bytes with an @")
    }
    return email
  }

  static func user(_ data: JSONValue, _ name: String = "USER_ID") throws(Malformed) -> UserID {
    guard let id = UserID(data[name]) else {
      throw Malformed(
        reason: "\(name): missing, or neither an integer nor a string of at most \(ClientBounds.identifier) bytes")
    }
    return id
  }

  static func users(_ data: JSONValue) throws(Malformed) -> [UserID] {
    guard let list = data["LIST_USER_ID"]?.array else {
      throw Malformed(reason: "LIST_USER_ID: missing, or not an array")
    }
    let users = list.compactMap { UserID($0) }
    guard users.count == list.count else {
      throw Malformed(
        reason: "LIST_USER_ID: an id is neither an integer nor a string of at most \(ClientBounds.identifier) bytes")
    }
    return users
  }

  static func count(_ data: JSONValue, in place: String = "") throws(Malformed) -> UserCount {
    guard let count = UserCount(data["USER_COUNT"]) else {
      throw Malformed(reason: "\(place)USER_COUNT: must be 1 to \(ClientBounds.users) or \"ALL\"")
    }
    return count
  }

  static func supervisor(_ data: JSONValue) throws(Malformed) -> SupervisorID {
    guard let id = data["SESSION_SUPERVISOR_ID"]?.string.flatMap({ SupervisorID($0) }) else {
      throw Malformed(reason: "SESSION_SUPERVISOR_ID: missing, or not a name of a supervisor")
    }
    return id
  }

  static func value(_ data: JSONValue, _ name: String) throws(Malformed) -> JSONValue {
    guard let value = data[name] else { throw Malformed(reason: "\(name): missing") }
    return value
  }
}

extension AMQPProperties {
  /// Adds the headers of a request's trace.
  mutating func carry(_ trace: RequestTrace?) {
    guard let trace else { return }
    var headers = headers ?? AMQPTable()
    for field in trace.fields { headers[field.name] = .text(field.value) }
    self.headers = headers
  }
}

extension AMQPDelivery {
  /// The trace in the headers; nil without a valid one.
  var trace: RequestTrace? {
    guard let headers = properties.headers, let parent = headers[TraceContext.parent]?.text else { return nil }
    return TraceContext(
      parents: [parent], states: headers[TraceContext.state]?.text.map { [$0] } ?? [],
      requestID: headers[TraceContext.requestID]?.text
    ).sent
  }

  /// The trace of a service that handles the delivery: the next span of the sender's trace, if
  /// there is one.
  func nextTrace(from identifiers: any Entropy) -> RequestTrace? { trace?.nextSpan(from: identifiers) }

  /// The queue for the answer. A `reply_to` that is empty or not UTF-8 asks for no answer, since no
  /// queue has that name.
  var replyTo: String? { properties.replyTo?.text.flatMap { $0.isEmpty ? nil : $0 } }

  /// Parses the body, in the format that the headers name.
  func value(depth: Int = JSONParser.innerDepth) throws(QueueMessage.Malformed) -> JSONValue {
    let format = properties.headers?["DATA_FORMAT"].map { $0.text ?? "" } ?? "JSON"
    if format.hasSameBytes(as: "JSON") {
      do throws(JSONError) { return try JSONParser.parse(body, depth: depth) } catch {
        throw QueueMessage.Malformed(reason: "not JSON: \(error)")
      }
    }
    guard format.hasSameBytes(as: "BYTES") else {
      throw QueueMessage.Malformed(reason: "DATA_FORMAT: must be JSON or BYTES")
    }
    do throws(PropertyList.Failure) { return try PropertyList.parse(body, depth: depth) } catch {
      throw QueueMessage.Malformed(reason: "not a binary property list: \(error.reason)")
    }
  }
}
