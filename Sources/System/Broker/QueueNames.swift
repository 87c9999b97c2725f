/// The exchanges and queues of contract section 4, and the shape of what goes through them: where services meet.
public enum QueueNames {
  static let managerExchange = "USER_MANAGER_EXCHANGE"
  static let supervisorExchange = "SESSION_SUPERVISOR_EXCHANGE"
  static let communicationExchange = "COMMUNICATION_INTERFACE_EXCHANGE"
  static let customerExchange = "CUSTOMER_SERVER_EXCHANGE"

  static let fromUserServer = "UME_USER_SERVER"
  static let fromCustomerServer = "UME_CUSTOMER_SERVER"
  static let fromSupervisors = "UME_SESSION_SUPERVISOR"
  static let hosts = "SSE_HOSTS"
  static let toUserServer = "CIE_USER_MANAGER"
  static let toCustomerServer = "CSE_USER_MANAGER"
  static let deadLetters = "PARLEY_DEAD_LETTER"

  static func fromManager(to supervisor: SupervisorID) -> String { "SSE_\(supervisor.text)_UM" }
  /// Where a host of supervisors hears whether a session is its own: until then it takes nothing from the session's queues.
  static func answers(to host: String) -> String { "SSE_HOST_\(host)" }
  static func fromCustomer(to supervisor: SupervisorID) -> String { "SSE_\(supervisor.text)_CA" }
  /// The queues of a session.
  static func queues(of supervisor: SupervisorID) -> [String] {
    [fromManager(to: supervisor), fromCustomer(to: supervisor)]
  }

  /// All that stands from the beginning.
  static let declarations: [AMQPDeclaration] = [
    .exchange(managerExchange), .exchange(supervisorExchange), .exchange(communicationExchange),
    .exchange(customerExchange), .queue(fromUserServer, exchange: managerExchange),
    .queue(fromCustomerServer, exchange: managerExchange), .queue(fromSupervisors, exchange: managerExchange),
    .queue(hosts, exchange: supervisorExchange), .queue(toUserServer, exchange: communicationExchange),
    .queue(toCustomerServer, exchange: customerExchange), .queue(deadLetters, exchange: ""),
  ]
}

/// A Session Supervisor, and so the session that it runs.
public struct SupervisorID: Hashable, Comparable, Sendable {
  /// The name: 1 to 64 letters, digits, `_` and `-`.
  public let text: String

  /// The supervisor of this name, or nil when no supervisor can be called so.
  public init?(_ text: String) {
    let isGood = text.utf8.allSatisfy {
      $0.isDigit || $0.isLetter || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
    }
    guard isGood, (1...64).contains(text.utf8.count) else { return nil }
    self.text = text
  }

  /// By name.
  public static func < (a: SupervisorID, b: SupervisorID) -> Bool { a.text < b.text }
}

/// What goes through a queue: `{"TYPE", "DATA"}`, with the headers that say who sends it.
struct QueueMessage: Sendable {
  var type: String
  var data: JSONValue
  /// `SESSION_SUPERVISOR_ID` and `SESSION_EPOCH`.
  var supervisor: SupervisorID?
  var epoch: Int64?
  /// Where the answer goes, and what it repeats.
  var replyTo: String?
  var correlationID: String?
  /// The same id means the same message.
  var id: String?

  init(_ type: String, _ data: JSONValue = .object([])) {
    self.type = type
    self.data = data
  }

  var body: JSONValue { ["TYPE": .string(type), "DATA": data] }

  /// Why bytes are none of ours.
  struct Malformed: Error {
    let reason: String
  }

  /// Reads a delivery: JSON, or with `DATA_FORMAT: BYTES` a binary property list.
  init(_ delivery: AMQPDelivery) throws(Malformed) {
    let headers = delivery.properties.headers ?? AMQPTable()
    let value = try Self.value(delivery.body, format: headers["DATA_FORMAT"]?.text ?? "JSON")
    try self.init(value)
    if let name = headers["SESSION_SUPERVISOR_ID"] {
      let text = name.text ?? name.int.map { "\($0)" } ?? ""
      guard let id = SupervisorID(text) else {
        throw Malformed(reason: "SESSION_SUPERVISOR_ID: is no name of a supervisor")
      }
      supervisor = id
    }
    if let value = headers["SESSION_EPOCH"] {
      guard let number = value.int ?? value.text.flatMap({ Int64($0) }) else {
        throw Malformed(reason: "SESSION_EPOCH: is no number")
      }
      epoch = number
    }
    replyTo = delivery.properties.replyTo
    correlationID = delivery.properties.correlationID
    id = delivery.properties.messageID
  }

  init(_ value: JSONValue) throws(Malformed) {
    guard let type = value["TYPE"]?.string else { throw Malformed(reason: "TYPE: missing, or not a string") }
    self.init(type, value["DATA"] ?? .object([]))
  }

  static func value(_ bytes: [UInt8], format: String) throws(Malformed) -> JSONValue {
    switch format {
    case "JSON":
      do throws(JSONError) { return try JSONParser.parse(bytes) } catch {
        throw Malformed(reason: "not JSON: \(error)")
      }
    case "BYTES":
      do throws(PropertyList.Failure) {
        return try PropertyList.parse(bytes)
      } catch {
        throw Malformed(reason: "not a binary property list: \(error.reason)")
      }
    default: throw Malformed(reason: "DATA_FORMAT: must be JSON or BYTES")
    }
  }

  /// The message as it goes to an exchange.
  func sent(to exchange: String, _ routingKey: String) -> AMQPMessage {
    AMQPMessage(exchange: exchange, routingKey: routingKey, properties: properties, body: body.bytes)
  }

  /// The properties under which it is published.
  var properties: AMQPProperties {
    var properties = AMQPProperties()
    properties.contentType = "application/json"
    properties.messageID = id
    properties.replyTo = replyTo
    properties.correlationID = correlationID
    var headers: AMQPTable = ["DATA_FORMAT": .text("JSON")]
    if let supervisor { headers["SESSION_SUPERVISOR_ID"] = .text(supervisor.text) }
    if let epoch { headers["SESSION_EPOCH"] = .int64(epoch) }
    properties.headers = headers
    return properties
  }
}

extension AMQPDelivery {
  /// What cannot be read, on its way to where people look at it: with the reason, and the queue it came from.
  func deadLetter(from queue: String, because reason: String, _ log: Log) -> AMQPMessage {
    log.warning("dead-letter", ["queue": .string(queue), "reason": .string(reason)])
    var properties = properties
    var headers = properties.headers ?? AMQPTable()
    headers["PARLEY_REASON"] = .text(reason)
    headers["PARLEY_QUEUE"] = .text(queue)
    properties.headers = headers
    return AMQPMessage(exchange: "", routingKey: QueueNames.deadLetters, properties: properties, body: body)
  }
}
