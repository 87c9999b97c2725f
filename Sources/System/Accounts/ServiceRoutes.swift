/// The routes of the User Service for other services.
enum ServiceRoutes {
  private static let user = Schema.object([.init("user_id", .string()), .init("username", .string())])
  private static let sessionOwner = Schema.object([
    .init("user_id", .string()), .init("username", .string()),
    .init(
      "ask_again_after_ms", .integer(minimum: 0), isRequired: false,
      "a session that is in use ends unless it is asked about this often"),
  ])
  private static let deleted = Schema.object([.init("event_id", .integer(minimum: 1)), .init("user_id", .string())])
  private static let session = Schema.Field("session_id", .string(.init(minimumLength: 1, maximumLength: 64)))
  private static let address = Schema.Field(
    "address", .string(.init(maximumLength: 255)), isRequired: false, "the user's address, for the limits by address")
  private static let unavailable = Route.Response(503, "The user database is not available")

  private static func route(
    _ path: String, _ summary: String, _ body: [Schema.Field], _ responses: [Route.Response],
    handler: @escaping Route.Handler
  ) -> Route {
    Route(
      "POST", path, summary, access: .service, body: .object(body), responses: responses + [unavailable],
      handler: handler)
  }

  static func table(_ users: UserService) -> [Route] {
    // The Chat Service asks once a second.
    var lastEvent = Route(
      "GET", "/services/last-event", "The id of the last of the session events", access: .service,
      responses: [.init(200, "The id", .object([.init("event_id", .integer(minimum: 0))])), unavailable]
    ) { _ in try await users.lastEventForService() }
    lastEvent.isQuiet = true
    return [
      route(
        "/services/register", "Register a user without an email",
        [
          .init("username", .string(.init(minimumLength: 1, maximumLength: 150))), .init("password", .newPassword),
          address,
        ],
        [
          .init(201, "Registered", user), .init(400, "Invalid data, or username taken"),
          .init(429, "Too many registrations from this address"),
        ]
      ) { try await users.registerForService($0) },
      route(
        "/services/login", "Check a password and make a session",
        [
          .init("user", .accountName, "email or username"), .init("password", .password), session, address,
        ],
        [
          .init(200, "The user", user), .init(401, "Wrong user or password"), .init(429, "Too many failed logins"),
        ]
      ) { try await users.loginForService($0) },
      route(
        "/services/session", "Whose a session is",
        [
          session,
          .init(
            "token", .string(.init(maximumBytes: JWT.maximumLength)), isRequired: false,
            "an access token that has to be the owner's"),
        ],
        [
          .init(200, "The user", sessionOwner), .init(401, "The token is invalid"), .init(404, "No such session"),
        ]
      ) { try await users.sessionForService($0) },
      route(
        "/services/user", "Who has a username", [.init("username", .accountName)],
        [.init(200, "The user", user), .init(404, "No such user")]
      ) { try await users.userForService($0) },
      route(
        "/services/logout", "End a session", [session],
        [
          .init(200, "Ended", .object([.init("success", .boolean), .init("message", .string())])),
          .init(404, "No such session"),
        ]
      ) { try await users.logoutForService($0) },
      route(
        "/services/deleted-users", "The accounts that were deleted after an event, oldest first, 500 at most",
        [.init("after", .integer(minimum: 0), "the last event_id that is known, or 0")],
        [.init(200, "The accounts", .object([.init("users", .array(of: deleted))]))]
      ) { try await users.deletedUsersForService($0) },
      lastEvent,
    ]
  }
}
