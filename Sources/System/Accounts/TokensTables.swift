import Environment

/// The tables `used_refresh_tokens` and `revoked_logins`.
struct TokensTables {
  /// Seconds for which a token is remembered after it has expired. A clock that is set back by up
  /// to a day then makes no used or revoked token valid again.
  static let clockMargin: Int64 = 86_400

  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Uses up a refresh token.
  /// - Returns: False if the token was used before; its whole login is revoked then.
  func useRefreshToken(_ claims: TokenClaims, at now: Timestamp, revokedUntil: Timestamp) async throws -> Bool {
    try await UsersTables(connection).lock(claims.subject, generation: claims.generation)
    try await requireLive(claims.id.family)
    let forgettable = SQLValue.int(now.seconds - Self.clockMargin)
    try await connection.execute("DELETE FROM used_refresh_tokens WHERE expires_at < $1", forgettable)
    let used = try await connection.execute(
      "INSERT INTO used_refresh_tokens (token_id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
      .text(claims.id.text), .int(claims.expires.seconds))
    if used == 1 { return true }
    try await connection.execute("DELETE FROM revoked_logins WHERE expires_at < $1", forgettable)
    try await connection.execute(
      "INSERT INTO revoked_logins (family, expires_at) VALUES ($1, $2)", .text(claims.id.family.value),
      .int(revokedUntil.seconds))
    return false
  }

  /// Refuses a login that was revoked, also while its tokens have not expired.
  func requireLive(_ login: LoginID) async throws {
    if try await isRevoked(login) { throw AccountRefusal.loginRevoked }
  }

  func isRevoked(_ login: LoginID) async throws(DatabaseError) -> Bool {
    try await connection.first("SELECT 1 FROM revoked_logins WHERE family = $1", .text(login.value)) { $0.int(0) }
      != nil
  }
}
