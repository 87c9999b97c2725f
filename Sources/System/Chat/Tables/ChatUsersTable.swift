/// `chat_users`: the number and the latest known name of each account. `removed_users`: the accounts
/// that are deleted. `followed_events`: how far the deletions are known.
struct ChatUsersTable {
  private let connection: SQLConnection

  init(_ connection: SQLConnection) { self.connection = connection }

  /// The number of an account. A new account gets the next number; a changed name is stored.
  ///
  /// Nil when the account is known to be deleted: the answer that named it may be older.
  func number(of account: AccountID, username: String) throws(DatabaseError) -> UserNumber? {
    let known = try connection.first(
      "SELECT user_number, username FROM chat_users WHERE account_id = $1", .text(account.value)
    ) { (UserNumber($0.int(0)), $0.text(1)) }
    // Most accounts are known under the same name: then nothing is written and no commit is awaited.
    if let (number, name) = known {
      guard number.isStorable else {
        connection.setAside("chat_users", "\(number.value)")
        return nil
      }
      if try isRemoved(number) { return nil }
      if name == username { return number }
    }
    try connection.execute(
      """
      INSERT INTO chat_users (account_id, username) VALUES ($1, $2)
      ON CONFLICT (account_id) DO UPDATE SET username = $2 WHERE username <> $2
      """, .text(account.value), .text(username))
    return try connection.first(
      "SELECT user_number FROM chat_users WHERE account_id = $1", .text(account.value)
    ) { UserNumber($0.int(0)) }
  }

  /// The latest known name of a user; empty for an unknown user.
  func username(of user: UserNumber) throws(DatabaseError) -> String {
    try connection.first("SELECT username FROM chat_users WHERE user_number = $1", .int(user.value)) { $0.text(0) }
      ?? ""
  }

  /// The user that a caller means by a name in one of their own lists.
  ///
  /// The present holder of the name comes first; `holder` is nil when no account has the name. Otherwise it
  /// is the newest user who had the name and is still in the list.
  func user(
    called name: String, holder: UserNumber?, where isListed: (UserNumber) throws -> Bool
  ) throws -> UserNumber? {
    if let holder, try isListed(holder) { return holder }
    let named = try connection.query(
      "SELECT user_number FROM chat_users WHERE username = $1 ORDER BY user_number DESC", .text(name)
    ) { UserNumber($0.int(0)) }
    return try named.first(where: isListed)
  }

  // MARK: Deleted accounts

  /// Whether the account of a user is deleted.
  func isRemoved(_ user: UserNumber) throws(DatabaseError) -> Bool {
    try connection.first("SELECT 1 FROM removed_users WHERE user_number = $1", .int(user.value)) { _ in true } ?? false
  }

  /// Marks an account as deleted. Returns its user, or nil when it was marked before.
  ///
  /// An account that was never met gets a number too, since a question about it may be under way.
  func remove(_ account: AccountID) throws(DatabaseError) -> ChatUser? {
    try connection.execute(
      "INSERT INTO chat_users (account_id, username) VALUES ($1, '') ON CONFLICT (account_id) DO NOTHING",
      .text(account.value))
    let user = try connection.first(
      "SELECT user_number, username FROM chat_users WHERE account_id = $1", .text(account.value)
    ) { ChatUser(number: UserNumber($0.int(0)), account: account, username: $0.text(1)) }!
    let count = try connection.execute(
      "INSERT INTO removed_users (user_number) VALUES ($1) ON CONFLICT DO NOTHING", .int(user.number.value))
    return count == 1 ? user : nil
  }

  /// The id of the User Service's event for the last deletion that was applied; 0 before the first.
  func lastRemoval() throws(DatabaseError) -> Int64 {
    let event = try connection.first("SELECT event_id FROM followed_events") { $0.int(0) } ?? 0
    // For a damaged id all deletions are read again, which changes nothing.
    return (0..<ClientBounds.counter).contains(event) ? event : 0
  }

  func setLastRemoval(_ event: Int64) throws(DatabaseError) {
    try connection.execute(
      "INSERT INTO followed_events (stream, event_id) VALUES (0, $1) ON CONFLICT (stream) DO UPDATE SET event_id = $1",
      .int(event))
  }
}
