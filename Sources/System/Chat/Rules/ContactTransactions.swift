/// The rules of contacts, within one transaction.
struct ContactTransactions {
  let tables: ChatTables

  /// Asks `other` to be a contact, or accepts when `other` has asked. Returns the relation before
  /// and after.
  func add(by user: UserNumber, to other: UserNumber) async throws -> (before: Contact?, after: Contact) {
    for person in [user, other] where try await tables.users.isRemoved(person) { throw ChatRefusal.userRemoved }
    let before = try await tables.contacts.contact(user, other)
    let after: Contact
    do throws(Contact.Refusal) {
      after = try Contact.adding(before, by: user, to: other)
    } catch {
      throw ChatRefusal.contact(error)
    }
    if after != before { try await tables.contacts.store(after, user, other) }
    return (before, after)
  }

  func change(by user: UserNumber, with other: UserNumber, to status: ContactStatus) async throws -> Contact {
    guard let before = try await tables.contacts.contact(user, other) else { throw ChatRefusal.noSuchContact }
    let after: Contact
    do throws(Contact.Refusal) {
      after = try before.changed(by: user, other: other, to: status)
    } catch {
      throw ChatRefusal.contact(error)
    }
    try await tables.contacts.store(after, user, other)
    return after
  }

  // MARK: Names

  /// The contact of `user` with a name. `holder` is the present holder of the name.
  func contact(called name: String, holder: ChatUser?, of user: UserNumber) async throws -> ListedUser {
    let number = try await tables.users.user(called: name, holder: holder?.number) { other in
      try await tables.contacts.contact(user, other) != nil
    }
    guard let number else { throw ChatRefusal.noSuchContact }
    return ListedUser(number: number, username: number == holder?.number ? holder!.username : name)
  }

  /// The contact of `user` with a name, or else a deleted user of that name with whom they have
  /// talked.
  func correspondent(called name: String, holder: ChatUser?, of user: UserNumber) async throws -> UserNumber {
    let contact = try await tables.users.user(called: name, holder: holder?.number) { other in
      try await tables.contacts.contact(user, other) != nil
    }
    if let contact { return contact }
    let former = try await tables.users.user(called: name, holder: nil) { other in
      guard try await tables.users.isRemoved(other) else { return false }
      return try await tables.messages.lastSequence(of: .between(user, other)).value > 0
    }
    guard let former else { throw ChatRefusal.noSuchContact }
    return former
  }

  // MARK: Views

  /// A contact as `user` sees it, and as `other` sees it.
  func views(
    _ contact: Contact, of user: ListedUser, and other: ListedUser
  ) async throws(DatabaseError) -> (own: ContactView, theirs: ContactView) {
    (try await view(contact, of: other, for: user.number), try await view(contact, of: user, for: other.number))
  }

  /// All contacts of a user, ordered by username.
  func views(of user: UserNumber) async throws(DatabaseError) -> [ContactView] {
    var views: [ContactView] = []
    for (other, username, contact) in try await tables.contacts.all(of: user) {
      views.append(try await view(contact, of: ListedUser(number: other, username: username), for: user))
    }
    return views
  }

  private func view(
    _ contact: Contact, of seen: ListedUser, for reader: UserNumber
  ) async throws(DatabaseError) -> ContactView {
    ContactView(
      user: seen.number, username: seen.username, status: contact.status,
      isOnline: contact.status == .friend ? try await tables.sockets.isOnline(seen.number) : false,
      changes: contact.changes(by: reader, other: seen.number))
  }
}
