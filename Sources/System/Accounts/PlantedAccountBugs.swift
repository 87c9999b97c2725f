import Environment

/// An error that no route expects.
private struct PlantedFailure: Error {}

/// The bodies of the User Service's planted bugs.
extension UserService {
  /// Fails, ends the process or hangs, where that is planted.
  func misbehave() async throws {
    if options.planted(.fails), environment.entropy.below(50) == 0 { throw PlantedFailure() }
    if options.planted(.traps), environment.entropy.below(20) == 0 { fatalError("planted") }
    if options.planted(.loops), environment.entropy.below(20) == 0 { while true {} }
    if options.planted(.hangs) { try await environment.clock.sleep(for: .seconds(86_400)) }
  }

  /// Sessions in the order of their ids.
  static func byID(_ sessions: [UserSession]) -> [UserSession] { sessions.sorted { $0.id.value < $1.id.value } }

  func useRefreshTokenInTwoSteps(_ claims: TokenClaims) async throws -> Bool {
    let id = claims.id.text
    let used = try await database.transaction {
      try await $0.first("SELECT 1 FROM used_refresh_tokens WHERE token_id = $1", .text(id)) { $0.int(0) } != nil
    }
    if used {
      let family = claims.id.family.value
      try await database.transaction {
        try await $0.execute(
          "INSERT INTO revoked_logins (family, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", .text(family),
          .int(.max))
      }
      return false
    }
    try await database.transaction {
      try await $0.execute(
        "INSERT INTO used_refresh_tokens (token_id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", .text(id),
        .int(claims.expires.seconds))
    }
    return true
  }

  func addSessionInTwoSteps(_ session: UserSessionID, of user: AccountID, at now: Timestamp) async throws {
    let exists = try await database.transaction { connection in
      try await AccountsTables(connection).users.require(user, generation: nil)
      return try await connection.first("SELECT 1 FROM user_sessions WHERE session_id = $1", .text(session.value)) {
        $0.int(0)
      } != nil
    }
    if exists { throw AccountRefusal.sessionTaken }
    try await database.transaction {
      try await AccountsTables($0).users.require(user, generation: nil)
      try await $0.execute(
        """
        INSERT INTO user_sessions (session_id, user_id, created_at) VALUES ($1, $2, $3)
        ON CONFLICT (session_id) DO UPDATE SET user_id = $2
        """, .text(session.value), .text(user.value), .text(now.rfc3339))
    }
  }
}

extension SQLSession {
  func addUserByCase(
    _ id: AccountID, email: EmailAddress, username: Username, password: PasswordHash, at now: String
  ) async throws {
    let taken = try await first(
      "SELECT 1 FROM users WHERE user_email = $1 OR username = $2", .text(email.text), .text(username.text)
    ) {
      $0.int(0)
    }
    if taken != nil { throw AccountRefusal.usernameTaken }
    try await execute(
      """
      INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at, email_key, username_key)
      VALUES ($1, $2, $3, $4, $5, $6, $2, $3)
      """, .text(id.value), .text(email.text), .text(username.text), .text(password.hash), .text(password.salt),
      .text(now))
  }
}
