/// `contacts`: one row for each two users with a relation, under the lower and the higher number.
struct ContactsTable {
  private let connection: SQLSession

  init(_ connection: SQLSession) { self.connection = connection }

  /// The relation of two users.
  func contact(_ a: UserNumber, _ b: UserNumber) async throws(DatabaseError) -> Contact? {
    try await connection.first(
      "SELECT status, asker, blocker FROM contacts WHERE low = $1 AND high = $2", .int(min(a, b).value),
      .int(max(a, b).value)
    ) { contact($0, a, b) } ?? nil
  }

  /// Reads `status, asker, blocker`. Nil for a damaged row: the two can then ask each other again.
  private func contact(_ row: SQLRow, _ a: UserNumber, _ b: UserNumber) -> Contact? {
    guard let status = ContactStatus(rawValue: row.text(0)), a.isStorable, b.isStorable else {
      connection.setAside("contacts", "\(a.value), \(b.value)")
      return nil
    }
    return Contact(
      status: status, asker: UserNumber(row.int(1)), blocker: row.isNull(2) ? nil : UserNumber(row.int(2)))
  }

  func store(_ contact: Contact, _ a: UserNumber, _ b: UserNumber) async throws(DatabaseError) {
    try await connection.execute(
      """
      INSERT INTO contacts (low, high, status, asker, blocker) VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (low, high) DO UPDATE SET status = $3, asker = $4, blocker = $5
      """, .int(min(a, b).value), .int(max(a, b).value), .text(contact.status.rawValue), .int(contact.asker.value),
      contact.blocker.map { .int($0.value) } ?? .null)
  }

  /// All contacts of a user, ordered by username.
  func all(of user: UserNumber) async throws(DatabaseError) -> [(user: UserNumber, username: String, contact: Contact)]
  {
    try await connection.query(
      """
      SELECT c.status, c.asker, c.blocker, u.user_number, u.username FROM contacts c
      JOIN chat_users u ON u.user_number = CASE WHEN c.low = $1 THEN c.high ELSE c.low END
      WHERE c.low = $1 OR c.high = $1 ORDER BY u.username, u.user_number
      """, .int(user.value)
    ) { row in
      let other = UserNumber(row.int(3))
      return contact(row, user, other).map { (other, row.text(4), $0) }
    }.compactMap { $0 }
  }

  /// The friends of a user: they see the user's presence.
  func friends(of user: UserNumber) async throws(DatabaseError) -> [UserNumber] {
    try await connection.query(
      """
      SELECT high FROM contacts WHERE low = $1 AND status = 'friend'
      UNION ALL SELECT low FROM contacts WHERE high = $1 AND status = 'friend'
      """, .int(user.value)
    ) { UserNumber($0.int(0)) }
  }

  /// Removes all contacts of a user and returns the other sides, in the order of their numbers.
  func removeAll(of user: UserNumber) async throws(DatabaseError) -> [UserNumber] {
    let others = try await connection.query(
      """
      SELECT high FROM contacts WHERE low = $1 UNION ALL SELECT low FROM contacts WHERE high = $1 ORDER BY 1
      """, .int(user.value)
    ) { UserNumber($0.int(0)) }
    guard !others.isEmpty else { return [] }
    try await connection.execute("DELETE FROM contacts WHERE low = $1 OR high = $1", .int(user.value))
    return others
  }
}
