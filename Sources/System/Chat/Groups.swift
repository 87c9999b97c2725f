/// Creates, changes and lists groups, and publishes the changes to the members.
struct Groups: Sendable {
  let users: ChatUsers
  let database: Database
  let fanOut: FanOut

  /// Creates a group of its creator and the users with these names.
  func create(_ name: String, members names: [String], by creator: ChatUser) async throws -> GroupView {
    let name = try ChatRules.groupName(name)
    guard names.count <= ChatRules.maximumMembersInCall else {
      throw ChatRefusal.invalid("members: must be at most \(ChatRules.maximumMembersInCall)")
    }
    var chosen: [UserNumber] = []
    var known: Set<UserNumber> = []
    for (index, name) in names.enumerated() {
      let number = try await users.user(called: name, in: "members[\(index)]").number
      if known.insert(number).inserted { chosen.append(number) }
    }
    let members = chosen
    let (group, news) = try await database.transaction { connection in
      let tables = ChatTables(connection)
      let id = try await GroupTransactions(tables: tables).create(name, by: creator.number, members: members)
      let group = try await tables.groups.view(id)
      return (group, try await tables.publications.publish(Self.news(of: group)))
    }
    await fanOut.publish(news)
    return group
  }

  func add(_ name: String, to id: GroupID, by user: ChatUser) async throws -> GroupView {
    try await change(id, name, by: user) { transactions, holder in
      guard try await transactions.tables.groups.memberCount(of: id) < ChatRules.maximumMembers else {
        throw ChatRefusal.groupFull
      }
      guard let member = holder?.number else { throw ChatRefusal.noSuchUser(field: "member") }
      try await transactions.add(member, to: id, by: user.number)
      return member
    }
  }

  func remove(_ name: String, from id: GroupID, by user: ChatUser) async throws -> GroupView {
    try await change(id, name, by: user) { transactions, holder in
      let tables = transactions.tables
      let named = try await tables.users.user(called: name, holder: holder?.number) { number in
        try await tables.groups.role(of: number, in: id) != nil
      }
      // A user who is no member is refused by `remove`, after the rights of the remover.
      guard let member = named ?? holder?.number else { throw ChatRefusal.noSuchUser(field: "member") }
      try await transactions.remove(member, from: id, by: user.number)
      return member
    }
  }

  /// Runs `body`, which adds or removes the member that it returns, and publishes the group. `body`
  /// gets the user who has `name` now.
  private func change(
    _ id: GroupID, _ name: String, by user: ChatUser,
    _ body: @escaping @Sendable (GroupTransactions, ChatUser?) async throws -> UserNumber
  ) async throws -> GroupView {
    // For a user who is not a member the group does not exist, so this is checked before the name.
    try await database.transaction { connection in
      _ = try await GroupTransactions(tables: ChatTables(connection)).requireMember(user.number, of: id)
    }
    let holder = try await users.user(having: name)
    let (group, news) = try await database.transaction { connection in
      let tables = ChatTables(connection)
      let member = try await body(GroupTransactions(tables: tables), holder)
      let group = try await tables.groups.view(id)
      let hasLeft = !group.members.contains { $0.user == member }
      return (group, try await tables.publications.publish(Self.news(of: group, leaver: hasLeft ? member : nil)))
    }
    await fanOut.publish(news)
    return group
  }

  /// The present members get the group. A user who has left gets it without members.
  private static func news(of group: GroupView, leaver: UserNumber? = nil) -> [Publication] {
    var news = [Publication(ChatEventTable.groupChanged, ChatPayload.group(group), to: group.members.map(\.user))]
    if let leaver {
      let left = GroupView(id: group.id, name: group.name, members: [])
      news.append(Publication(ChatEventTable.groupChanged, ChatPayload.group(left), to: [leaver]))
    }
    return news
  }

  /// All groups of a user, oldest membership first.
  func list(of user: ChatUser) async throws -> [GroupView] {
    try await database.transaction { try await GroupTransactions(tables: ChatTables($0)).views(of: user.number) }
  }
}
