import Environment

/// The handlers of the REST side. They read the parameters of a call, whose shape `ChatRoutes` has
/// checked, and write the answer as JSON. An object: every route refers to it.
final class ChatEndpoints: Sendable {
  let users: ChatUsers
  let contacts: Contacts
  let groups: Groups
  let messages: Messages
  let database: Database
  let userManager: any UserServerBackend

  init(
    _ environment: Environment, _ users: ChatUsers, _ database: Database, _ fanOut: FanOut,
    _ userManager: any UserServerBackend, planted: PlantedBugs
  ) {
    self.users = users
    contacts = Contacts(users: users, database: database, fanOut: fanOut)
    groups = Groups(users: users, database: database, fanOut: fanOut)
    messages = Messages(
      environment: environment, users: users, database: database, fanOut: fanOut, planted: planted)
    self.database = database
    self.userManager = userManager
  }

  // MARK: Accounts and sessions

  func register(_ call: Call) async throws -> Reply {
    let user = try await users.register(call.string("username"), call.string("password"), address: call.client.host)
    return .json([
      "message": "user registered", "user_id": .int(user.number.value), "username": .string(user.username),
    ])
  }

  func login(_ call: Call) async throws -> Reply {
    let (session, user) = try await users.login(
      call.string("username"), call.string("password"), address: call.client.host)
    return .json([
      "sessionID": .string(session.value), "user_id": .int(user.number.value), "username": .string(user.username),
    ])
  }

  func logout(_ call: Call) async throws -> Reply {
    try await users.logout(try session(of: call), token: call.bearerToken)
    return .json(["message": "logged out"])
  }

  private func session(of call: Call) throws(ChatRefusal) -> ChatSessionID {
    guard let session = ChatSessionID(call.string("sessionID")) else { throw .noSuchSession }
    return session
  }

  private func user(of call: Call) async throws -> ChatUser {
    try await users.user(of: try session(of: call), token: call.bearerToken)
  }

  // MARK: Contacts

  func addContact(_ call: Call) async throws -> Reply {
    let contact = try await contacts.add(call.string("contact"), by: try await user(of: call))
    return .json(["message": "contact added", "contact": ChatPayload.contact(contact)])
  }

  func changeContact(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    let status = ContactStatus(rawValue: call.string("status"))!
    let contact = try await contacts.change(call.string("contact"), to: status, by: user)
    return .json(["message": "contact changed", "contact": ChatPayload.contact(contact)])
  }

  func getContacts(_ call: Call) async throws -> Reply {
    let contacts = try await contacts.list(of: try await user(of: call))
    let payload = call.body["changes"]?.bool == true ? ChatPayload.contactWithChanges : ChatPayload.contact
    return .json(.array(contacts.map(payload)))
  }

  // MARK: Groups

  func createGroup(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    let members = call.body["members"]?.array ?? []
    let group = try await groups.create(call.string("name"), members: members.map { $0.string ?? "" }, by: user)
    return .json(ChatPayload.group(group))
  }

  func addGroupMember(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    return changed(try await groups.add(call.string("member"), to: group(of: call), by: user), "member added")
  }

  func removeGroupMember(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    return changed(try await groups.remove(call.string("member"), from: group(of: call), by: user), "member removed")
  }

  func getGroups(_ call: Call) async throws -> Reply {
    let groups = try await groups.list(of: try await user(of: call))
    return .json(.array(groups.map(ChatPayload.group)))
  }

  private func group(of call: Call) -> GroupID { GroupID(call.body["group_id"]!.int!) }

  private func changed(_ group: GroupView, _ message: String) -> Reply {
    .json(.object([.init("message", .string(message))] + ChatPayload.group(group).members!))
  }

  // MARK: Messages

  func getContactMessages(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    return list(try await messages.history(withContact: call.string("contact"), for: user, page(of: call)))
  }

  func getGroupMessages(_ call: Call) async throws -> Reply {
    let user = try await user(of: call)
    return list(try await messages.history(of: group(of: call), for: user, page(of: call)))
  }

  private func page(of call: Call) -> MessagePage {
    MessagePage(
      before: call.body["before"]?.int, after: call.body["after"]?.int,
      limit: call.body["limit"]?.int ?? ChatRules.standardPage)
  }

  private func list(_ messages: [StoredMessage]) -> Reply { .json(.array(messages.map(ChatPayload.message))) }

  // MARK: Operators

  func erase(_ call: Call) async throws -> Reply {
    let isTrial = call.body["dry_run"] == true
    return .json(try await users.directory.erase(AccountID(call.string("user_id")), isTrial: isTrial))
  }

  func names(_ call: Call) async throws -> Reply {
    let users = (call.body["user_ids"]?.array ?? []).compactMap { $0.int.map { UserNumber($0) } }
    // Nothing is decided, so no other transaction has to wait for as many statements.
    let found = try await database.asideTransaction { connection in
      let table = ChatTables(connection).users
      var found: [ChatUser] = []
      for user in users { if let known = try await table.user(user) { found.append(known) } }
      return found
    }
    return .json([
      "users": .array(
        found.map {
          [
            "user_id": .int($0.number.value), "username": .string($0.username),
            "account_id": .string($0.account.value),
          ]
        })
    ])
  }

  // MARK: Health

  func health() async throws -> String {
    guard await database.checkHealth() else { throw HTTPFailure(503, "the chat database is not available") }
    if let fault = await userManager.fault() { throw HTTPFailure(503, fault) }
    return "the database and the broker answer"
  }
}
