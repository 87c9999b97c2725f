import Environment

/// The route table of the Chat Service.
enum ChatRoutes {
  static let description = ServiceDescription(
    name: "chat", title: "Chat Service", version: Release.version, errorSchema: .object([.init("error", .string())]),
    messages: [ChatEventTable.table, QueueMessages.userServerAgent]
  ) { ["error": .string($0)] }

  static func table(_ chat: ChatEndpoints, metrics: Metrics, reading read: @escaping MetricReader) -> [Route] {
    CommonRoutes.adding(
      to: accounts(chat) + contacts(chat) + groups(chat) + others(chat), service: description, metrics: metrics,
      reading: read)
  }

  private static let session = Schema.Field(
    "sessionID", .string(.init(maximumBytes: 255)), "the session that /login gave")
  private static let username = Schema.Field("username", .string(.init(minimumLength: 1, maximumLength: 150)))
  private static let contactName = Schema.Field("contact", ChatRules.username, "the contact's username")
  private static let member = Schema.Field("member", ChatRules.username, "a username")
  private static let groupID = Schema.Field("group_id", .integer(minimum: 1))
  private static let page = [
    Schema.Field("limit", .integer(minimum: 1, maximum: ChatRules.maximumPage), isRequired: false, "50 without it"),
    Schema.Field("before", .integer(), isRequired: false, "only messages with a lower seq"),
    Schema.Field("after", .integer(), isRequired: false, "only messages with a higher seq"),
  ]
  static let contact = contact(statuses: ContactStatus.allCases.map(\.rawValue))
  static func contact(statuses: [String]) -> Schema {
    .object([
      .init("user_id", .integer(minimum: 1)), .init("username", .string()),
      .init("status", .string(.init(values: statuses))), .init("is_online", .boolean),
      .init(
        "changes", .array(of: .string(.init(values: ContactStatus.allCases.map(\.rawValue)))), isRequired: false,
        "the statuses that the user may set"),
    ])
  }
  static let group = Schema.object([
    .init("group_id", .integer(minimum: 1)), .init("name", .string()), .init("members", .array(of: .string())),
  ])
  static let message = Schema.object([
    .init("message_id", .integer(minimum: 1)), .init("seq", .integer(minimum: 1)),
    .init("sender_id", .integer(minimum: 1)),
    .init("sender_username", .string()), .init("recipient_id", .integer(minimum: 1)), .init("content", .string()),
    .init("type", .string(.init(values: MessageKind.allCases.map(\.rawValue)))),
    .init("timestamp", .string(.init(format: "date-time"))), .init("is_group", .boolean),
  ])
  private static let done = Schema.object([.init("message", .string())])
  private static let unavailable = Route.Response(503, "The chat database or the User Service is not available")
  private static let noSession = Route.Response(401, "No such session, or it has ended")

  private static func route(
    _ method: String, _ path: String, _ summary: String, _ arguments: [Schema.Field], _ answer: Schema,
    _ failures: [Route.Response], handler: @escaping Route.Handler
  ) -> Route {
    Route(
      method, path, summary, arguments: arguments,
      responses: [.init(200, "Done", answer)] + failures + [unavailable], handler: handler)
  }

  private static func accounts(_ chat: ChatEndpoints) -> [Route] {
    let password = Schema.string(.init(minimumLength: 1, maximumBytes: Password.maximumRawBytes))
    let credentials = [username, Schema.Field("password", password)]
    let logins = ["POST", "GET"].map { method in
      route(
        method, "/login",
        method == "GET" ? "Log in, as the first version did: a query ends up in logs, use POST" : "Log in", credentials,
        .object([.init("sessionID", .string()), .init("user_id", .integer(minimum: 1)), .init("username", .string())]),
        [.init(401, "Wrong username or password"), .init(429, "Too many failed logins")]
      ) { try await chat.login($0) }
    }
    return [
      route(
        "POST", "/register", "Register a user",
        [
          username,
          Schema.Field("password", .newPassword),
          Schema.Field("public_key", .string(.init(maximumBytes: 16384)), isRequired: false, "not used"),
        ],
        .object([.init("message", .string()), .init("user_id", .integer(minimum: 1)), .init("username", .string())]),
        [.init(400, "Invalid data, or username taken")]
      ) { try await chat.register($0) }
    ] + logins + [
      route("POST", "/logout", "End a session and close its sockets", [session], done, [noSession]) {
        try await chat.logout($0)
      }
    ]
  }

  private static func contacts(_ chat: ChatEndpoints) -> [Route] {
    let change = Schema.object([.init("message", .string()), .init("contact", contact)])
    let unknown = Route.Response(404, "No such contact")
    return [
      route(
        "POST", "/addContact", "Ask a user to be a contact, or accept a request", [session, contactName], change,
        [noSession, unknown]
      ) {
        try await chat.addContact($0)
      },
      route(
        "POST", "/changeContact", "Change the status of a contact",
        [session, contactName, .init("status", .string(.init(values: ContactStatus.allCases.map(\.rawValue))))], change,
        [.init(400, "The change is not allowed"), noSession, unknown]
      ) { try await chat.changeContact($0) },
      route(
        "GET", "/getContacts", "The user's contacts",
        [session, .init("changes", .boolean, isRequired: false, "adds the statuses that the user may set")],
        .array(of: contact), [noSession]
      ) { try await chat.getContacts($0) },
      route(
        "GET", "/getContactMessages", "Messages with a contact, oldest first", [session, contactName] + page,
        .array(of: message), [noSession, unknown]
      ) { try await chat.getContactMessages($0) },
    ]
  }

  private static func groups(_ chat: ChatEndpoints) -> [Route] {
    let unknown = Route.Response(404, "No such group, or no such user")
    let change = Schema.object([
      .init("message", .string()), .init("group_id", .integer(minimum: 1)), .init("name", .string()),
      .init("members", .array(of: .string())),
    ])
    let notAdmin = Route.Response(403, "Not an admin of the group")
    return [
      route(
        "POST", "/createGroup", "Create a group",
        [
          session, .init("name", .string(.init(minimumLength: 1, maximumLength: 150))),
          .init(
            "members", .array(of: ChatRules.username, maximum: ChatRules.maximumMembersInCall),
            isRequired: false, "usernames"),
        ], group, [noSession, unknown]
      ) { try await chat.createGroup($0) },
      route(
        "POST", "/addGroupMember", "Add a member to a group", [session, groupID, member], change,
        [noSession, notAdmin, unknown]
      ) { try await chat.addGroupMember($0) },
      route(
        "POST", "/removeGroupMember", "Remove a member from a group, or leave it", [session, groupID, member], change,
        [noSession, notAdmin, unknown]
      ) { try await chat.removeGroupMember($0) },
      route("GET", "/getGroups", "The user's groups", [session], .array(of: group), [noSession]) {
        try await chat.getGroups($0)
      },
      route(
        "GET", "/getGroupMessages", "Messages of a group, oldest first", [session, groupID] + page, .array(of: message),
        [noSession, unknown]
      ) { try await chat.getGroupMessages($0) },
    ]
  }

  private static func others(_ chat: ChatEndpoints) -> [Route] {
    [
      Route(
        "POST", "/operator/users/erase", "Take an account that is about to be deleted out of its contacts and groups",
        access: .operators,
        body: .object([
          .init("user_id", .string(.init(minimumLength: 1, maximumLength: 64)), "the id at the User Service"), .dryRun,
        ]),
        responses: [
          .init(
            200, "What there was",
            .object([
              .init("contacts", .integer(minimum: 0)), .init("groups", .integer(minimum: 0)),
              .init("dry_run", .boolean),
            ])), unavailable,
        ]
      ) { try await chat.erase($0) },
      Route(
        "POST", "/services/users", "The names and accounts of users", access: .service,
        body: .object([
          .init("user_ids", .array(of: .integer(minimum: 1), maximum: ChatUsersTable.maximumNames))
        ]),
        responses: [
          .init(
            200, "Those that are known",
            .object([
              .init(
                "users",
                .array(
                  of: .object([
                    .init("user_id", .integer(minimum: 1)), .init("username", .string()),
                    .init("account_id", .string(), "the id at the User Service"),
                  ])))
            ])), unavailable,
        ]
      ) { try await chat.names($0) },
      CommonRoutes.health(unavailable) { try await chat.health() },
      Route(
        "GET", "/", "A greeting", responses: [.init(200, "The greeting", .string(), contentType: "text/plain")]
      ) { _ in
        .response(
          HTTPResponse(
            status: 200, fields: [("content-type", "text/plain; charset=utf-8")], body: Array("Hello World".utf8)))
      },
    ]
  }
}
