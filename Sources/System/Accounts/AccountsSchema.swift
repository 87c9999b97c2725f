import Environment

/// The database of the User Service. The two tables of the seed are as the seed has them, with columns and tables beside them.
enum AccountsSchema {
  /// Names are unique without regard to case, which needs a column of its own each: SQL's own folding knows ASCII
  /// alone. A row that comes from elsewhere without them gets them at the start (`completeRows`).
  static let migrations = Migrations(
    """
    CREATE TABLE users (
      user_id VARCHAR(64) PRIMARY KEY,
      user_email VARCHAR(255) UNIQUE NOT NULL,
      username VARCHAR(150) UNIQUE NOT NULL,
      password_hash VARCHAR(256) NOT NULL,
      salt VARCHAR(64) NOT NULL,
      created_at TIMESTAMP NOT NULL,
      last_login TIMESTAMP,
      email_key VARCHAR(255) UNIQUE,
      username_key VARCHAR(600) UNIQUE
    );
    CREATE TABLE shared_names (
      name_key VARCHAR(600) NOT NULL,
      user_id VARCHAR(64) NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
      PRIMARY KEY (name_key, user_id)
    );
    CREATE INDEX shared_names_by_user ON shared_names (user_id);
    CREATE TABLE user_sessions (
      session_id VARCHAR(64) PRIMARY KEY,
      user_id VARCHAR(64) NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
      created_at TIMESTAMP NOT NULL,
      last_used BIGINT
    );
    CREATE INDEX user_sessions_by_user ON user_sessions (user_id);
    CREATE INDEX user_sessions_by_use ON user_sessions (last_used);
    CREATE TABLE used_refresh_tokens (token_id VARCHAR(64) PRIMARY KEY, expires_at BIGINT NOT NULL);
    CREATE INDEX used_refresh_tokens_by_expiry ON used_refresh_tokens (expires_at);
    CREATE TABLE revoked_logins (family VARCHAR(64) PRIMARY KEY, expires_at BIGINT NOT NULL);
    CREATE INDEX revoked_logins_by_expiry ON revoked_logins (expires_at);
    CREATE TABLE session_events (
      event_id INTEGER PRIMARY KEY AUTOINCREMENT,
      kind VARCHAR(16) NOT NULL,
      user_id VARCHAR(64) NOT NULL,
      session_id VARCHAR(64) NOT NULL
    );
    CREATE TABLE deleted_users (event_id INTEGER PRIMARY KEY, user_id VARCHAR(64) NOT NULL);
    """,
    from: [
      """
      CREATE TABLE deleted_users (event_id INTEGER PRIMARY KEY, user_id VARCHAR(64) NOT NULL);
      INSERT INTO deleted_users SELECT event_id, user_id FROM session_events WHERE kind = 'user_deleted'
      """,
      """
      ALTER TABLE user_sessions ADD COLUMN last_used BIGINT;
      CREATE INDEX user_sessions_by_use ON user_sessions (last_used)
      """,
      """
      DROP TRIGGER users_keys;
      CREATE TABLE shared_names (
        name_key VARCHAR(600) NOT NULL,
        user_id VARCHAR(64) NOT NULL REFERENCES users (user_id) ON DELETE CASCADE,
        PRIMARY KEY (name_key, user_id)
      );
      CREATE INDEX shared_names_by_user ON shared_names (user_id)
      """,
      Migrations.Step { connection throws(DatabaseError) in _ = try connection.foldNames(onlyMissing: false) },
    ])
}

/// What went wrong in a transaction of the User Service, in the service's own terms.
enum AccountsFailure: Error, Equatable {
  case emailTaken
  case usernameTaken
  case sessionTaken
  case tooManySessions
  case sessionNotFound
  case userNotFound
  case loginRevoked
}

/// A row of `users`, as login needs it.
final class StoredUser: Sendable {
  let id: String
  let password: PasswordHash
  let lastLogin: String

  init(id: String, password: PasswordHash, lastLogin: String) {
    self.id = id
    self.password = password
    self.lastLogin = lastLogin
  }
}

/// The transactions of the User Service: what they read, decide and write, each one synchronous and whole.
extension SQLConnection {
  func addUser(
    id: String, email: EmailAddress, username: Username, password: PasswordHash, at now: String
  ) throws {
    try requireFree(email, username)
    try execute(
      """
      INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at, email_key, username_key)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
      """, .text(id), .text(email.text), .text(username.text), .text(password.hash), .text(password.salt), .text(now),
      .text(email.key), .text(username.key))
  }

  /// Refuses names that others have, or share since before names were folded.
  func requireFree(_ email: EmailAddress, _ username: Username) throws {
    let exists = { (sql: SQLText, value: String) throws(DatabaseError) in
      try self.first(sql, .text(value)) { $0.int(0) } != nil
    }
    if try exists("SELECT 1 FROM users WHERE email_key = $1", email.key) { throw AccountsFailure.emailTaken }
    if try exists("SELECT 1 FROM users WHERE username_key = $1", username.key) { throw AccountsFailure.usernameTaken }
    if try exists("SELECT 1 FROM shared_names WHERE name_key = $1", email.key) { throw AccountsFailure.emailTaken }
    if try exists("SELECT 1 FROM shared_names WHERE name_key = $1", username.key) {
      throw AccountsFailure.usernameTaken
    }
  }

  /// Whose a name is. An account that shares its folded name with an older one still has its former key, so that is looked
  /// for first.
  func user(named name: AccountName) throws(DatabaseError) -> StoredUser? {
    if let former = name.formerKey, let user = try user(withKey: former, isEmail: name.isEmail) { return user }
    return try user(withKey: name.key, isEmail: name.isEmail)
  }

  private func user(withKey key: String, isEmail: Bool) throws(DatabaseError) -> StoredUser? {
    let query: SQLText =
      isEmail
      ? "SELECT user_id, password_hash, salt, last_login FROM users WHERE email_key = $1"
      : "SELECT user_id, password_hash, salt, last_login FROM users WHERE username_key = $1"
    return try first(query, .text(key)) { row in
      StoredUser(id: row.text(0), password: PasswordHash(hash: row.text(1), salt: row.text(2)), lastLogin: row.text(3))
    }
  }

  func noteLogin(_ user: String, at now: String) throws(DatabaseError) {
    try execute("UPDATE users SET last_login = $2 WHERE user_id = $1", .text(user), .text(now))
  }

  /// Replaces a hash by a stronger one, unless it was replaced meanwhile.
  func upgradePassword(_ user: String, from old: PasswordHash, to new: PasswordHash) throws(DatabaseError) {
    try execute(
      "UPDATE users SET password_hash = $3, salt = $4 WHERE user_id = $1 AND password_hash = $2", .text(user),
      .text(old.hash), .text(new.hash), .text(new.salt))
  }

  /// A token of a login that was revoked is dead, even when its time is not up.
  func requireLive(_ principal: Principal) throws {
    if try isRevoked(principal.login) { throw AccountsFailure.loginRevoked }
  }

  private func isRevoked(_ family: String) throws(DatabaseError) -> Bool {
    try first("SELECT 1 FROM revoked_logins WHERE family = $1", .text(family)) { $0.int(0) } != nil
  }

  func requireUser(_ user: String) throws {
    guard try first("SELECT 1 FROM users WHERE user_id = $1", .text(user), row: { $0.int(0) }) != nil else {
      throw AccountsFailure.userNotFound
    }
  }

  /// Seconds for which dead tokens are remembered beyond their end: a clock that is put back by up to a day brings none of
  /// them to life again.
  static let clockMargin: Int64 = 86_400

  /// Uses up a refresh token. False when it was used before: then the whole login is revoked.
  func useRefreshToken(_ claims: TokenClaims, at now: Timestamp, revokedUntil: Timestamp) throws -> Bool {
    try requireUser(claims.subject)
    if try isRevoked(claims.id.family) { throw AccountsFailure.loginRevoked }
    let forgettable = SQLValue.int(now.seconds - Self.clockMargin)
    try execute("DELETE FROM used_refresh_tokens WHERE expires_at < $1", forgettable)
    let used = try execute(
      "INSERT INTO used_refresh_tokens (token_id, expires_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
      .text(claims.id.text), .int(claims.expires.seconds))
    if used == 1 { return true }
    try execute("DELETE FROM revoked_logins WHERE expires_at < $1", forgettable)
    try execute(
      "INSERT INTO revoked_logins (family, expires_at) VALUES ($1, $2)", .text(claims.id.family),
      .int(revokedUntil.seconds))
    return false
  }

  /// Adds a session in one statement, which is what most of them take; why it was refused is asked after. Returns whether
  /// sessions that were not used for too long had to make room for it.
  @discardableResult
  func addSession(_ session: String, of user: String, family: String?, at now: Timestamp, _ rules: SessionRules) throws
    -> Bool
  {
    if try insertSession(session, user, family, now, rules) { return false }
    if let family, try isRevoked(family) { throw AccountsFailure.loginRevoked }
    try requireUser(user)
    let madeRoom = try endUnusedSessions(of: user, or: session, at: now, rules)
    if madeRoom, try insertSession(session, user, family, now, rules) { return true }
    if try owner(of: session, at: now, rules) != nil { throw AccountsFailure.sessionTaken }
    throw AccountsFailure.tooManySessions
  }

  private func insertSession(
    _ session: String, _ user: String, _ family: String?, _ now: Timestamp, _ rules: SessionRules
  ) throws(DatabaseError) -> Bool {
    try execute(
      """
      INSERT INTO user_sessions (session_id, user_id, created_at, last_used) SELECT $1, user_id, $3, $5 FROM users
      WHERE user_id = $2 AND (SELECT count(*) FROM user_sessions WHERE user_id = $2) < $6
      AND NOT EXISTS (SELECT 1 FROM revoked_logins WHERE family = $4) ON CONFLICT DO NOTHING
      """, .text(session), .text(user), .text(now.rfc3339), family.map { .text($0) } ?? .null,
      .int(now.milliseconds), .int(Int64(rules.maximum))) == 1
  }

  /// In the order in which they were added, which `rowid` keeps when clocks do not.
  func sessions(of user: String, at now: Timestamp, _ rules: SessionRules) throws(DatabaseError) -> [(
    id: String, createdAt: String
  )] {
    try query(
      """
      SELECT session_id, created_at FROM user_sessions WHERE user_id = $1 AND ifnull(last_used, $2) >= $2 ORDER BY rowid
      """, .text(user), .int(rules.earliestUse(at: now))
    ) { ($0.text(0), $0.text(1)) }
  }

  func deleteSession(_ session: String, of user: String) throws {
    try requireUser(user)
    let deleted = try execute(
      "DELETE FROM user_sessions WHERE session_id = $1 AND user_id = $2", .text(session), .text(user))
    if deleted == 0 { throw AccountsFailure.sessionNotFound }
    try addEvent("session_ended", user: user, session: session)
  }

  func deleteUser(_ user: String) throws {
    try requireUser(user)
    let sessions = try query("SELECT session_id FROM user_sessions WHERE user_id = $1", .text(user)) { $0.text(0) }
    for session in sessions { try addEvent("session_ended", user: user, session: session) }
    try execute("DELETE FROM users WHERE user_id = $1", .text(user))
    try addEvent("user_deleted", user: user, session: "")
    try execute(
      "INSERT INTO deleted_users (event_id, user_id) SELECT max(event_id), $1 FROM session_events", .text(user))
  }
}
