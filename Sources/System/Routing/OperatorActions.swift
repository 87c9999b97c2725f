import Environment

/// The routes by which operators act on the manager's page. Each request has to show a token, also
/// one from the same machine.
enum OperatorActions {
  private static let session = Schema.Field("SESSION_SUPERVISOR_ID", QueueMessages.supervisorID)
  private static let queue = Schema.string(.init(minimumLength: 1, maximumBytes: ClientBounds.identifier))
  private static let status = Schema.Field("STATUS", .string(.init(values: ["SUCCESS"])))
  private static let number = Schema.integer(minimum: 0)
  private static let isTrial = Schema.Field("DRY_RUN", .boolean, "whether nothing was changed")
  private static let noSession = Route.Response(404, "No such session")
  private static let brokerFails = Route.Response(503, "The broker does not answer, or refuses it")

  private static func route(
    _ path: String, _ summary: String, _ body: [Schema.Field], _ answer: [Schema.Field], _ failures: [Route.Response],
    handler: @escaping Route.Handler
  ) -> Route {
    Route(
      "POST", "/operator/" + path, summary, access: .operators, body: .object(body),
      responses: [.init(200, "Done", .object([status] + answer))] + failures, handler: handler)
  }

  static func table(_ manager: UserManager, _ desk: OperatorDesk) -> [Route] {
    sessions(manager) + queues(desk) + accounts(desk)
  }

  private static func sessions(_ manager: UserManager) -> [Route] {
    @Sendable func session(_ call: Call) throws(HTTPFailure) -> SupervisorID {
      guard let id = SupervisorID(call.string("SESSION_SUPERVISOR_ID")) else {
        throw HTTPFailure(400, "SESSION_SUPERVISOR_ID: not a name of a supervisor")
      }
      return id
    }
    return [
      route(
        "sessions/end", "End a supervised session", [self.session, .dryRun],
        [.init("SESSION_STATUS", .string(), "the status of before"), .init("USERS", number), isTrial],
        [noSession, .init(503, "The manager's database is not available")]
      ) { call in .json(try await manager.end(session(call), isTrial: call.body["dry_run"] == true)) },
      route(
        "sessions/transcript", "A part of the transcript of a session, also of one that has ended",
        [self.session, .init("AFTER", number, isRequired: false, "only messages with a higher SEQ")],
        [
          .init(
            "MESSAGES",
            .array(of: .object([.init("SEQ", number), .init("FROM", QueueMessages.userID), .init("MESSAGE", .any)]))),
          .init("LAST_SEQ", number),
        ], [noSession, .init(503, "The manager's database is not available")]
      ) { call in .json(try await manager.transcript(of: session(call), after: call.body["AFTER"]?.int ?? 0)) },
    ]
  }

  private static func queues(_ desk: OperatorDesk) -> [Route] {
    func treating(_ treatment: QueueOperator.Treatment, _ verb: String, _ summary: String) -> Route {
      route(
        "dead-letters/\(verb)", summary,
        [
          .init("QUEUE", queue, isRequired: false, "only dead letters from this queue"),
          .init("LIMIT", .integer(minimum: 1, maximum: 1_000_000_000), isRequired: false, "the most dead letters"),
          .dryRun,
        ],
        [
          .init(
            "OUTCOMES",
            .array(of: .object([.init("QUEUE", .string()), .init("RESULT", .string()), .init("MESSAGES", number)]))),
          isTrial,
        ], [.init(404, "No such queue"), brokerFails]
      ) { call in
        .json(
          try await desk.treat(
            treatment, from: call.body["QUEUE"]?.string, limit: call.body["LIMIT"]?.int.map { Int($0) } ?? .max,
            isTrial: call.body["dry_run"] == true))
      }
    }
    let death = Schema.object([
      .init("QUEUE", .string()), .init("REASON", .string()), .init("COUNT", .integer()), .init("TIME", .any),
    ])
    let letter = Schema.object([
      .init("QUEUE", .string()), .init("REASON", .string()), .init("DEATHS", .array(of: death)),
      .init("BYTES", number), .init("BODY", .string()),
    ])
    return [
      route(
        "queues/purge", "Remove the ready messages of a queue", [.init("QUEUE", queue), .dryRun],
        [.init("MESSAGES", number), isTrial], [.init(404, "No such queue"), brokerFails]
      ) { call in
        .json(try await desk.purge(call.string("QUEUE"), isTrial: call.body["dry_run"] == true))
      },
      route(
        "dead-letters/list", "The first dead letters, with their reasons; they stay", [],
        [.init("LETTERS", .array(of: letter)), .init("MORE", number, "those that are not shown")],
        [.init(404, "No such queue"), brokerFails]
      ) { _ in .json(try await desk.deadLetters()) },
      treating(.replay, "replay", "Publish dead letters again, where they were published before"),
      treating(.drop, "drop", "Remove dead letters"),
    ]
  }

  private static func accounts(_ desk: OperatorDesk) -> [Route] {
    let account = Schema.object([
      .init("user_id", .string()), .init("username", .string()), .init("email", .string()),
      .init("disabled", .boolean), .init("sessions_ended", number), .init("dry_run", .boolean),
    ])
    let user = Schema.Field(
      "user", .string(.init(minimumLength: 1, maximumBytes: AccountName.maximumBytes)), "id, email or username")
    let changes: [(verb: String, summary: String, fields: [Schema.Field])] = [
      ("disable", "Disable an account: it cannot log in, and its tokens and sessions end", []),
      ("enable", "Enable a disabled account; its user has to log in again", []),
      ("revoke", "End the tokens and sessions of an account", []),
      (
        "set-password", "Give an account a new password, and end its tokens and sessions",
        [.init("password", .newPassword)]
      ),
    ]
    return changes.map { verb, summary, fields in
      Route(
        "POST", "/operator/users/\(verb)", "\(summary). The User Service does it", access: .operators,
        body: .object([user] + fields + [.dryRun]),
        responses: [
          .init(200, "The account", account), .init(403, "The User Service needs another token"),
          .init(404, "No such account, or the manager knows no User Service"),
          .init(503, "The User Service does not answer"),
        ]
      ) { call in .json(try await desk.changeAccount(verb, call)) }
    }
  }
}

extension UserManager {
  /// Ends a session for an operator. A trial changes nothing.
  fileprivate func end(_ id: SupervisorID, isTrial: Bool) async throws -> JSONValue {
    guard let session = state.sessions[id], session.status != .ended else {
      throw HTTPFailure(404, "no such session, or it has ended")
    }
    let users = state.pool.users(of: id).count
    if !isTrial {
      _ = try await ask(
        QueueMessage("END_SESSION", ["SESSION_SUPERVISOR_ID": .string(id.text)]), from: .customerServer)
    }
    return [
      "STATUS": "SUCCESS", "SESSION_STATUS": .string(session.status.rawValue), "USERS": .int(Int64(users)),
      "DRY_RUN": .bool(isTrial),
    ]
  }

  /// A part of a transcript for an operator.
  fileprivate func transcript(of id: SupervisorID, after position: Int64) async throws -> JSONValue {
    let found = try await database.transaction { connection -> (messages: [JSONValue], last: Int64)? in
      let tables = ManagerTables(connection)
      let last = try await tables.transcripts.lastPosition(in: id)
      if last == .start, try await !tables.hasSession(id) { return nil }
      let part = try await tables.transcripts.part(of: id, after: TranscriptPosition(position))
      return (part, last.value)
    }
    guard let found else { throw HTTPFailure(404, "no such session") }
    return ["STATUS": "SUCCESS", "MESSAGES": .array(found.messages), "LAST_SEQ": .int(found.last)]
  }
}
