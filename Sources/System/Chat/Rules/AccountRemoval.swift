/// The end of an account, within one transaction: its user leaves all contacts and groups for good. The
/// messages stay, under the name that the user had.
struct AccountRemoval {
  let tables: ChatTables

  /// Removes a deleted account and returns what the others are told. Nil when there is nothing to tell, as
  /// for an account that was removed before.
  func remove(_ account: AccountID) throws -> PublishedAt? {
    guard let user = try tables.users.remove(account) else { return nil }
    let publications = try leaveContacts(user) + leaveGroups(user)
    return publications.isEmpty ? nil : try tables.publications.publish(publications)
  }

  private func leaveContacts(_ user: ChatUser) throws(DatabaseError) -> [Publication] {
    let others = try tables.contacts.removeAll(of: user.number)
    guard !others.isEmpty else { return [] }
    return [Publication(ChatEventTable.contactChanged, ChatPayload.removedContact(user), to: others)]
  }

  private func leaveGroups(_ user: ChatUser) throws -> [Publication] {
    try tables.groups.ids(of: user.number).compactMap { id in
      try GroupTransactions(tables: tables).remove(user.number, from: id, by: user.number)
      let group = try tables.groups.view(id)
      return group.members.isEmpty
        ? nil : Publication(ChatEventTable.groupChanged, ChatPayload.group(group), to: group.members.map(\.user))
    }
  }
}
