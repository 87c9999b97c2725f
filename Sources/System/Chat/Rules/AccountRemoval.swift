/// The end of an account, within one transaction: its user leaves all contacts and groups for good.
/// The messages stay, under the name that the user had.
struct AccountRemoval {
  let tables: ChatTables

  /// Removes a deleted account and returns what the others are told. Nil when there is nothing to
  /// tell, as for an account that was removed before.
  func remove(_ account: AccountID) async throws -> PublishedAt? {
    guard let user = try await tables.users.remove(account) else { return nil }
    try await tables.recoveries.removeAll(of: user.number)
    let publications = try await leaveContacts(user) + leaveGroups(user)
    return publications.isEmpty ? nil : try await tables.publications.publish(publications)
  }

  /// Does what `remove` does, and tells an operator what there was. A trial changes nothing.
  func erase(_ account: AccountID, isTrial: Bool) async throws -> (answer: JSONValue, news: PublishedAt?) {
    var (contacts, groups) = (0, 0)
    if let user = try await tables.users.known(account) {
      contacts = try await tables.contacts.all(of: user).count
      groups = try await tables.groups.ids(of: user).count
    }
    let answer: JSONValue = [
      "contacts": .int(Int64(contacts)), "groups": .int(Int64(groups)), "dry_run": .bool(isTrial),
    ]
    return (answer, isTrial ? nil : try await remove(account))
  }

  private func leaveContacts(_ user: ChatUser) async throws(DatabaseError) -> [Publication] {
    let others = try await tables.contacts.removeAll(of: user.number)
    guard !others.isEmpty else { return [] }
    return [Publication(ChatEventTable.contactChanged, ChatPayload.removedContact(user), to: others)]
  }

  private func leaveGroups(_ user: ChatUser) async throws -> [Publication] {
    var publications: [Publication] = []
    for id in try await tables.groups.ids(of: user.number) {
      try await GroupTransactions(tables: tables).remove(user.number, from: id, by: user.number)
      let group = try await tables.groups.view(id)
      if group.members.isEmpty { continue }
      publications.append(
        Publication(ChatEventTable.groupChanged, ChatPayload.group(group), to: group.members.map(\.user)))
    }
    return publications
  }
}
