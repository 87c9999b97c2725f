import Environment

/// The route table of the User Service.
enum UserRoutes {
  static let description = ServiceDescription(
    name: "users", title: "User Management Service", version: Release.version,
    errorSchema: .object([.init("detail", .string())])
  ) { ["detail": .string($0)] }

  static func table(_ users: UserService, metrics: Metrics, reading read: @escaping MetricReader) -> [Route] {
    let routes =
      accounts(users) + sessions(users) + services(users) + ServiceRoutes.table(users) + OperatorRoutes.table(users)
    return CommonRoutes.adding(to: routes, service: description, metrics: metrics, reading: read)
  }

  private static let done = Schema.object([.init("success", .boolean), .init("message", .string())])
  private static let tokens = Schema.object([
    .init("access_token", .string()), .init("refresh_token", .string()),
    .init("token_type", .string(.init(values: ["bearer"]))), .init("expires_in", .integer(minimum: 1)),
  ])
  private static let sessionID = Schema.object([
    .init(
      "session_id", .string(.init(minimumLength: 1, maximumLength: 64, pattern: "^[!-~]+$", example: "session-123")))
  ])
  private static let unavailable = Route.Response(503, "The user database is not available")

  private static func user(_ users: UserService) -> Access {
    .user { try users.verifier.principal($0) }
  }

  private static func accounts(_ users: UserService) -> [Route] {
    [
      Route(
        "POST", "/register", "Register a new user",
        body: .object([
          .init(
            "email",
            .string(.init(maximumBytes: AccountName.maximumBytes, format: "email", example: "user@example.com"))),
          .init("username", .string(.init(minimumLength: 1, maximumLength: 150, example: "username"))),
          .init("password", .newPassword),
        ]),
        responses: [
          .init(201, "Registered", done), .init(400, "Invalid data, or email or username taken"),
          .init(429, "Too many registrations from this address"), unavailable,
        ]
      ) { try await users.register($0) },
      Route(
        "POST", "/login", "Log in with an email or a username",
        body: .object([
          .init("user", .accountName, "email or username"), .init("password", .password),
        ]),
        responses: [
          .init(200, "Logged in", tokens), .init(401, "Wrong user or password, or the account is disabled"),
          .init(429, "Too many failed logins"), unavailable,
        ]
      ) { try await users.login($0) },
      Route(
        "POST", "/refresh", "Exchange a refresh token, once, for new tokens",
        body: .object([.init("refresh_token", .string(.init(maximumBytes: JWT.maximumLength)))]),
        responses: [.init(200, "New tokens", tokens), .init(401, "The token is invalid, expired or used"), unavailable]
      ) { try await users.refresh($0) },
      Route(
        "DELETE", "/delete-user", "Delete the user and all of their sessions", access: user(users),
        responses: [.init(200, "Deleted", done), .init(400, "User not found"), unavailable]
      ) { try await users.deleteUser($0) },
    ]
  }

  private static func sessions(_ users: UserService) -> [Route] {
    let session = Schema.object([
      .init("session_id", .string()), .init("created_at", .string(.init(format: "date-time"))),
    ])
    return [
      Route(
        "POST", "/add-session", "Add a session to the user", access: user(users), body: sessionID,
        responses: [
          .init(200, "Added", done), .init(400, "The session exists, the user has too many, or is not there"),
          unavailable,
        ]
      ) { try await users.addSession($0) },
      Route(
        "GET", "/get-sessions", "The user's sessions, oldest first", access: user(users),
        responses: [
          .init(200, "The sessions", .object([.init("success", .boolean), .init("sessions", .array(of: session))])),
          unavailable,
        ]
      ) { try await users.getSessions($0) },
      Route(
        "DELETE", "/delete-session", "Delete one of the user's sessions", access: user(users), body: sessionID,
        responses: [.init(200, "Deleted", done), .init(400, "No such session, or no such user"), unavailable]
      ) { try await users.deleteSession($0) },
    ]
  }

  private static func services(_ users: UserService) -> [Route] {
    [
      Route(
        "POST", "/check_node", "Whether an email and a password belong together", access: .service,
        body: .object([
          .init("EMAIL", .accountName), .init("PASSWORD", .password),
          .init("TYPE", .string(.init(maximumBytes: 255, example: "CUSTOMERS"))),
          .init(
            "ADDRESS", .string(.init(maximumLength: 255)), isRequired: false,
            "the customer's address, for the limit of failures"),
        ]),
        responses: [
          .init(
            200, "The answer",
            .object([
              .init("MESSAGE", .string(.init(values: ["REGISTERED", "NOT_REGISTERED"])))
            ])), .init(429, "Too many failed logins"), unavailable,
        ]
      ) { try await users.checkNode($0) },
      Route(
        "GET", "/session-events", "Ended sessions and deleted users, as they happen", access: .service,
        parameters: [.header("Last-Event-ID", .integer(minimum: 0), "resume after this event")],
        responses: [.init(200, "Server-sent events", .string(), contentType: "text/event-stream"), unavailable]
      ) { try await users.sessionEvents($0) },
      CommonRoutes.health(unavailable) { try await users.health() },
      Route(
        "GET", "/", "What this service is",
        responses: [
          .init(
            200, "A welcome",
            .object([
              .init("service", .string()), .init("status", .string()), .init("version", .string()),
              .init("endpoints", .any),
            ]))
        ]
      ) { _ in welcome },
    ]
  }

  private static let welcome = Reply.json([
    "service": "User Management Service", "status": "running", "version": .string(Release.version),
    "endpoints": [
      "POST /register": "Register a new user", "POST /login": "Login a user",
      "POST /refresh": "Exchange a refresh token for new tokens", "POST /add-session": "Add a new session",
      "GET /get-sessions": "Retrieve all sessions for a user", "DELETE /delete-session": "Delete a session",
      "DELETE /delete-user": "Delete user account", "GET /health": "Health Check Endpoint",
      "GET /openapi.json": "OpenAPI document", "GET /docs": "Documentation",
    ],
  ])
}
