/// What other services ask of this one: they keep no passwords and no sessions of their own.
extension UserService {
  /// An account without an email gets a placeholder for one.
  func registerForService(_ call: Call) async throws -> Reply {
    let id = Hex.encode(environment.entropy.bytes(32))
    let username = try await register(
      id, EmailAddress(placeholderFor: id), username: call.string("username"), password: call.string("password"))
    return Self.user(id, username, status: 201)
  }

  /// Checks a password, and makes a session in the name of its user.
  func loginForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let address = call.body["address"]?.string
    guard let id = try await authenticate(call.string("user"), call.string("password"), from: address) else {
      throw HTTPFailure.unauthorized("wrong user or password")
    }
    let now = environment.clock.wallTime.rfc3339
    let username = try await translated {
      try await database.transaction { connection in
        try connection.addSession(session, of: id, family: nil, at: now)
        return try connection.username(of: id) ?? ""
      }
    }
    return Self.user(id, username)
  }

  /// Whose a session is. A token, when one is shown, has to be its owner's.
  func sessionForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let principal = try call.body["token"]?.string.map { try verifier.principal(token: $0) }
    let owner = try await translated {
      try await database.transaction { connection in
        if let principal { try connection.requireLive(principal) }
        return try connection.owner(of: session)
      }
    }
    guard let owner, principal.map({ $0.subject == owner.id }) ?? true else {
      throw HTTPFailure(404, "session_id: no such session")
    }
    return Self.user(owner.id, owner.username)
  }

  /// Who has a name.
  func userForService(_ call: Call) async throws -> Reply {
    let key = call.string("username").normalized.lowercased().normalized
    guard let user = try await database.transaction({ try $0.user(called: key) }) else {
      throw HTTPFailure(404, "username: no such user")
    }
    return Self.user(user.id, user.username)
  }

  func logoutForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let ended = try await database.transaction { connection in
      guard let owner = try connection.owner(of: session) else { return false }
      try connection.deleteSession(session, of: owner.id)
      return true
    }
    guard ended else { throw HTTPFailure(404, "session_id: no such session") }
    await bell.ring()
    return .success("session deleted")
  }

  /// The last event there is: who has heard that one knows of every session that has ended until now.
  func lastEventForService() async throws -> Reply {
    .json(["event_id": .int(try await database.transaction { try $0.lastEventID() })])
  }

  /// Accounts that were deleted after an event, so that a service can drop what it keeps by their ids.
  func deletedUsersForService(_ call: Call) async throws -> Reply {
    let after = call.body["after"]?.int ?? 0
    let deleted = try await database.transaction { try $0.deletedUsers(after: after) }
    return .json([
      "users": .array(deleted.map { ["event_id": .int($0.event), "user_id": .string($0.user)] })
    ])
  }

  private static func user(_ id: String, _ username: String, status: Int = 200) -> Reply {
    .json(["user_id": .string(id), "username": .string(username)], status: status)
  }

  /// The stream of ended sessions and deleted users, from where `Last-Event-ID` left off, or from now.
  func sessionEvents(_ call: Call) async throws -> Reply {
    let asked = call.request.fields["last-event-id"]
    let start: Int64
    if let asked {
      guard let id = Int64(asked), id >= 0 else { throw HTTPFailure(400, "Last-Event-ID: must be the id of an event") }
      start = id
    } else {
      start = try await database.transaction { try $0.lastEventID() }
    }
    let head = HTTPResponse(status: 200, fields: HTTPResponse.eventStreamFields)
    return .stream(head) { [database, bell] writer in
      try await Self.follow(from: start, database, bell, writer)
    }
  }

  private static func follow(
    from start: Int64, _ database: Database, _ bell: EventBell, _ writer: StreamWriter
  ) async throws {
    var last = start
    var heard = -1
    try await writer.write("id: \(start)\nevent: ready\ndata: {}\n\n")
    while true {
      let position = last
      guard let events = try await database.transaction({ try $0.events(after: position, limit: 100) }) else {
        // Some events are gone: the listener has to forget what it knows and ask anew.
        last = try await database.transaction { try $0.lastEventID() }
        try await writer.write("id: \(last)\nevent: reset\ndata: {}\n\n")
        continue
      }
      if events.isEmpty {
        guard let rings = await bell.wait(after: heard) else { return }
        if heard >= 0 { try await writer.write(": \n\n") }
        heard = rings
      } else {
        last = events.last!.id
        try await writer.write(events.map(\.text).joined())
      }
    }
  }
}

extension SQLConnection {
  fileprivate func username(of user: String) throws(DatabaseError) -> String? {
    try first("SELECT username FROM users WHERE user_id = $1", .text(user)) { $0.text(0) }
  }

  fileprivate func owner(of session: String) throws(DatabaseError) -> (id: String, username: String)? {
    try first(
      """
      SELECT u.user_id, u.username FROM user_sessions s JOIN users u ON u.user_id = s.user_id WHERE s.session_id = $1
      """, .text(session)
    ) { ($0.text(0), $0.text(1)) }
  }

  fileprivate func user(called key: String) throws(DatabaseError) -> (id: String, username: String)? {
    try first("SELECT user_id, username FROM users WHERE username_key = $1", .text(key)) { ($0.text(0), $0.text(1)) }
  }
}
