import Environment

/// The route table of the Customer Server.
enum CustomerRoutes {
  /// An answer is a code; what is no code is `INVALID_REQUEST`, with what was wrong beside it.
  static let description = ServiceDescription(
    name: "customers", title: "Customer Server", version: Release.version,
    errorSchema: .object([.init("MESSAGE", .string()), .init("DETAIL", .string(), isRequired: false)])
  ) { text in
    let isCode = !text.isEmpty && text.utf8.allSatisfy { $0 == UInt8(ascii: "_") || $0 >= 0x41 && $0 <= 0x5A }
    return isCode ? ["MESSAGE": .string(text)] : ["MESSAGE": "INVALID_REQUEST", "DETAIL": .string(text)]
  }

  static func failure(_ status: Int, _ code: String) -> HTTPFailure { HTTPFailure(status, code) }

  private static let unavailable = Route.Response(503, "The customer database is not available")

  private static func answer(_ codes: String..., more: [Schema.Field] = []) -> Schema {
    .object([.init("MESSAGE", .string(.init(values: codes)))] + more)
  }

  static func table(_ customers: CustomerServer, metrics: Metrics) -> [Route] {
    CommonRoutes.adding(
      to: sessions(customers) + others(customers), messages: [QueueMessages.customerAgent], service: description,
      metrics: metrics)
  }

  private static func sessions(_ customers: CustomerServer) -> [Route] {
    let email = Schema.Field(
      "EMAIL", .string(.init(maximumBytes: 255, pattern: "@", example: "user@example.com")))
    let token = Schema.Field(
      "SESSION_TOKEN", .string(.init(maximumBytes: 255)), "the token that requestSessionCreation gave")
    let users = Schema.Field("USER_COUNT", QueueMessages.userCount, isRequired: false, "1 without it")
    return [
      Route(
        "POST", "/requestSessionCreation", "Ask for a session",
        body: .object([
          email, .init("PASSWORD", .password),
          .init("PERSONA_TYPE", .string(.init(values: ["CUSTOMERS"]))),
          .init(
            "DATA", .object([users]), isRequired: false, "for the supervisor, which is handed all of it"),
        ]), takesPropertyLists: true,
        responses: [
          .init(200, "Accepted", answer("SESSION_CREATION_REQUEST_ACCEPTED", more: [token])),
          .init(400, "A session is pending or running, or the request is invalid"),
          .init(401, "Wrong email or password"),
          .init(429, "TOO_MANY_ATTEMPTS: after too many failed ones, with Retry-After"),
          .init(500, "The credential server does not answer"), unavailable,
        ]
      ) { try await customers.requestSession($0) },
      Route(
        "POST", "/initializeSession", "Begin the session that was asked for",
        body: .object([email, .init("SESSION_TOKEN", .string(.init(maximumBytes: 255)), isRequired: false)]),
        takesPropertyLists: true,
        responses: [
          .init(200, "A supervisor has taken it", answer("SESSION_INITIALIZED")), .init(401, "Wrong token"),
          .init(404, "No session is pending"), .init(500, "No supervisor took it in 5 s; it is pending again"),
          unavailable,
        ]
      ) { try await customers.initializeSession($0) },
      Route(
        "PUT", "/handleSessionRequests", "Speak, listen, ask for users, end",
        body: .object([
          email, token,
          .init(
            "REQUEST",
            .string(.init(values: ["SEND_MESSAGE", "GET_MESSAGES", "ADDITIONAL_USERS", "END_SESSION"]))),
          .init(
            "DATA",
            .object([
              .init("MESSAGE", .any, isRequired: false, "of SEND_MESSAGE"),
              .init(
                "AFTER", .integer(), isRequired: false,
                "of GET_MESSAGES: the last SEQ that is known. Ask again until the answer is empty"),
              users,
            ]), isRequired: false),
        ]), takesPropertyLists: true,
        responses: [
          .init(200, "Done", .object([.init("MESSAGE", .string())])), .init(401, "Wrong token"),
          .init(404, "No session is running"), .init(429, "TOO_MANY_MESSAGES: no supervisor takes them"), unavailable,
        ]
      ) { try await customers.handleRequest($0) },
    ]
  }

  private static func others(_ customers: CustomerServer) -> [Route] {
    [
      Route(
        "GET", "/serverRunning", "Whether the server runs", responses: [.init(200, "It does", answer("SERVER_RUNNING"))]
      ) { _ in .json(["MESSAGE": "SERVER_RUNNING"]) },
      Route(
        "GET", "/sessionSTATUS", "How a customer's session stands",
        arguments: [.init("message", .string(.init(maximumBytes: 4096)), "JSON with PERSONA_TYPE and EMAIL")],
        responses: [.init(200, "The status", answer("IDLE", "PENDING", "RUNNING")), unavailable]
      ) { call in
        guard let question = try? JSONParser.parse(Array(call.string("message").utf8)),
          question["PERSONA_TYPE"] == "CUSTOMERS", let email = question["EMAIL"]?.string
        else { throw failure(400, "INVALID_REQUEST") }
        return try await customers.status(of: email)
      },
      CommonRoutes.health(unavailable) { try await customers.health() },
    ]
  }
}
