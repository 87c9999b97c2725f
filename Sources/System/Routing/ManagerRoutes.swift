import Environment

/// The route table of the User Manager.
enum ManagerRoutes {
  static let description = ServiceDescription(
    name: "manager", title: "User Manager", version: Release.version,
    errorSchema: .object([.init("STATUS", .string(.init(values: ["FAILED"]))), .init("ERROR", .string())])
  ) { ["STATUS": "FAILED", "ERROR": .string($0)] }

  static func table(_ manager: UserManager, metrics: Metrics) -> [Route] {
    CommonRoutes.adding(
      to: supervisors(manager) + others(manager), messages: [QueueMessages.manager], service: description,
      metrics: metrics)
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
        "GET", "/SessionSupervisor", "The supervisors: epoch, host, users, demand", access: .service,
        responses: [.init(200, "The supervisors", .object([.init("SUPERVISORS", .array(of: .any))]))]
      ) { _ in .json(await manager.supervisorOverview()) },
      Route(
        "POST", "/SessionSupervisor/NewSession", "NEW_SESSION over HTTP", access: .service,
        body: .object([.init("USER_COUNT", QueueMessages.userCount, isRequired: false, "1 without it")]),
        parameters: [
          .header("SESSION_SUPERVISOR_ID", QueueMessages.supervisorID, "the supervisor"),
          .header("SESSION_EPOCH", .integer(minimum: 0), "its epoch"),
        ], responses: [.init(200, "The users, or why there are none", answer), unavailable]
      ) { call in
        var message: QueueMessage
        if call.body["TYPE"] != nil {
          message = try Self.message(call.body)
        } else {
          message = QueueMessage("NEW_SESSION", call.body)
        }
        guard let id = call.request.fields["session_supervisor_id"].flatMap({ SupervisorID($0) }) else {
          throw HTTPFailure(400, "SESSION_SUPERVISOR_ID: missing, or no name of a supervisor")
        }
        message.supervisor = id
        // The table says that it is an integer.
        message.epoch = call.request.fields["session_epoch"].flatMap { Int64($0) }
        return .json(try await manager.ask(message, from: .supervisors))
      },
    ]
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
      ) { call in .json(try await manager.ask(try Self.message(call.body), from: source)) }
      route.example = QueueMessages.manager.example(of: source.queue)
      return route
    }
    return [
      Route(
        "GET", "/UserServer", "The pool of users", access: .service,
        responses: [
          .init(200, "The pool", .object([.init("USERS", .array(of: .any)), .init("FREE", .integer(minimum: 0))]))
        ]
      ) { _ in .json(await manager.poolOverview()) },
      post("/UserServer", .userServer),
      Route(
        "GET", "/CustomerServer", "The sessions", access: .service,
        responses: [.init(200, "The sessions", .object([.init("SESSIONS", .array(of: .any))]))]
      ) { _ in .json(await manager.sessionOverview()) },
      post("/CustomerServer", .customerServer),
      CommonRoutes.health(unavailable) { try await manager.health() },
      Route(
        "GET", "/overview", "What the operator's page shows", access: .service,
        responses: [.init(200, "All of it", .any)]
      ) { _ in .json(await manager.overview()) },
    ]
  }
}

/// What the manager shows of itself.
extension UserManager {
  func health() async throws -> String {
    guard await database.checkHealth() else { throw HTTPFailure(503, "the manager's database is not available") }
    if let fault = await client.fault() { throw HTTPFailure(503, fault) }
    return "the manager's database and the broker answer"
  }

  func supervisorOverview() -> JSONValue {
    [
      "SUPERVISORS": .array(
        state.sessions.all.map { session in
          [
            "SESSION_SUPERVISOR_ID": .string(session.id.text), "EPOCH": .int(session.epoch),
            "HOST": .string(session.host), "STATUS": .string(session.status.rawValue),
            "LIST_USER_ID": .array(state.pool.users(of: session.id).map(\.json)),
            "DEMAND": .int(Int64(state.pool.demand(of: session.id))),
          ]
        })
    ]
  }

  func poolOverview() -> JSONValue {
    let users = state.pool.users.sorted {
      $0.value.turn < $1.value.turn || $0.value.turn == $1.value.turn && $0.key.key < $1.key.key
    }
    return [
      "USERS": .array(
        users.map { id, user in
          let (place, supervisor): (JSONValue, JSONValue) =
            switch user.place {
            case .offline: ("OFFLINE", .null)
            case .free: ("FREE", .null)
            case .serving(let id): ("SERVING", .string(id.text))
            }
          return [
            "USER_ID": id.json, "STATUS": place, "SESSION_SUPERVISOR_ID": supervisor,
            "CONNECTION": .int(user.connection),
          ]
        }), "FREE": .int(Int64(users.count { $0.value.place == .free })),
    ]
  }

  func sessionOverview() -> JSONValue {
    [
      "SESSIONS": .array(
        state.sessions.all.filter(\.isOwn).map { session in
          [
            "EMAIL": .string(session.email?.text ?? ""), "SESSION_SUPERVISOR_ID": .string(session.id.text),
            "STATUS": .string(session.status.rawValue),
          ]
        })
    ]
  }

  func overview() async -> JSONValue {
    let now = environment.clock.now
    let hosts = heard.keys.sorted().map { name -> JSONValue in
      ["HOST": .string(name), "SECONDS_SINCE": .int((now - heard[name]!).components.seconds)]
    }
    guard case .object(let supervisors) = supervisorOverview(), case .object(let pool) = poolOverview(),
      case .object(let sessions) = sessionOverview()
    else { return .null }
    return .object(
      supervisors + pool + sessions + [
        .init("HOSTS", .array(hosts)), .init("DEAD_LETTERS", .int(Int64(deadLetters))),
        .init("BROKER", .bool(await client.isConnected)), .init("QUEUES", .array(await queueDepths())),
      ])
  }

  /// How much each queue holds.
  private func queueDepths() async -> [JSONValue] {
    var names = QueueNames.declarations.compactMap { if case .queue(let name, _) = $0 { name } else { nil } }
    for session in state.sessions.all where session.status != .ended {
      names += QueueNames.queues(of: session.id)
    }
    return await client.depths(names).map { ["QUEUE": .string($0.queue), "MESSAGES": .int(Int64($0.messages))] }
  }
}
