import Environment

/// The keys by which names are unique, where rows lack them or have those of an earlier release.
extension SQLConnection {
  /// Completes rows that an operator put in with the seed's columns alone. Returns the accounts whose names others have
  /// already, so that they cannot log in by them.
  func completeRows(at now: Timestamp) throws(DatabaseError) -> [String] {
    try execute("UPDATE user_sessions SET last_used = $1 WHERE last_used IS NULL", .int(now.milliseconds))
    return try foldNames(onlyMissing: true)
  }

  /// Gives each account the folded keys of its names, the oldest account first. Returns those that were left without one.
  ///
  /// Earlier releases compared names in lower case, so that `STRASSE` and `straße` may be two accounts. The one that comes
  /// first gets the folded key. The other keeps its former key, by which it is found before any other (`user(named:)`),
  /// and the name that they share is noted, so that nobody else takes it when one of them is deleted.
  func foldNames(onlyMissing: Bool) throws(DatabaseError) -> [String] {
    let condition = onlyMissing ? "WHERE email_key IS NULL OR username_key IS NULL" : ""
    let rows = try query(
      SQLText("SELECT user_id, user_email, username, email_key, username_key FROM users \(condition) ORDER BY rowid")
    ) { row in
      (
        id: row.text(0), names: [(NameColumn.email, row.text(1), row.text(3)), (.username, row.text(2), row.text(4))]
      )
    }
    var nameless: [String] = []
    for row in rows {
      for (column, name, key) in row.names where try !fold(name, of: row.id, in: column, from: key) {
        nameless.append(row.id)
      }
    }
    return nameless
  }

  private enum NameColumn: String {
    case email = "email_key"
    case username = "username_key"
  }

  /// Sets one key; false when neither the folded nor the former one is free.
  private func fold(_ text: String, of user: String, in column: NameColumn, from key: String) throws(DatabaseError)
    -> Bool
  {
    // A name in the table is never longer, unless somebody put it there by other means.
    guard let name = AccountName(text) else { return !key.isEmpty }
    if key.hasSameBytes(as: name.key) { return true }
    let isTaken = { (key: String) throws(DatabaseError) in
      try self.first(SQLText("SELECT 1 FROM users WHERE \(column.rawValue) = $1"), .text(key)) { $0.int(0) } != nil
    }
    var new = name.key
    if try isTaken(new) {
      try execute(
        "INSERT INTO shared_names (name_key, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING", .text(name.key),
        .text(user))
      guard key.isEmpty else { return true }
      guard let former = name.formerKey, try !isTaken(former) else { return false }
      new = former
    }
    try execute(
      SQLText("UPDATE users SET \(column.rawValue) = $2 WHERE user_id = $1"), .text(user), .text(new))
    return true
  }
}
