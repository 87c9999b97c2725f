/// The exchanges and queues through which the services talk to each other (contract section 4).
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
  /// The queue for answers to a supervisor host. Until a host knows that a session is its own, it
  /// consumes nothing from the session's queues.
  static func answers(to host: HostName) -> String { "SSE_HOST_\(host.text)" }
  static func fromCustomer(to supervisor: SupervisorID) -> String { "SSE_\(supervisor.text)_CA" }
  /// The queues of a session.
  static func queues(of supervisor: SupervisorID) -> [String] {
    [fromManager(to: supervisor), fromCustomer(to: supervisor)]
  }

  /// The exchanges and queues that every service declares.
  static let declarations: [AMQPDeclaration] = [
    .exchange(managerExchange), .exchange(supervisorExchange), .exchange(communicationExchange),
    .exchange(customerExchange), .queue(fromUserServer, exchange: managerExchange),
    .queue(fromCustomerServer, exchange: managerExchange), .queue(fromSupervisors, exchange: managerExchange),
    .queue(hosts, exchange: supervisorExchange), .queue(toUserServer, exchange: communicationExchange),
    .queue(toCustomerServer, exchange: customerExchange), .queue(deadLetters, exchange: ""),
  ]
}

/// The id of a Session Supervisor, and of the session that it runs.
public struct SupervisorID: Hashable, Comparable, Sendable {
  /// The name: 1 to 64 letters, digits, `_` and `-`.
  public let text: String

  /// Creates the id with a name; nil for an invalid name.
  public init?(_ text: String) {
    let isGood = text.utf8.allSatisfy {
      $0.isDigit || $0.isLetter || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-")
    }
    guard isGood, (1...64).contains(text.utf8.count) else { return nil }
    self.text = text
  }

  /// Orders ids by name.
  public static func < (a: SupervisorID, b: SupervisorID) -> Bool { a.text < b.text }
}
