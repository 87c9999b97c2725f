import Environment

/// The route table of the User Manager.
enum ManagerRoutes {
  static let description = ServiceDescription(
    name: "manager", title: "User Manager", version: Release.version,
    errorSchema: .object([.init("STATUS", .string(.init(values: ["FAILED"]))), .init("ERROR", .string())]),
    messages: [QueueMessages.manager]
  ) { ["STATUS": "FAILED", "ERROR": .string($0)] }

  static func table(_ manager: UserManager, metrics: Metrics, reading read: @escaping MetricReader) -> [Route] {
    CommonRoutes.adding(
      to: supervisors(manager) + others(manager) + [erase(manager)] + OperatorActions.table(manager, manager.desk),
      service: description, metrics: metrics, reading: read)
      + OperatorPage.routes
  }

  private static let unavailable = Route.Response(503, "The manager's database is not available")
  private static let answer = Schema.object([
    .init("STATUS", .string(), isRequired: false), .init("LIST_USER_ID", .array(of: .any), isRequired: false),
    .init("NOTICE", .string(.init(values: ["SUFFICIENT", "NOT_SUFFICIENT"])), isRequired: false),
  ])
  private static func supervisors(_ manager: UserManager) -> [Route] {
    [
      Route(
        "GET", "/SessionSupervisor", "Lists the supervisors: epoch, host, users, demand", access: .service,
        responses: [.init(200, "The supervisors", .object([.init("SUPERVISORS", .array(of: .any))]))]
      ) { _ in .json(await manager.overview.supervisors) },
      Route(
        "POST", "/SessionSupervisor/NewSession", "NEW_SESSION over HTTP", access: .service,
        body: .object([.init("USER_COUNT", QueueMessages.userCount, isRequired: false, "1 without it")]),
        parameters: [
          .header("SESSION_SUPERVISOR_ID", QueueMessages.supervisorID, "the supervisor"),
          .header("SESSION_EPOCH", .integer(minimum: 0), "its epoch"),
        ], responses: [.init(200, "The users, or the reason for the failure", answer), unavailable]
      ) { call in
        var message: QueueMessage
        if call.body["TYPE"] != nil {
          message = try Self.message(call.body)
        } else {
          message = QueueMessage("NEW_SESSION", call.body)
        }
        guard let id = call.request.fields["session_supervisor_id"].flatMap({ SupervisorID($0) }) else {
          throw HTTPFailure(400, "SESSION_SUPERVISOR_ID: missing, or not a name of a supervisor")
        }
        message.supervisor = id
        // The route's parameter is an integer.
        message.epoch = call.request.fields["session_epoch"].flatMap { Int64($0) }.map { Epoch($0) }
        return try await ask(manager, message, from: .supervisors)
      },
    ]
  }

  private static func erase(_ manager: UserManager) -> Route {
    Route(
      "POST", "/operator/sessions/erase",
      "End the sessions of a customer, and remove them with their transcripts; repeat it until none remains",
      access: .operators, body: .object([QueueMessages.email, .dryRun]),
      responses: [
        .init(
          200, "What was found, what this call has removed, and how many sessions wait for their supervisors",
          .object([
            .init("STATUS", .string(.init(values: ["SUCCESS"]))), .init("SESSIONS", .integer(minimum: 0)),
            .init("MESSAGES", .integer(minimum: 0)), .init("REMOVED", .array(of: QueueMessages.supervisorID)),
            .init("REMAINING", .integer(minimum: 0)), .init("DRY_RUN", .boolean),
          ])), unavailable,
      ]
    ) { call in
      // The route's schema has checked it.
      guard let customer = CustomerEmail(call.string("EMAIL")) else { throw HTTPFailure(400, "EMAIL: not an email") }
      let isTrial = call.body["dry_run"] == true
      return .json(try await isTrial ? manager.survey(customer) : manager.erase(customer))
    }
  }

  private static func ask(
    _ manager: UserManager, _ message: QueueMessage, from source: ManagerSource
  ) async throws -> Reply {
    .json(try await manager.ask(message, from: source))
  }

  private static func message(_ body: JSONValue) throws(HTTPFailure) -> QueueMessage {
    do throws(QueueMessage.Malformed) { return try QueueMessage(body) } catch { throw HTTPFailure(400, error.reason) }
  }

  private static func others(_ manager: UserManager) -> [Route] {
    func post(_ path: String, _ source: ManagerSource) -> Route {
      var route = Route(
        "POST", path, "The messages of \(source.queue) over HTTP: /asyncapi.json has the shape of each DATA",
        access: .service, body: QueueMessages.manager.body(of: source.queue),
        responses: [.init(200, "Handled", answer), unavailable]
      ) { call in try await ask(manager, try message(call.body), from: source) }
      route.example = QueueMessages.manager.example(of: source.queue)
      return route
    }
    return [
      Route(
        "GET", "/UserServer", "The pool of users", access: .service,
        responses: [
          .init(200, "The pool", .object([.init("USERS", .array(of: .any)), .init("FREE", .integer(minimum: 0))]))
        ]
      ) { _ in .json(await manager.overview.users) },
      post("/UserServer", .userServer),
      Route(
        "GET", "/CustomerServer", "The sessions", access: .service,
        responses: [.init(200, "The sessions", .object([.init("SESSIONS", .array(of: .any))]))]
      ) { _ in .json(await manager.overview.customers) },
      post("/CustomerServer", .customerServer),
      CommonRoutes.health(unavailable) { try await manager.health() },
      Route(
        "GET", "/overview", "The data of the operator's page", access: .service,
        responses: [.init(200, "Supervisors, users, sessions, hosts and queues", .any)]
      ) { _ in .json(await manager.operatorOverview()) },
    ]
  }
}

extension ManagerRefusal: HTTPRefusal {
  var failure: HTTPFailure {
    switch self {
    case .malformed(let reason): HTTPFailure(400, reason)
    case .stopping: HTTPFailure(503, "the service is stopping")
    case .databaseUnavailable: HTTPFailure(503, "the manager's database is not available")
    case .brokerUnavailable(let fault): HTTPFailure(503, fault)
    }
  }
}
