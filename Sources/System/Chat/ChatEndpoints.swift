/// What the REST interface does.
extension ChatService {
  // MARK: Accounts and sessions

  func register(_ call: Call) async throws -> Reply {
    let account = try await accounts.register(
      call.string("username"), call.string("password"), address: call.client.host)
    let user = try await known(account)
    return .json([
      "message": "user registered", "user_id": .int(user.number.value), "username": .string(user.username),
    ])
  }

  func login(_ call: Call) async throws -> Reply {
    let (session, account) = try await accounts.login(
      call.string("username"), call.string("password"), address: call.client.host)
    let user = try await known(account)
    return .json([
      "sessionID": .string(session.value), "user_id": .int(user.number.value), "username": .string(user.username),
    ])
  }

  func logout(_ call: Call) async throws -> Reply {
    let session = try session(of: call)
    _ = try await user(of: call)
    guard try await accounts.logout(session) else { throw ChatRefusal.noSuchSession }
    await directory.end(session)
    return .json(["message": "logged out"])
  }

  private func session(of call: Call) throws(ChatRefusal) -> ChatSessionID {
    guard let session = ChatSessionID(call.string("sessionID")) else { throw .noSuchSession }
    return session
  }

  /// The user of the session that the request names.
  private func user(of call: Call) async throws -> ChatUser {
    try await directory.user(of: try session(of: call), token: call.bearerToken)
  }

  /// The user of an account that the User Service has just vouched for.
  private func known(_ account: AccountsClient.Account) async throws -> ChatUser {
    guard let user = try await directory.chatUser(account) else { throw ChatRefusal.accountDeleted }
    return user
  }

  /// The user who has a name, and who may never have been here; nil when nobody has it.
  private func user(having name: String) async throws -> ChatUser? {
    guard let account = try await accounts.user(called: name) else { return nil }
    return try await directory.chatUser(account)
  }

  private func user(called name: String, _ field: String) async throws -> ChatUser {
    guard let user = try await user(having: name) else { throw ChatRefusal.noSuchUser(field: field) }
    return user
  }

  // MARK: Contacts

  func addContact(_ call: Call) async throws -> Reply {
    let contact = try await addContact(call.string("contact"), by: try await user(of: call))
    return .json(["message": "contact added", "contact": ChatPayload.contact(contact)])
  }

  /// Asks somebody to be a contact, or answers who has asked; tells both.
  func addContact(_ name: String, by user: ChatUser) async throws -> ContactView {
    let other = try await self.user(called: name, "contact")
    let (contact, news) = try await database.transaction { database -> (ContactView, PublishedAt?) in
      let before = try database.contact(user.number, other.number)
      let after = try database.addContact(by: user.number, to: other.number)
      let (own, theirs) = try database.views(after, of: user, and: other)
      if before == after { return (own, nil) }
      let question: JSONValue = ["user_id": .int(user.number.value), "username": .string(user.username)]
      let news = try database.publish([
        Publication(ChatEventTable.contactAdded, ChatPayload.contact(own), to: [user.number]),
        after.status == .friend
          ? Publication(ChatEventTable.contactChanged, ChatPayload.contact(theirs), to: [other.number])
          : Publication(ChatEventTable.contactRequest, question, to: [other.number]),
      ])
      return (own, news)
    }
    if let news { await publish(news) }
    return contact
  }

  func changeContact(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    let status = ContactStatus(rawValue: call.string("status"))!
    let name = call.string("contact")
    let named = try await self.user(having: name)
    let (contact, news) = try await database.transaction { database in
      let other = try database.contact(called: name, named, of: user.number)
      let after = try database.changeContact(by: user.number, with: other.number, to: status)
      let (own, theirs) = try database.views(after, of: user, and: other)
      let news = try database.publish([
        Publication(ChatEventTable.contactChanged, ChatPayload.contact(own), to: [user.number]),
        Publication(ChatEventTable.contactChanged, ChatPayload.contact(theirs), to: [other.number]),
      ])
      return (own, news)
    }
    await publish(news)
    return .json(["message": "contact changed", "contact": ChatPayload.contact(contact)])
  }

  func getContacts(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    let contacts = try await database.transaction { try $0.contactViews(of: user.number) }
    let payload = call.body["changes"]?.bool == true ? ChatPayload.contactWithChanges : ChatPayload.contact
    return .json(.array(contacts.map(payload)))
  }

  // MARK: Messages

  func getContactMessages(_ call: Call) async throws -> Reply {
    let page = Page(call)
    let user = try await user(of: call)
    let name = call.string("contact")
    let named = try await self.user(having: name)
    return try await messages(page, of: user) { database in
      .between(user.number, try database.correspondent(called: name, named, of: user.number))
    }
  }

  func getGroupMessages(_ call: Call) async throws -> Reply {
    let page = Page(call)
    let user = try await user(of: call)
    let id = GroupID(call.body["group_id"]!.int!)
    return try await messages(page, of: user) { database in
      guard try database.membership(id, user.number) != nil else { throw ChatRefusal.noSuchGroup }
      return .group(id)
    }
  }

  /// Which messages somebody asks for.
  private struct Page: Sendable {
    let limit: Int64
    let before: Int64?
    let after: Int64?

    init(_ call: Call) {
      limit = call.body["limit"]?.int ?? ChatRules.standardPage
      before = call.body["before"]?.int
      after = call.body["after"]?.int
    }
  }

  private func messages(
    _ page: Page, of user: ChatUser, in conversation: @escaping @Sendable (SQLConnection) throws -> ConversationID
  ) async throws -> Reply {
    let found = try await database.transaction { database in
      let conversation = try conversation(database)
      return try database.messages(
        in: conversation, for: user.number, before: page.before, after: page.after, limit: page.limit
      ).map { message in
        StoredMessage(
          message: message, conversation: conversation, senderName: try database.username(of: message.sender),
          participants: [])
      }
    }
    return .json(.array(found.map(ChatPayload.message)))
  }

  // MARK: Groups

  func createGroup(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    let name = try ChatRules.groupName(call.string("name"))
    let names = call.body["members"]?.array ?? []
    guard names.count <= ChatRules.maximumMembersInCall else {
      throw ChatRefusal.invalid("members: must be at most \(ChatRules.maximumMembersInCall)")
    }
    var members: [UserNumber] = []
    var known: Set<UserNumber> = []
    for (index, entry) in names.enumerated() {
      let number = try await self.user(called: entry.string ?? "", "members[\(index)]").number
      if known.insert(number).inserted { members.append(number) }
    }
    let (group, news) = try await database.transaction { [members] database in
      let group = try database.group(try database.createGroup(name, by: user.number, members: members))
      return (group, try database.publish(Self.news(of: group)))
    }
    await publish(news)
    return .json(ChatPayload.group(group))
  }

  func addGroupMember(_ call: Call) async throws -> Reply {
    try await changeGroup(call, "member added") { database, group, _, named, user in
      guard try database.memberCount(of: group) < ChatRules.maximumMembers else {
        throw ChatRefusal.groupFull
      }
      guard let member = named?.number else { throw ChatRefusal.noSuchUser(field: "member") }
      try database.addMember(member, to: group, by: user)
      return member
    }
  }

  func removeGroupMember(_ call: Call) async throws -> Reply {
    try await changeGroup(call, "member removed") { database, group, name, named, user in
      let member = try database.listed(name, named?.number) { try database.membership(group, $0) != nil }
      guard let member else { throw named == nil ? ChatRefusal.noSuchUser(field: "member") : .notMember }
      try database.removeMember(member, from: group, by: user)
      return member
    }
  }

  private func changeGroup(
    _ call: Call, _ message: String,
    _ change: @escaping @Sendable (SQLConnection, GroupID, String, ChatUser?, UserNumber) throws -> UserNumber
  ) async throws -> Reply {
    let user = try await user(of: call)
    let id = GroupID(call.body["group_id"]!.int!)
    // To one who is not a member the group does not exist: whether the name does is asked after that.
    try await database.transaction { database in
      guard try database.membership(id, user.number) != nil else { throw ChatRefusal.noSuchGroup }
    }
    let name = call.string("member")
    let named = try await self.user(having: name)
    let (group, news) = try await database.transaction { database in
      let member = try change(database, id, name, named, user.number)
      let group = try database.group(id)
      let hasLeft = !group.members.contains { $0.user == member }
      return (group, try database.publish(Self.news(of: group, leaver: hasLeft ? member : nil)))
    }
    await publish(news)
    guard case .object(let view) = ChatPayload.group(group) else { return .json(.null) }
    return .json(.object([.init("message", .string(message))] + view))
  }

  /// The members hear how the group is now, and one who has left no more than that.
  private static func news(of group: GroupView, leaver: UserNumber? = nil) -> [Publication] {
    var news = [Publication(ChatEventTable.groupChanged, ChatPayload.group(group), to: group.members.map(\.user))]
    if let leaver {
      let gone: JSONValue = ["group_id": .int(group.id.value), "name": .string(group.name), "members": []]
      news.append(Publication(ChatEventTable.groupChanged, gone, to: [leaver]))
    }
    return news
  }

  func getGroups(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    let groups = try await database.transaction { try $0.groups(of: user.number) }
    return .json(.array(groups.map(ChatPayload.group)))
  }

  // MARK: Health

  func health() async throws -> String {
    guard await database.checkHealth() else { throw HTTPFailure(503, "the chat database is not available") }
    if let fault = try await userManager().fault() { throw HTTPFailure(503, fault) }
    return "what the chat needs answers"
  }
}

extension SQLConnection {
  /// Somebody's contact with a name. `named` has the name at the User Service now.
  func contact(called name: String, _ named: ChatUser?, of user: UserNumber) throws -> ChatUser {
    let number = try listed(name, named?.number) { try contact(user, $0) != nil }
    guard let number else { throw ChatRefusal.noSuchContact }
    return number == named?.number ? named! : ChatUser(number: number, account: AccountID(""), username: name)
  }

  /// Somebody's contact with a name, or else a deleted one with whom they have talked.
  func correspondent(called name: String, _ named: ChatUser?, of user: UserNumber) throws -> UserNumber {
    if let contact = try listed(name, named?.number, where: { try contact(user, $0) != nil }) { return contact }
    let former = try listed(name, nil) {
      try isRemoved($0) && lastSequence(.between(user, $0)) > 0
    }
    guard let former else { throw ChatRefusal.noSuchContact }
    return former
  }

  /// A contact as each side sees it.
  func views(_ contact: Contact, of user: ChatUser, and other: ChatUser) throws(DatabaseError) -> (
    own: ContactView, theirs: ContactView
  ) {
    func view(_ seen: ChatUser, by reader: ChatUser) throws(DatabaseError) -> ContactView {
      ContactView(
        user: seen.number, username: seen.username, status: contact.status,
        isOnline: contact.status == .friend ? try isOnline(seen.number) : false,
        changes: contact.changes(by: reader.number, other: seen.number))
    }
    return (try view(other, by: user), try view(user, by: other))
  }

  func contactViews(of user: UserNumber) throws(DatabaseError) -> [ContactView] {
    var views: [ContactView] = []
    for (other, username, contact) in try contacts(of: user) {
      views.append(
        ContactView(
          user: other, username: username, status: contact.status,
          isOnline: contact.status == .friend ? try isOnline(other) : false,
          changes: contact.changes(by: user, other: other)))
    }
    return views
  }

  func username(of user: UserNumber) throws(DatabaseError) -> String {
    try first("SELECT username FROM chat_users WHERE user_number = $1", .int(user.value)) { $0.text(0) } ?? ""
  }

  func group(_ id: GroupID) throws(DatabaseError) -> GroupView {
    let name = try first("SELECT name FROM chat_groups WHERE group_id = $1", .int(id.value)) { $0.text(0) } ?? ""
    let members = try query(
      """
      SELECT m.user_number, u.username FROM memberships m JOIN chat_users u ON u.user_number = m.user_number
      WHERE m.group_id = $1 AND m.last_seq IS NULL ORDER BY m.position
      """, .int(id.value)
    ) { (user: UserNumber($0.int(0)), username: $0.text(1)) }
    return GroupView(id: id, name: name, members: members)
  }

  /// The groups that a user is in, oldest membership first.
  func groups(of user: UserNumber) throws(DatabaseError) -> [GroupView] {
    let ids = try query(
      "SELECT group_id FROM memberships WHERE user_number = $1 AND last_seq IS NULL ORDER BY position",
      .int(user.value)
    ) { GroupID($0.int(0)) }
    var groups: [GroupView] = []
    for id in ids { groups.append(try group(id)) }
    return groups
  }
}
