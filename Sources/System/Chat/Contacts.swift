/// Adds, changes and lists contacts, and publishes the changes to both users.
struct Contacts: Sendable {
  let users: ChatUsers
  let database: Database
  let fanOut: FanOut

  /// Asks the user with a name to be a contact, or accepts when that user has asked.
  func add(_ name: String, by user: ChatUser) async throws -> ContactView {
    let other = try await users.user(called: name, in: "contact")
    let (contact, news) = try await database.transaction { connection -> (ContactView, PublishedAt?) in
      let tables = ChatTables(connection)
      let transactions = ContactTransactions(tables: tables)
      let (before, after) = try await transactions.add(by: user.number, to: other.number)
      let (own, theirs) = try await transactions.views(after, of: user.listed, and: other.listed)
      if before == after { return (own, nil) }
      let news = try await tables.publications.publish([
        Publication(ChatEventTable.contactAdded, ChatPayload.contact(own), to: [user.number]),
        after.status == .friend
          ? Publication(ChatEventTable.contactChanged, ChatPayload.contact(theirs), to: [other.number])
          : Publication(ChatEventTable.contactRequest, ChatPayload.request(by: user), to: [other.number]),
      ])
      return (own, news)
    }
    if let news { await fanOut.publish(news) }
    return contact
  }

  /// Sets the status of a contact.
  func change(_ name: String, to status: ContactStatus, by user: ChatUser) async throws -> ContactView {
    let holder = try await users.user(having: name)
    let (contact, news) = try await database.transaction { connection in
      let tables = ChatTables(connection)
      let transactions = ContactTransactions(tables: tables)
      let other = try await transactions.contact(called: name, holder: holder, of: user.number)
      let after = try await transactions.change(by: user.number, with: other.number, to: status)
      let (own, theirs) = try await transactions.views(after, of: user.listed, and: other)
      let news = try await tables.publications.publish([
        Publication(ChatEventTable.contactChanged, ChatPayload.contact(own), to: [user.number]),
        Publication(ChatEventTable.contactChanged, ChatPayload.contact(theirs), to: [other.number]),
      ])
      return (own, news)
    }
    await fanOut.publish(news)
    return contact
  }

  /// All contacts of a user, ordered by username.
  func list(of user: ChatUser) async throws -> [ContactView] {
    try await database.transaction { try await ContactTransactions(tables: ChatTables($0)).views(of: user.number) }
  }
}
