import Environment

/// The route table of the Customer Server.
enum CustomerRoutes {
  fileprivate static let unavailableCode = "SERVICE_UNAVAILABLE"

  /// A failure answers with a code. A text that is not a code becomes the `DETAIL` of
  /// `INVALID_REQUEST`.
  static let description = ServiceDescription(
    name: "customers", title: "Customer Server", version: Release.version,
    errorSchema: .object([.init("MESSAGE", .string()), .init("DETAIL", .string(), isRequired: false)]),
    messages: [QueueMessages.customerAgent]
  ) { text in
    if text.hasPrefix("\(unavailableCode): ") {
      return [
        "MESSAGE": .string(unavailableCode), "DETAIL": .string(String(text.dropFirst(unavailableCode.count + 2))),
      ]
    }
    let isCode = !text.isEmpty && text.utf8.allSatisfy { $0 == UInt8(ascii: "_") || $0 >= 0x41 && $0 <= 0x5A }
    return isCode ? ["MESSAGE": .string(text)] : ["MESSAGE": "INVALID_REQUEST", "DETAIL": .string(text)]
  }

  private static func email(_ text: String) throws(CustomerRefusal) -> CustomerEmail {
    guard let email = CustomerEmail(text) else {
      throw .invalidField("EMAIL: must have an @ and at most 255 bytes")
    }
    return email
  }

  private static let unavailable = Route.Response(503, "The customer database is not available")

  private static func answer(_ codes: String..., more: [Schema.Field] = []) -> Schema {
    .object([.init("MESSAGE", .string(.init(values: codes)))] + more)
  }

  static func table(_ customers: CustomerServer, metrics: Metrics, reading read: @escaping MetricReader) -> [Route] {
    CommonRoutes.adding(
      to: requests(customers) + commands(customers) + others(customers) + [erase(customers)], service: description,
      metrics: metrics,
      reading: read)
  }

  private static let emailField = Schema.Field(
    "EMAIL", .string(.init(maximumBytes: 255, pattern: "@", example: "user@example.com")))
  private static let tokenField = Schema.Field(
    "SESSION_TOKEN", .string(.init(maximumBytes: 255)), "the token that requestSessionCreation gave")
  private static let users = Schema.Field("USER_COUNT", QueueMessages.userCount, isRequired: false, "1 without it")

  private static func requests(_ customers: CustomerServer) -> [Route] {
    [
      Route(
        "POST", "/requestSessionCreation", "Ask for a session",
        body: .object([
          emailField, .init("PASSWORD", .password),
          .init("PERSONA_TYPE", .string(.init(values: ["CUSTOMERS"]))),
          .init(
            "DATA", .object([users]), isRequired: false, "passed on to the supervisor as it is"),
        ]), takesPropertyLists: true,
        responses: [
          .init(200, "Accepted", answer("SESSION_CREATION_REQUEST_ACCEPTED", more: [tokenField])),
          .init(400, "A session is pending or running, or the request is invalid"),
          .init(401, "Wrong email or password"),
          .init(429, "TOO_MANY_ATTEMPTS: too many failed attempts, with Retry-After"),
          .init(500, "The credential server does not answer"), unavailable,
        ]
      ) { call in try await requestSession(call, customers) },
      Route(
        "POST", "/initializeSession", "Start the requested session",
        body: .object([emailField, .init("SESSION_TOKEN", .string(.init(maximumBytes: 255)), isRequired: false)]),
        takesPropertyLists: true,
        responses: [
          .init(200, "A supervisor has taken the session", answer("SESSION_INITIALIZED")), .init(401, "Wrong token"),
          .init(404, "No session is pending"),
          .init(500, "No supervisor took the session in 5 s; the request is pending again"),
          unavailable,
        ]
      ) { call in
        let shown = call.body["SESSION_TOKEN"]?.string.map { SessionToken($0) }
        try await customers.initializeSession(try email(call.string("EMAIL")), shown: shown)
        return .json(["MESSAGE": "SESSION_INITIALIZED"])
      },
    ]
  }

  private static func commands(_ customers: CustomerServer) -> [Route] {
    [
      Route(
        "PUT", "/handleSessionRequests", "Send and read messages, ask for users, or end the session",
        body: .object([
          emailField, tokenField,
          .init(
            "REQUEST",
            .string(.init(values: ["SEND_MESSAGE", "GET_MESSAGES", "ADDITIONAL_USERS", "END_SESSION"]))),
          .init(
            "DATA",
            .object([
              .init("MESSAGE", .any, isRequired: false, "of SEND_MESSAGE"),
              .init(
                "AFTER", .integer(), isRequired: false,
                "of GET_MESSAGES: the last SEQ that was read. Ask again until the answer is empty"),
              users,
            ]), isRequired: false),
        ]), takesPropertyLists: true,
        responses: [
          .init(200, "Done", .object([.init("MESSAGE", .string())])), .init(401, "Wrong token"),
          .init(404, "No session is running"), .init(429, "TOO_MANY_MESSAGES: too many wait for a supervisor"),
          unavailable,
        ]
      ) { call in
        let answer = try await customers.handle(
          call.string("REQUEST"), call.body["DATA"] ?? .object([]), of: try email(call.string("EMAIL")),
          shown: SessionToken(call.string("SESSION_TOKEN")))
        return .json(answer.json)
      }
    ]
  }

  private static func erase(_ customers: CustomerServer) -> Route {
    Route(
      "POST", "/operator/customers/erase",
      "Delete the request or session of a customer, and the transcripts of sessions",
      access: .operators,
      body: .object([
        emailField,
        .init(
          "SESSIONS", .array(of: QueueMessages.supervisorID, maximum: 1000), isRequired: false,
          "sessions that the User Manager has removed"), .dryRun,
      ]),
      responses: [
        .init(
          200, "What was found, and the number of requests for a supervisor that are still under way",
          answer(
            "ERASED",
            more: [
              .init("REQUESTS", .integer(minimum: 0)), .init("MESSAGES", .integer(minimum: 0)),
              .init("UNDER_WAY", .integer(minimum: 0)), .init("DRY_RUN", .boolean),
            ])), unavailable,
      ]
    ) { call in
      let sessions = (call.body["SESSIONS"]?.array ?? []).compactMap { $0.string.flatMap { SupervisorID($0) } }
      return .json(
        try await customers.erase(
          try email(call.string("EMAIL")), sessions: sessions, isTrial: call.body["dry_run"] == true))
    }
  }

  private static func requestSession(_ call: Call, _ customers: CustomerServer) async throws -> Reply {
    let email = try email(call.string("EMAIL"))
    guard call.body["PERSONA_TYPE"] == "CUSTOMERS", UserCount(call.body["DATA"]?["USER_COUNT"]) != nil else {
      throw CustomerRefusal.invalidRequest
    }
    do {
      let token = try await customers.requestSession(
        email, password: call.string("PASSWORD"), data: call.body["DATA"] ?? .object([]), from: call.client.host)
      return .json(["MESSAGE": "SESSION_CREATION_REQUEST_ACCEPTED", "SESSION_TOKEN": .string(token.text)])
    } catch CustomerRefusal.sessionExists(let token) {
      return .json(["MESSAGE": "SESSION_ALREADY_RUNNING", "SESSION_TOKEN": .string(token.text)], status: 400)
    }
  }

  private static func statusCode(_ status: CustomerSession.Status?) -> String {
    switch status {
    case nil: "IDLE"
    case .pending?, .initializing?: "PENDING"
    case .running?: "RUNNING"
    }
  }

  private static func others(_ customers: CustomerServer) -> [Route] {
    [
      Route(
        "GET", "/serverRunning", "Whether the server runs",
        responses: [.init(200, "The server runs", answer("SERVER_RUNNING"))]
      ) { _ in .json(["MESSAGE": "SERVER_RUNNING"]) },
      Route(
        "GET", "/sessionSTATUS", "The status of a customer's session",
        arguments: [.init("message", .string(.init(maximumBytes: 4096)), "JSON with PERSONA_TYPE and EMAIL")],
        responses: [.init(200, "The status", answer("IDLE", "PENDING", "RUNNING")), unavailable]
      ) { call in
        guard let question = try? JSONParser.parse(Array(call.string("message").utf8)),
          question["PERSONA_TYPE"] == "CUSTOMERS",
          let email = question["EMAIL"]?.string.flatMap({ CustomerEmail($0) })
        else { throw CustomerRefusal.invalidRequest }
        let status = try await customers.status(of: email)
        return .json(["MESSAGE": .string(statusCode(status))])
      },
      CommonRoutes.health(unavailable) { try await customers.health() },
    ]
  }
}

extension SessionCommand.Answer {
  fileprivate var json: JSONValue {
    switch self {
    case .messageSent(let id): ["MESSAGE": "MESSAGE_SENT", "MESSAGE_ID": .string(id.text)]
    case .messages(let messages): ["MESSAGE": "MESSAGES", "MESSAGES": .array(messages)]
    case .usersRequested: ["MESSAGE": "ADDITIONAL_USERS_REQUESTED"]
    case .ended: ["MESSAGE": "SESSION_ENDED"]
    }
  }
}

extension CustomerRefusal: HTTPRefusal {
  /// A code of the contract, or the field that is invalid.
  var failure: HTTPFailure {
    switch self {
    case .invalidRequest: HTTPFailure(400, "INVALID_REQUEST")
    case .invalidField(let reason): HTTPFailure(400, reason)
    case .invalidEmailOrPassword: HTTPFailure(401, "INVALID_EMAIL_OR_PASSWORD")
    case .invalidSessionToken: HTTPFailure(401, "INVALID_SESSION_TOKEN")
    case .noSessionPending: HTTPFailure(404, "NO_SESSION_PENDING")
    case .noSessionRunning: HTTPFailure(404, "NO_SESSION_RUNNING")
    case .sessionExists: HTTPFailure(400, "SESSION_ALREADY_RUNNING")
    case .sessionCreationFailed: HTTPFailure(500, "SESSION_CREATION_FAILED")
    case .tooManyAttempts(let fields): HTTPFailure(429, "TOO_MANY_ATTEMPTS", fields: fields)
    case .tooManyMessages: HTTPFailure(429, "TOO_MANY_MESSAGES", fields: [("retry-after", "1")])
    case .unavailable: HTTPFailure(503, "SERVICE_UNAVAILABLE")
    case .brokerUnavailable(let fault): HTTPFailure(503, "\(CustomerRoutes.unavailableCode): \(fault)")
    }
  }
}
