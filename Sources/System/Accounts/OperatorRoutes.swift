/// The routes of the User Service for operators.
enum OperatorRoutes {
  private static let account = Schema.object([
    .init("user_id", .string()), .init("username", .string()), .init("email", .string()),
    .init("disabled", .boolean), .init("sessions_ended", .integer(minimum: 0)),
    .init("dry_run", .boolean, "whether nothing was changed"),
  ])
  private static let user = Schema.Field(
    "user", .string(.init(minimumLength: 1, maximumBytes: AccountName.maximumBytes, example: "user@example.com")),
    "id, email or username")

  private static func route(
    _ verb: String, _ summary: String, _ fields: [Schema.Field] = [], handler: @escaping Route.Handler
  ) -> Route {
    Route(
      "POST", "/operator/users/\(verb)", summary, access: .operators, body: .object([user] + fields + [.dryRun]),
      responses: [
        .init(200, "The account", account), .init(404, "No such account"),
        .init(503, "The user database is not available"),
      ], handler: handler)
  }

  static func table(_ users: UserService) -> [Route] {
    [
      route("disable", "Disable an account: it cannot log in, and its tokens and sessions end") {
        try await users.operate($0, .disable)
      },
      route("enable", "Enable a disabled account; its user has to log in again") {
        try await users.operate($0, .enable)
      },
      route("revoke", "End the tokens and sessions of an account") { try await users.operate($0, .revoke) },
      route("erase", "Delete an account. The other services have to erase what they have of it first") {
        try await users.operate($0, .erase)
      },
      route(
        "set-password", "Give an account a new password, and end its tokens and sessions",
        [.init("password", .newPassword)]
      ) { try await users.operate($0, .setPassword(users.newPassword($0))) },
    ]
  }
}
