/// A supervised session, as the User Manager knows it.
struct ManagedSession: Hashable, Sendable {
  enum Status: String, Sendable {
    /// The session is offered to the hosts.
    case starting
    case running
    case ended
  }

  /// The session's supervisor, which names the session too.
  let id: SupervisorID
  /// The customer; nil for a foreign supervisor, which the manager did not start.
  let customer: CustomerEmail?
  var epoch: Epoch
  var status: Status
  /// The host that runs the session; unnamed while it is offered.
  var host: HostName
  /// The `DATA` of the customer's request.
  let data: JSONValue
  /// Whether the manager started the session, and so starts it again when its host fails.
  let isOwn: Bool
  /// Users that the customer has asked for since the beginning.
  var additional: Int64 = 0
  /// The customer's latest request for the session.
  var request: RequestID?
}

/// The manager's sessions, by supervisor and by customer.
struct ManagedSessions: Sendable {
  private var bySupervisor: [SupervisorID: ManagedSession] = [:]
  /// The sessions of each customer that have not ended. There is at most one, except in rows that
  /// an earlier release stored.
  private var current: [CustomerEmail: [SupervisorID]] = [:]

  subscript(id: SupervisorID) -> ManagedSession? {
    get { bySupervisor[id] }
    set {
      let old = bySupervisor.removeValue(forKey: id)
      bySupervisor[id] = newValue
      let (before, after) = (old.flatMap(Self.currentCustomer), newValue.flatMap(Self.currentCustomer))
      guard before != after else { return }
      if let before {
        current[before]?.removeAll { $0 == id }
        if current[before]?.isEmpty == true { current[before] = nil }
      }
      if let after { current[after, default: []].append(id) }
    }
  }

  /// All sessions, ordered by the names of their supervisors.
  var all: [ManagedSession] { bySupervisor.values.sorted { $0.id < $1.id } }

  /// The session of a customer that is starting or running.
  func current(of customer: CustomerEmail) -> ManagedSession? {
    current[customer]?.min().flatMap { bySupervisor[$0] }
  }

  private static func currentCustomer(_ session: ManagedSession) -> CustomerEmail? {
    session.status == .ended ? nil : session.customer
  }
}
