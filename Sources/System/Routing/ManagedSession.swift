/// What the User Manager knows of a session.
struct ManagedSession: Hashable, Sendable {
  enum Status: String, Sendable {
    /// A host was asked to take it.
    case starting
    case running
    case ended
  }

  let id: SupervisorID
  /// The customer; nil for a foreign supervisor, which registered itself.
  let email: CustomerEmail?
  var epoch: Int64
  var status: Status
  var host: String
  let data: JSONValue
  /// Started by this manager, and so failed over.
  let isOwn: Bool
  /// Users that the customer has asked for beyond those of the beginning.
  var additional: Int64 = 0
  /// The id of the `START_SESSION` that asked for it last.
  var request = ""
}

/// The manager's sessions: by supervisor, and by customer.
struct ManagedSessions: Sendable {
  private var bySupervisor: [SupervisorID: ManagedSession] = [:]
  /// The sessions of each customer that have not ended. There is at most one, except in rows that an
  /// earlier release stored.
  private var current: [CustomerEmail: [SupervisorID]] = [:]

  subscript(id: SupervisorID) -> ManagedSession? {
    get { bySupervisor[id] }
    set {
      let old = bySupervisor.removeValue(forKey: id)
      bySupervisor[id] = newValue
      let (before, after) = (old.flatMap(Self.customer), newValue.flatMap(Self.customer))
      guard before != after else { return }
      if let before {
        current[before]?.removeAll { $0 == id }
        if current[before]?.isEmpty == true { current[before] = nil }
      }
      if let after { current[after, default: []].append(id) }
    }
  }

  /// All sessions, by the names of their supervisors.
  var all: [ManagedSession] { bySupervisor.values.sorted { $0.id < $1.id } }

  /// The session of a customer that is starting or running.
  func current(of email: CustomerEmail) -> ManagedSession? { current[email]?.min().flatMap { bySupervisor[$0] } }

  /// The customer of a session that has not ended.
  private static func customer(_ session: ManagedSession) -> CustomerEmail? {
    session.status == .ended ? nil : session.email
  }
}
