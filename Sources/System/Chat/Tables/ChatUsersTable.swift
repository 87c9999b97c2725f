/// `chat_users`: the number and the latest known name of each account. `removed_users`: the
/// accounts that are deleted. `followed_events`: how far the deletions are known.
struct ChatUsersTable {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// The number of an account. A new account gets the next number; a changed name is stored.
  ///
  /// Nil when the account is known to be deleted: the answer that named it may be older.
  func number(of account: AccountID, username: String) async throws(DatabaseError) -> UserNumber? {
    let known = try await connection.first(
      "SELECT user_number, username FROM chat_users WHERE account_id = $1", .text(account.value)
    ) { (UserNumber($0.int(0)), $0.text(1)) }
    // Most accounts are known under the same name: then nothing is written and no commit is
    // awaited.
    if let (number, name) = known {
      guard number.isStorable else {
        connection.setAside("chat_users", "\(number.value)")
        return nil
      }
      if try await isRemoved(number) { return nil }
      if name == username { return number }
    }
    try await connection.execute(
      """
      INSERT INTO chat_users (account_id, username) VALUES ($1, $2)
      ON CONFLICT (account_id) DO UPDATE SET username = $2 WHERE chat_users.username <> $2
      """, .text(account.value), .text(username))
    return try await connection.first(
      "SELECT user_number FROM chat_users WHERE account_id = $1", .text(account.value)
    ) { UserNumber($0.int(0)) }
  }

  /// The latest known name of a user; empty for an unknown user.
  func username(of user: UserNumber) async throws(DatabaseError) -> String {
    try await connection.first("SELECT username FROM chat_users WHERE user_number = $1", .int(user.value)) {
      $0.text(0)
    }
      ?? ""
  }

  /// The most users whose names a service asks for at once.
  static let maximumNames = 500

  /// A user with the latest known name, deleted or not; nil for an unknown user.
  func user(_ number: UserNumber) async throws(DatabaseError) -> ChatUser? {
    try await connection.first(
      "SELECT account_id, username FROM chat_users WHERE user_number = $1", .int(number.value)
    ) { ChatUser(number: number, account: AccountID($0.text(0)), username: $0.text(1)) }
  }

  /// The user that a caller means by a name in one of their own lists.
  ///
  /// The present holder of the name comes first; `holder` is nil when no account has the name.
  /// Otherwise it is the newest user who had the name and is still in the list.
  func user(
    called name: String, holder: UserNumber?, where isListed: (UserNumber) async throws -> Bool
  ) async throws -> UserNumber? {
    if let holder, try await isListed(holder) { return holder }
    // PostgreSQL has no text with this character, so it refuses to look for one.
    guard !name.utf8.contains(0) else { return nil }
    let named = try await connection.query(
      "SELECT user_number FROM chat_users WHERE username = $1 ORDER BY user_number DESC", .text(name)
    ) { UserNumber($0.int(0)) }
    for user in named where try await isListed(user) { return user }
    return nil
  }

  // MARK: Deleted accounts

  /// The user of an account, deleted or not; nil for an account that was never met.
  func known(_ account: AccountID) async throws(DatabaseError) -> UserNumber? {
    try await connection.first("SELECT user_number FROM chat_users WHERE account_id = $1", .text(account.value)) {
      UserNumber($0.int(0))
    }
  }

  /// Whether the account of a user is deleted.
  func isRemoved(_ user: UserNumber) async throws(DatabaseError) -> Bool {
    try await connection.first("SELECT 1 FROM removed_users WHERE user_number = $1", .int(user.value)) { _ in true }
      ?? false
  }

  /// Marks an account as deleted. Returns its user, or nil when it was marked before.
  ///
  /// An account that was never met gets a number too, since a question about it may be under way.
  func remove(_ account: AccountID) async throws(DatabaseError) -> ChatUser? {
    try await connection.execute(
      "INSERT INTO chat_users (account_id, username) VALUES ($1, '') ON CONFLICT (account_id) DO NOTHING",
      .text(account.value))
    let user = try await connection.first(
      "SELECT user_number, username FROM chat_users WHERE account_id = $1", .text(account.value)
    ) { ChatUser(number: UserNumber($0.int(0)), account: account, username: $0.text(1)) }!
    let count = try await connection.execute(
      "INSERT INTO removed_users (user_number) VALUES ($1) ON CONFLICT DO NOTHING", .int(user.number.value))
    return count == 1 ? user : nil
  }

  /// The id of the User Service's event for the last deletion that was applied; 0 before the first.
  func lastRemoval() async throws(DatabaseError) -> Int64 {
    let event = try await connection.first("SELECT event_id FROM followed_events") { $0.int(0) } ?? 0
    // For a damaged id all deletions are read again, which changes nothing.
    return (0..<ClientBounds.counter).contains(event) ? event : 0
  }

  func setLastRemoval(_ event: Int64) async throws(DatabaseError) {
    try await connection.execute(
      "INSERT INTO followed_events (stream, event_id) VALUES (0, $1) ON CONFLICT (stream) DO UPDATE SET event_id = $1",
      .int(event))
  }
}
