import Environment

/// What other services ask of this one: they keep no passwords and no sessions of their own.
extension UserService {
  /// An account without an email gets a placeholder for one.
  func registerForService(_ call: Call) async throws -> Reply {
    let id = Hex.encode(environment.entropy.bytes(32))
    let username = try await register(
      id, EmailAddress(placeholderFor: id), username: call.string("username"), password: call.string("password"),
      from: call.body["address"]?.string)
    return Self.user(id, username, status: 201)
  }

  /// Checks a password, and makes a session in the name of its user.
  func loginForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let address = ClientAddress(told: call.body["address"])
    guard let id = try await authenticate(call.string("user"), call.string("password"), from: address) else {
      throw HTTPFailure.unauthorized("wrong user or password")
    }
    let now = environment.clock.wallTime
    let (username, endedOthers) = try await translated { [sessionRules] in
      try await database.transaction { connection in
        let endedOthers = try connection.addSession(session, of: id, family: nil, at: now, sessionRules)
        return (try connection.username(of: id) ?? "", endedOthers)
      }
    }
    if endedOthers { await bell.ring() }
    return Self.user(id, username)
  }

  /// Whose a session is. A token, when one is shown, has to be its owner's. The question is a use of the session: a service
  /// that keeps the answer asks again after the time that it is told.
  func sessionForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let principal = try call.body["token"]?.string.map { try verifier.principal(token: $0) }
    let now = environment.clock.wallTime
    let owner = try await translated { [sessionRules] in
      try await database.transaction { connection -> SessionOwner? in
        if let principal { try connection.requireLive(principal) }
        guard let owner = try connection.owner(of: session, at: now, sessionRules),
          principal.map({ $0.subject.hasSameBytes(as: owner.id) }) ?? true
        else { return nil }
        try connection.noteUse(of: session, by: owner, at: now, sessionRules)
        return owner
      }
    }
    guard let owner else { throw HTTPFailure(404, "session_id: no such session") }
    var answer: [JSONValue.Member] = [
      .init("user_id", .string(owner.id)), .init("username", .string(owner.username)),
    ]
    if sessionRules.lifetime > .zero {
      answer.append(.init("ask_again_after_ms", .int(sessionRules.precision.nanoseconds / 1_000_000)))
    }
    return .json(.object(answer))
  }

  /// Who has a name.
  func userForService(_ call: Call) async throws -> Reply {
    guard let name = AccountName(call.string("username")), !name.isEmail,
      let user = try await database.transaction({ try $0.account(called: name) })
    else {
      throw HTTPFailure(404, "username: no such user")
    }
    return Self.user(user.id, user.username)
  }

  func logoutForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let now = environment.clock.wallTime
    let ended = try await database.transaction { [sessionRules] connection in
      guard let owner = try connection.owner(of: session, at: now, sessionRules) else { return false }
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
    let start: Int64
    // The route's table says that it is an integer.
    if let asked = call.request.fields["last-event-id"].flatMap({ Int64($0) }) {
      start = asked
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

  fileprivate func account(called name: AccountName) throws(DatabaseError) -> (id: String, username: String)? {
    guard let user = try user(named: name), let username = try username(of: user.id) else { return nil }
    return (user.id, username)
  }
}
