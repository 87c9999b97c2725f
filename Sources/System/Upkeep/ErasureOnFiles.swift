import Environment

/// Requests of an erasure, carried out on the database of a service that does not run.
///
/// What the User Manager has to tell others stays in its outbox, and is published when it starts.
public enum ErasureOnFiles {
  /// Carries out a request at any service but the User Service, and returns its answer.
  /// - Throws: `DatabaseError`, also for a database of a later release.
  public static func perform(
    _ request: AccountErasure.Request, _ environment: Environment
  ) async throws -> JSONValue {
    let isTrial = request.body["dry_run"] == true
    let email = request.body["EMAIL"]?.string.flatMap { CustomerEmail($0) }
    switch (request.service, email) {
    case (.chat, _):
      let account = AccountID(request.body["user_id"]?.string ?? "")
      return try await with(ChatService.database, environment) { database in
        try await database.transaction {
          try await AccountRemoval(tables: ChatTables($0)).erase(account, isTrial: isTrial).answer
        }
      }
    case (.customers, let email?):
      let sessions = (request.body["SESSIONS"]?.array ?? []).compactMap { $0.string.flatMap { SupervisorID($0) } }
      return try await with(CustomerServer.database, environment) { database in
        try await CustomerErasure.erase(
          email, sessions: sessions, isTrial: isTrial, in: database, environment.limits
        ).answer(underWay: 0)
      }
    case (.manager, let email?):
      let identity = Hex.encode(environment.entropy.bytes(8))
      let now = environment.clock.wallTime
      return try await with(UserManager.database, environment) { database in
        try await database.transaction { connection in
          if isTrial { return try await EndedSessionsTable.survey(email, connection) }
          return try await UserManager.erase(email, ManagerTables(connection), identity: identity, at: now)
        }
      }
    default: throw DatabaseError.failed("\(request.path): not a request that works on files")
    }
  }

  /// Opens a database, and closes it after `body`.
  private static func with(
    _ service: ServiceDatabase, _ environment: Environment,
    _ body: (Database) async throws -> JSONValue
  ) async throws -> JSONValue {
    let database = Database(environment, path: service.path, migrations: service.migrations)
    do {
      let answer = try await body(database)
      await database.close()
      return answer
    } catch {
      await database.close()
      throw error
    }
  }
}

extension UserManager {
  /// Erases the sessions of a customer while the manager does not run, within one transaction.
  /// Nobody releases their users, so the commit does.
  fileprivate static func erase(
    _ customer: CustomerEmail, _ tables: ManagerTables, identity: String, at now: Timestamp
  ) async throws -> JSONValue {
    let stored = try await tables.stored(identity: identity)
    var state = stored.state
    var pending = PendingAnswers()
    let answer = ManagerEffect.Answer(destination: .caller(pending.nextCaller()), type: "")
    var commit = ManagerCommit(number: stored.lastCommit + 1, at: now)
    commit.effects = state.apply(.erase(customer, closing: true), QueueMessage(""), answer: answer)
    commit.takeChanges(of: &state)
    return try await commit.run(on: tables, deleting: nil, missedAfter: nil).answers[0].value
  }
}
