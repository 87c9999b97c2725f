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
  /// Bytes of a host's name.
  static let maximumHost = 128
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
