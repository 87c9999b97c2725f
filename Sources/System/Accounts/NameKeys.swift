import Environment

/// The columns by which names are unique, for rows that lack them or have those of an earlier
/// release.
struct NameKeys {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// Sets the folded keys of each account's names, the oldest account first.
  ///
  /// Earlier releases compared names in lower case, so `STRASSE` and `straße` may be two accounts.
  /// The older account gets the folded key. The other keeps its former key, which
  /// `UsersTables.find` tries first. The shared name is recorded, so that it stays taken when one
  /// of them is deleted.
  /// - Returns: The accounts that got no key for one of their names.
  func fold(onlyMissing: Bool) async throws(DatabaseError) -> [AccountID] {
    let condition = onlyMissing ? "WHERE email_key IS NULL OR username_key IS NULL" : ""
    let rows = try await connection.query(
      SQLText("SELECT user_id, user_email, username, email_key, username_key FROM users \(condition) ORDER BY rowid")
    ) { row in
      (
        id: AccountID(row.text(0)),
        names: [(Column.email, row.text(1), row.text(3)), (.username, row.text(2), row.text(4))]
      )
    }
    var withoutKey: [AccountID] = []
    for row in rows {
      for (column, name, key) in row.names where try await !fold(name, of: row.id, in: column, from: key) {
        withoutKey.append(row.id)
      }
    }
    return withoutKey
  }

  /// Whether an account lacks a key.
  func areMissing() async throws(DatabaseError) -> Bool {
    try await connection.first("SELECT 1 FROM users WHERE email_key IS NULL OR username_key IS NULL LIMIT 1") { _ in
      true
    } ?? false
  }

  private enum Column: String {
    case email = "email_key"
    case username = "username_key"
  }

  /// Sets one key. Returns false if both the folded and the former key are taken.
  private func fold(_ text: String, of user: AccountID, in column: Column, from key: String) async throws(DatabaseError)
    -> Bool
  {
    // The service stores no longer name; an operator may have.
    guard let name = AccountName(text) else { return !key.isEmpty }
    if key.hasSameBytes(as: name.key) { return true }
    var new = name.key
    if try await isTaken(new, column) {
      try await connection.execute(
        "INSERT INTO shared_names (name_key, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", .text(name.key),
        .text(user.value))
      guard key.isEmpty else { return true }
      guard let former = name.formerKey, try await !isTaken(former, column) else { return false }
      new = former
    }
    try await connection.execute(
      SQLText("UPDATE users SET \(column.rawValue) = $2 WHERE user_id = $1"), .text(user.value), .text(new))
    return true
  }

  private func isTaken(_ key: String, _ column: Column) async throws(DatabaseError) -> Bool {
    try await connection.first(SQLText("SELECT 1 FROM users WHERE \(column.rawValue) = $1"), .text(key)) { $0.int(0) }
      != nil
  }
}
