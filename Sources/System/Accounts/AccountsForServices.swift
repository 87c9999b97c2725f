import Environment

/// The endpoints for other services, which keep neither passwords nor sessions of their own.
extension UserService {
  /// Adds an account without an email; a placeholder takes its place.
  func registerForService(_ call: Call) async throws -> Reply {
    let id = newAccountID()
    let username = try await register(
      id, EmailAddress(placeholderFor: id.value), username: call.string("username"), password: call.string("password"),
      from: call.body["address"]?.string)
    return Self.user(id, username, status: 201)
  }

  /// Checks a password, and adds a session of its user.
  func loginForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let address = ClientAddress(told: call.body["address"])
    guard let user = try await authenticate(call.string("user"), call.string("password"), from: address) else {
      throw AccountRefusal.wrongCredentials
    }
    let (id, generation) = (user.id, user.generation)
    let now = environment.clock.wallTime
    let rules = sessionRules
    let (username, endedOthers): (String, Bool)
    do {
      (username, endedOthers) = try await database.transaction { connection in
        let tables = AccountsTables(connection)
        let endedOthers = try await tables.sessions.add(
          session, of: id, login: nil, generation: generation, at: now, rules)
        return (try await tables.users.username(of: id) ?? "", endedOthers)
      }
    } catch AccountRefusal.loginRevoked {
      // An operator has changed the password or disabled the account since it was checked.
      throw AccountRefusal.wrongCredentials
    }
    if endedOthers { await bell.ring() }
    return Self.user(id, username)
  }

  /// Returns the owner of a session. A token in the request must be the owner's. The request counts
  /// as a use of the session: a service that caches the answer asks again after the time in it.
  func sessionForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let principal = try call.body["token"]?.string.map { try verifier.principal(token: $0) }
    let now = environment.clock.wallTime
    let rules = sessionRules
    let owner = try await database.transaction { connection -> SessionOwner? in
      let tables = AccountsTables(connection)
      if let principal { try await tables.tokens.requireLive(principal.loginID) }
      guard let owner = try await tables.sessions.owner(of: session, at: now, rules),
        principal.map({ $0.subject.hasSameBytes(as: owner.id.value) }) ?? true
      else { return nil }
      if let principal, principal.generation != owner.generation { throw AccountRefusal.loginRevoked }
      try await tables.sessions.recordUse(of: session, by: owner, at: now, rules)
      return owner
    }
    guard let owner else { throw AccountRefusal.noSuchSession }
    var answer: [JSONValue.Member] = [
      .init("user_id", .string(owner.id.value)), .init("username", .string(owner.username)),
    ]
    if sessionRules.lifetime > .zero {
      answer.append(.init("ask_again_after_ms", .int(sessionRules.precision.nanoseconds / 1_000_000)))
    }
    return .json(.object(answer))
  }

  /// Returns the account with a username.
  func userForService(_ call: Call) async throws -> Reply {
    guard let name = AccountName(call.string("username")), !name.isEmail,
      let user = try await database.transaction({ connection -> (id: AccountID, username: String)? in
        let tables = AccountsTables(connection)
        guard let user = try await tables.find(name), let username = try await tables.users.username(of: user.id) else {
          return nil
        }
        return (user.id, username)
      })
    else {
      throw AccountRefusal.noSuchUsername
    }
    return Self.user(user.id, user.username)
  }

  func logoutForService(_ call: Call) async throws -> Reply {
    let session = try sessionID(call)
    let now = environment.clock.wallTime
    let rules = sessionRules
    let ended = try await database.transaction { connection in
      let sessions = AccountsTables(connection).sessions
      guard let owner = try await sessions.owner(of: session, at: now, rules) else { return false }
      try await sessions.delete(session, of: owner.id)
      return true
    }
    guard ended else { throw AccountRefusal.noSuchSession }
    await bell.ring()
    return .success("session deleted")
  }

  /// Returns the id of the last event. A listener that has received it knows of every session that
  /// has ended so far.
  func lastEventForService() async throws -> Reply {
    .json(["event_id": .int(try await database.transaction { try await AccountsTables($0).events.lastID() })])
  }

  /// Returns the accounts that were deleted after an event, so that a service can delete its rows
  /// of them.
  func deletedUsersForService(_ call: Call) async throws -> Reply {
    let after = call.body["after"]?.int ?? 0
    let limit = environment.limits[.deletedAccounts]
    let deleted = try await database.transaction {
      try await AccountsTables($0).events.deletedUsers(after: after, limit: limit)
    }
    return .json([
      "users": .array(deleted.map { ["event_id": .int($0.event), "user_id": .string($0.user.value)] })
    ])
  }

  private static func user(_ id: AccountID, _ username: String, status: Int = 200) -> Reply {
    .json(["user_id": .string(id.value), "username": .string(username)], status: status)
  }

  /// Streams ended sessions and deleted users: those after `Last-Event-ID`, or from now on.
  func sessionEvents(_ call: Call) async throws -> Reply {
    let start: Int64
    // The route table has checked that it is an integer.
    if let asked = call.request.fields["last-event-id"].flatMap({ Int64($0) }) {
      start = asked
    } else {
      start = try await database.transaction { try await AccountsTables($0).events.lastID() }
    }
    let head = HTTPResponse(status: 200, fields: HTTPResponse.eventStreamFields)
    let page = Int64(environment.limits[.sessionEvents])
    return .stream(head) { [database, bell] writer in
      try await Self.follow(from: start, page: page, database, bell, writer)
    }
  }

  private static func follow(
    from start: Int64, page: Int64, _ database: Database, _ bell: EventBell, _ writer: StreamWriter
  ) async throws {
    var last = start
    var heard = -1
    try await writer.write("id: \(start)\nevent: ready\ndata: {}\n\n")
    while true {
      let position = last
      guard
        let events = try await database.transaction({ try await AccountsTables($0).events.after(position, limit: page) }
        )
      else {
        // Some events are no longer kept: the listener must forget its sessions and look them up
        // again.
        last = try await database.transaction { try await AccountsTables($0).events.lastID() }
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
