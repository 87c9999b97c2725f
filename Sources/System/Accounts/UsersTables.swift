/// The columns of `users` that a login needs.
struct StoredUser: Sendable {
  let id: AccountID
  let password: PasswordHash
  /// The time of the last login, RFC 3339; empty before the first.
  let lastLogin: String
}

/// The tables `users` and `shared_names`.
struct UsersTables {
  private let connection: SQLConnection

  init(_ connection: SQLConnection) { self.connection = connection }

  func add(_ id: AccountID, email: EmailAddress, username: Username, password: PasswordHash, at now: String) throws {
    try requireFree(email, username)
    try connection.execute(
      """
      INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at, email_key, username_key)
      VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
      """, .text(id.value), .text(email.text), .text(username.text), .text(password.hash), .text(password.salt),
      .text(now), .text(email.key), .text(username.key))
  }

  func delete(_ user: AccountID) throws(DatabaseError) {
    try connection.execute("DELETE FROM users WHERE user_id = $1", .text(user.value))
  }

  /// Refuses an email or a username that another account has. A name that two accounts of an earlier release share stays
  /// taken after one of them is deleted.
  func requireFree(_ email: EmailAddress, _ username: Username) throws {
    let exists = { (sql: SQLText, value: String) throws(DatabaseError) in
      try connection.first(sql, .text(value)) { $0.int(0) } != nil
    }
    if try exists("SELECT 1 FROM users WHERE email_key = $1", email.key) { throw AccountRefusal.emailTaken }
    if try exists("SELECT 1 FROM users WHERE username_key = $1", username.key) { throw AccountRefusal.usernameTaken }
    if try exists("SELECT 1 FROM shared_names WHERE name_key = $1", email.key) { throw AccountRefusal.emailTaken }
    if try exists("SELECT 1 FROM shared_names WHERE name_key = $1", username.key) {
      throw AccountRefusal.usernameTaken
    }
  }

  func require(_ user: AccountID) throws {
    let isKnown = try connection.first("SELECT 1 FROM users WHERE user_id = $1", .text(user.value)) { $0.int(0) } != nil
    guard isKnown else { throw AccountRefusal.userNotFound }
  }

  /// Finds an account by its email or username. An account that shares its folded name with an older account keeps the key
  /// of an earlier release, so that key is tried first.
  func find(_ name: AccountName) throws(DatabaseError) -> StoredUser? {
    if let former = name.formerKey, let user = try find(key: former, isEmail: name.isEmail) { return user }
    return try find(key: name.key, isEmail: name.isEmail)
  }

  private func find(key: String, isEmail: Bool) throws(DatabaseError) -> StoredUser? {
    let query: SQLText =
      isEmail
      ? "SELECT user_id, password_hash, salt, last_login FROM users WHERE email_key = $1"
      : "SELECT user_id, password_hash, salt, last_login FROM users WHERE username_key = $1"
    return try connection.first(query, .text(key)) { row in
      StoredUser(
        id: AccountID(row.text(0)), password: PasswordHash(hash: row.text(1), salt: row.text(2)),
        lastLogin: row.text(3))
    }
  }

  func username(of user: AccountID) throws(DatabaseError) -> String? {
    try connection.first("SELECT username FROM users WHERE user_id = $1", .text(user.value)) { $0.text(0) }
  }

  func setLastLogin(_ user: AccountID, to now: String) throws(DatabaseError) {
    try connection.execute("UPDATE users SET last_login = $2 WHERE user_id = $1", .text(user.value), .text(now))
  }

  /// Replaces a hash, unless another transaction has replaced it since it was read.
  func setPassword(_ user: AccountID, from old: PasswordHash, to new: PasswordHash) throws(DatabaseError) {
    try connection.execute(
      "UPDATE users SET password_hash = $3, salt = $4 WHERE user_id = $1 AND password_hash = $2", .text(user.value),
      .text(old.hash), .text(new.hash), .text(new.salt))
  }
}
