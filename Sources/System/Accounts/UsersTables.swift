/// The columns of `users` that a login needs.
struct StoredUser: Sendable {
  let id: AccountID
  let password: PasswordHash
  /// The time of the last login, RFC 3339; empty before the first.
  let lastLogin: String
  /// The generation of the tokens that are valid.
  let generation: Int64
  /// Whether an operator has disabled the account.
  let isDisabled: Bool
}

/// An account as operators see it.
struct AccountSummary: Sendable {
  let id: AccountID
  let username: String
  let email: String
  let isDisabled: Bool
}

/// The tables `users` and `shared_names`.
struct UsersTables {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  func add(
    _ id: AccountID, email: EmailAddress, username: Username, password: PasswordHash, at now: String
  ) async throws {
    try await requireFree(email, username)
    let added = try await connection.execute(
      """
      INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at, email_key, username_key)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
      """, .text(id.value), .text(email.text), .text(username.text), .text(password.hash), .text(password.salt),
      .text(now), .text(email.key), .text(username.key))
    guard added == 0 else { return }
    // Another transaction has added one of the names meanwhile.
    try await requireFree(email, username)
    throw AccountRefusal.usernameTaken
  }

  func delete(_ user: AccountID) async throws(DatabaseError) {
    try await connection.execute("DELETE FROM users WHERE user_id = $1", .text(user.value))
  }

  /// Refuses an email or a username that another account has. A name that two accounts of an
  /// earlier release share stays taken after one of them is deleted.
  func requireFree(_ email: EmailAddress, _ username: Username) async throws {
    if try await exists("SELECT 1 FROM users WHERE email_key = $1", email.key) { throw AccountRefusal.emailTaken }
    if try await exists("SELECT 1 FROM users WHERE username_key = $1", username.key) {
      throw AccountRefusal.usernameTaken
    }
    if try await exists("SELECT 1 FROM shared_names WHERE name_key = $1", email.key) { throw AccountRefusal.emailTaken }
    if try await exists("SELECT 1 FROM shared_names WHERE name_key = $1", username.key) {
      throw AccountRefusal.usernameTaken
    }
  }

  private func exists(_ query: SQLText, _ key: String) async throws(DatabaseError) -> Bool {
    try await connection.first(query, .text(key)) { _ in true } ?? false
  }

  /// Requires an account, and that tokens of a generation are valid, unless it is nil.
  func require(_ user: AccountID, generation: Int64?) async throws {
    try await require(user, generation, "SELECT login_generation FROM users WHERE user_id = $1")
  }

  /// Requires an account as `require` does, and locks its row, for a transaction that decides about
  /// the account.
  func lock(_ user: AccountID, generation: Int64? = nil) async throws {
    try await require(user, generation, "SELECT login_generation FROM users WHERE user_id = $1 FOR UPDATE")
  }

  private func require(_ user: AccountID, _ generation: Int64?, _ query: SQLText) async throws {
    guard let valid = try await connection.first(query, .text(user.value), row: { $0.int(0) }) else {
      throw AccountRefusal.userNotFound
    }
    if let generation, generation != valid { throw AccountRefusal.loginRevoked }
  }

  /// Makes all tokens of an account invalid.
  func beginGeneration(of user: AccountID) async throws(DatabaseError) {
    try await connection.execute(
      "UPDATE users SET login_generation = login_generation + 1 WHERE user_id = $1", .text(user.value))
  }

  /// Disables an account, or enables it if `time` is nil. A disabled account keeps its first time.
  func setDisabled(_ user: AccountID, at time: String?) async throws(DatabaseError) {
    guard let time else {
      try await connection.execute("UPDATE users SET disabled_at = NULL WHERE user_id = $1", .text(user.value))
      return
    }
    try await connection.execute(
      "UPDATE users SET disabled_at = $2 WHERE user_id = $1 AND disabled_at IS NULL", .text(user.value), .text(time))
  }

  func summary(of user: AccountID) async throws(DatabaseError) -> AccountSummary? {
    try await connection.first(
      "SELECT user_id, username, user_email, disabled_at FROM users WHERE user_id = $1", .text(user.value)
    ) {
      AccountSummary(id: AccountID($0.text(0)), username: $0.text(1), email: $0.text(2), isDisabled: !$0.isNull(3))
    }
  }

  /// Finds an account by its email or username. An account that shares its folded name with an
  /// older account keeps the key of an earlier release, so that key is tried first.
  func find(_ name: AccountName) async throws(DatabaseError) -> StoredUser? {
    if let former = name.formerKey, let user = try await find(key: former, isEmail: name.isEmail) { return user }
    return try await find(key: name.key, isEmail: name.isEmail)
  }

  private func find(key: String, isEmail: Bool) async throws(DatabaseError) -> StoredUser? {
    // PostgreSQL has no text with this character, so it refuses to look for one.
    guard !key.utf8.contains(0) else { return nil }
    let query: SQLText =
      isEmail
      ? """
      SELECT user_id, password_hash, salt, last_login, login_generation, disabled_at FROM users WHERE email_key = $1
      """
      : """
      SELECT user_id, password_hash, salt, last_login, login_generation, disabled_at FROM users
      WHERE username_key = $1
      """
    return try await connection.first(query, .text(key)) { row in
      StoredUser(
        id: AccountID(row.text(0)), password: PasswordHash(hash: row.text(1), salt: row.text(2)),
        lastLogin: row.text(3), generation: row.int(4), isDisabled: !row.isNull(5))
    }
  }

  func username(of user: AccountID) async throws(DatabaseError) -> String? {
    try await connection.first("SELECT username FROM users WHERE user_id = $1", .text(user.value)) { $0.text(0) }
  }

  func setLastLogin(_ user: AccountID, to now: String) async throws(DatabaseError) {
    try await connection.execute("UPDATE users SET last_login = $2 WHERE user_id = $1", .text(user.value), .text(now))
  }

  func setPassword(_ user: AccountID, to new: PasswordHash) async throws(DatabaseError) {
    try await connection.execute(
      "UPDATE users SET password_hash = $2, salt = $3 WHERE user_id = $1", .text(user.value), .text(new.hash),
      .text(new.salt))
  }

  /// Replaces a hash, unless another transaction has replaced it since it was read.
  func setPassword(_ user: AccountID, from old: PasswordHash, to new: PasswordHash) async throws(DatabaseError) {
    try await connection.execute(
      "UPDATE users SET password_hash = $3, salt = $4 WHERE user_id = $1 AND password_hash = $2", .text(user.value),
      .text(old.hash), .text(new.hash), .text(new.salt))
  }
}
