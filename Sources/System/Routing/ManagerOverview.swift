/// The manager's state, as its API shows it.
struct ManagerOverview {
  private let pool: UserPool
  private let sessions: [ManagedSession]

  init(_ state: ManagerState) {
    pool = state.pool
    sessions = state.sessions.all
  }

  var supervisors: JSONValue {
    [
      "SUPERVISORS": .array(
        sessions.map { session in
          [
            "SESSION_SUPERVISOR_ID": .string(session.id.text), "EPOCH": .int(session.epoch.number),
            "HOST": .string(session.host.text), "STATUS": .string(session.status.rawValue),
            "LIST_USER_ID": .array(pool.users(of: session.id).map(\.json)),
            "DEMAND": .int(Int64(pool.demand(of: session.id))),
          ]
        })
    ]
  }

  /// The users, in the order in which they came free.
  private var ordered: [(key: UserID, value: UserPool.User)] {
    pool.users.sorted { ($0.value.turn, $0.key.key) < ($1.value.turn, $1.key.key) }
  }

  /// The numbers of the users that are there. Users of other User Servers may have other ids.
  var present: [Int64] {
    ordered.compactMap { $0.value.place == .offline ? nil : $0.key.json.int }
  }

  var users: JSONValue {
    let users = ordered
    return [
      "USERS": .array(
        users.map { id, user in
          let (status, supervisor): (JSONValue, JSONValue) =
            switch user.place {
            case .offline: ("OFFLINE", .null)
            case .free: ("FREE", .null)
            case .serving(let id): ("SERVING", .string(id.text))
            }
          return [
            "USER_ID": id.json, "STATUS": status, "SESSION_SUPERVISOR_ID": supervisor,
            "CONNECTION": .int(user.connection.value),
          ]
        }), "FREE": .int(Int64(users.count { $0.value.place == .free })),
    ]
  }

  var customers: JSONValue {
    [
      "SESSIONS": .array(
        sessions.filter(\.isOwn).map { session in
          [
            "EMAIL": .string(session.customer?.text ?? ""), "SESSION_SUPERVISOR_ID": .string(session.id.text),
            "STATUS": .string(session.status.rawValue),
          ]
        })
    ]
  }

  /// All of it, as the members of one object.
  var members: [JSONValue.Member] {
    [supervisors, users, customers].flatMap { part -> [JSONValue.Member] in
      guard case .object(let members) = part else { return [] }
      return members
    }
  }

  /// The queues of the manager, and of the sessions that go on.
  var queues: [String] {
    QueueNames.declarations.compactMap { if case .queue(let name, _) = $0 { name } else { nil } }
      + sessions.filter { $0.status != .ended }.flatMap { QueueNames.queues(of: $0.id) }
  }
}
