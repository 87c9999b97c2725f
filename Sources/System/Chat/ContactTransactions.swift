/// Users and contacts: what is read, decided and written in one transaction.
extension SQLConnection {
  /// The number of an account, which gets one when it is met first; a changed name is noted. Nil when the account is known to
  /// be deleted: whoever said that it exists was asked before.
  func userNumber(account: AccountID, username: String) throws(DatabaseError) -> UserNumber? {
    let known = try first("SELECT user_number, username FROM chat_users WHERE account_id = $1", .text(account.value)) {
      (UserNumber($0.int(0)), $0.text(1))
    }
    // Most are known: then nothing is written, and no commit is waited for.
    if let (number, name) = known {
      guard number.isStorable else {
        setAside("chat_users", "\(number.value)")
        return nil
      }
      if try isRemoved(number) { return nil }
      if name == username { return number }
    }
    try execute(
      """
      INSERT INTO chat_users (account_id, username) VALUES ($1, $2)
      ON CONFLICT (account_id) DO UPDATE SET username = $2 WHERE username <> $2
      """, .text(account.value), .text(username))
    return try first("SELECT user_number FROM chat_users WHERE account_id = $1", .text(account.value)) {
      UserNumber($0.int(0))
    }
  }

  func contact(_ a: UserNumber, _ b: UserNumber) throws(DatabaseError) -> Contact? {
    try first(
      "SELECT status, asker, blocker FROM contacts WHERE low = $1 AND high = $2", .int(min(a, b).value),
      .int(max(a, b).value)
    ) { contact($0, a, b) } ?? nil
  }

  /// Reads `status, asker, blocker`. Nil for another status: the two are no contacts then, and may ask each other again.
  private func contact(_ row: SQLRow, _ a: UserNumber, _ b: UserNumber) -> Contact? {
    guard let status = ContactStatus(rawValue: row.text(0)), a.isStorable, b.isStorable else {
      setAside("contacts", "\(a.value), \(b.value)")
      return nil
    }
    return Contact(
      status: status, asker: UserNumber(row.int(1)), blocker: row.isNull(2) ? nil : UserNumber(row.int(2)))
  }

  private func store(_ contact: Contact, _ a: UserNumber, _ b: UserNumber) throws(DatabaseError) {
    try execute(
      """
      INSERT INTO contacts (low, high, status, asker, blocker) VALUES ($1, $2, $3, $4, $5)
      ON CONFLICT (low, high) DO UPDATE SET status = $3, asker = $4, blocker = $5
      """, .int(min(a, b).value), .int(max(a, b).value), .text(contact.status.rawValue), .int(contact.asker.value),
      contact.blocker.map { .int($0.value) } ?? .null)
  }

  func addContact(by user: UserNumber, to other: UserNumber) throws -> Contact {
    if try isRemoved(user) || isRemoved(other) { throw ChatRefusal.userRemoved }
    let before = try contact(user, other)
    let after: Contact
    do throws(Contact.Refusal) {
      after = try Contact.adding(before, by: user, to: other)
    } catch {
      throw ChatRefusal.contact(error)
    }
    if after != before { try store(after, user, other) }
    return after
  }

  func changeContact(by user: UserNumber, with other: UserNumber, to status: ContactStatus) throws -> Contact {
    guard let before = try contact(user, other) else { throw ChatRefusal.noSuchContact }
    let after: Contact
    do throws(Contact.Refusal) {
      after = try before.changed(by: user, other: other, to: status)
    } catch {
      throw ChatRefusal.contact(error)
    }
    try store(after, user, other)
    return after
  }

  /// A user's contacts, in the order of their names.
  func contacts(of user: UserNumber) throws(DatabaseError) -> [(
    user: UserNumber, username: String, contact: Contact
  )] {
    try query(
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
}
