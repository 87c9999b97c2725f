/// What is left of an account that was deleted: its messages, under the name that it had.
extension SQLConnection {
  /// The event of the User Service that told of the last deletion; 0 when there was none.
  func lastRemoval() throws(DatabaseError) -> Int64 {
    let event = try first("SELECT event_id FROM followed_events") { $0.int(0) } ?? 0
    // From 0 on they are told again, which changes nothing.
    return (0..<ClientBounds.counter).contains(event) ? event : 0
  }

  func noteRemoval(_ event: Int64) throws(DatabaseError) {
    try execute(
      "INSERT INTO followed_events (stream, event_id) VALUES (0, $1) ON CONFLICT (stream) DO UPDATE SET event_id = $1",
      .int(event))
  }

  func isRemoved(_ user: UserNumber) throws(DatabaseError) -> Bool {
    try first("SELECT 1 FROM removed_users WHERE user_number = $1", .int(user.value)) { _ in true } ?? false
  }

  /// Takes a deleted account out of all contacts and groups, for good, and returns what others are told. An account that was
  /// never met is noted too: a question about it may be under way.
  func removeAccount(_ account: AccountID) throws -> PublishedAt? {
    try execute(
      "INSERT INTO chat_users (account_id, username) VALUES ($1, '') ON CONFLICT (account_id) DO NOTHING",
      .text(account.value))
    let user = try first("SELECT user_number, username FROM chat_users WHERE account_id = $1", .text(account.value)) {
      ChatUser(number: UserNumber($0.int(0)), account: account, username: $0.text(1))
    }!
    let isNew = try execute(
      "INSERT INTO removed_users (user_number) VALUES ($1) ON CONFLICT DO NOTHING", .int(user.number.value))
    guard isNew == 1 else { return nil }
    let publications = try leaveContacts(user) + leaveGroups(user)
    return publications.isEmpty ? nil : try publish(publications)
  }

  private func leaveContacts(_ user: ChatUser) throws(DatabaseError) -> [Publication] {
    let others = try query(
      """
      SELECT high FROM contacts WHERE low = $1 UNION ALL SELECT low FROM contacts WHERE high = $1 ORDER BY 1
      """, .int(user.number.value)
    ) { UserNumber($0.int(0)) }
    guard !others.isEmpty else { return [] }
    try execute("DELETE FROM contacts WHERE low = $1 OR high = $1", .int(user.number.value))
    return [Publication(ChatEventTable.contactChanged, ChatPayload.removedContact(user), to: others)]
  }

  private func leaveGroups(_ user: ChatUser) throws -> [Publication] {
    let ids = try query(
      "SELECT group_id FROM memberships WHERE user_number = $1 AND last_seq IS NULL ORDER BY position",
      .int(user.number.value)
    ) { GroupID($0.int(0)) }
    return try ids.compactMap { id in
      try removeMember(user.number, from: id, by: user.number)
      let group = try self.group(id)
      return group.members.isEmpty
        ? nil : Publication(ChatEventTable.groupChanged, ChatPayload.group(group), to: group.members.map(\.user))
    }
  }

  // MARK: Names

  /// The user whom somebody means by a name in a list of theirs. The account that has the name now comes first; `account` is
  /// its user, or nil when nobody has it. Otherwise it is one who had the name and whom the list still shows.
  func listed(
    _ name: String, _ account: UserNumber?, where isListed: (UserNumber) throws -> Bool
  ) throws -> UserNumber? {
    if let account, try isListed(account) { return account }
    let named = try query(
      "SELECT user_number FROM chat_users WHERE username = $1 ORDER BY user_number DESC", .text(name)
    ) { UserNumber($0.int(0)) }
    return try named.first(where: isListed)
  }
}
