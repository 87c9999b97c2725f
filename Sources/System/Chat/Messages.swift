import Environment

/// Sends messages and reads their history.
struct Messages: Sendable {
  private let environment: Environment
  private let users: ChatUsers
  private let database: Database
  private let fanOut: FanOut
  private let planted: PlantedBugs
  private let bugs: PlantedMessageBugs

  init(environment: Environment, users: ChatUsers, database: Database, fanOut: FanOut, planted: PlantedBugs) {
    self.environment = environment
    self.users = users
    self.database = database
    self.fanOut = fanOut
    self.planted = planted
    bugs = PlantedMessageBugs(database: database, fanOut: fanOut, planted: planted)
  }

  /// Stores a message and publishes it to the participants of its conversation. Returns once it is
  /// durable.
  func send(_ outgoing: OutgoingMessage, from user: ChatUser) async throws -> ChatMessage {
    let now = environment.clock.wallTime.rfc3339
    if planted(.emitsBeforeCommit) { try await bugs.emitEarly(outgoing, user, now) }
    let bugs = bugs
    let inTwoSteps = planted(.clientIDInTwoSteps)
    if inTwoSteps, let known = try await bugs.known(outgoing, user) { return known }
    let (stored, isNew) = try await database.transaction { connection in
      let transactions = MessageTransactions(tables: ChatTables(connection))
      if inTwoSteps { try await bugs.forgetClientID(of: outgoing, user, connection) }
      let (message, isNew) = try await transactions.store(outgoing, from: user.number, at: now)
      let participants = isNew ? try await transactions.participants(outgoing.conversation) : []
      return (
        StoredMessage(
          message: message, conversation: outgoing.conversation, senderName: user.username, participants: participants),
        isNew
      )
    }
    bugs.remember(user)
    if isNew { await fanOut.publish([ChatPayload.newMessage(bugs.late(stored))], at: stored.message.id.position) }
    return stored.message
  }

  /// Tells the other participants of a conversation that a user is typing. Only a user who may
  /// write there can do so. Where other nodes share the database, they read it from there, as all
  /// else.
  func typing(in conversation: ConversationID, from user: ChatUser, recipient: Int64) async throws {
    let isShared = database.isShared
    let payload = ChatPayload.typing(in: conversation, from: user, recipient: recipient)
    let (others, news) = try await database.transaction { connection -> ([UserNumber], PublishedAt?) in
      let tables = ChatTables(connection)
      let transactions = MessageTransactions(tables: tables)
      try await transactions.requireMayWrite(user.number, in: conversation)
      let others = try await transactions.participants(conversation).filter { $0 != user.number }
      guard isShared, !others.isEmpty else { return (others, nil) }
      return (others, try await tables.publications.publish([Publication(ChatEventTable.typing, payload, to: others)]))
    }
    if let news { return await fanOut.publish(news) }
    await fanOut.tell(RoomEvent(ChatEventTable.typing, payload, rooms: others.map(ChatPayload.room)))
  }

  /// A page of the messages with a contact, or with a deleted user.
  func history(withContact name: String, for reader: ChatUser, _ page: MessagePage) async throws -> [StoredMessage] {
    let holder = try await users.user(having: name)
    let messages = try await database.transaction { connection in
      let tables = ChatTables(connection)
      let other = try await ContactTransactions(tables: tables).correspondent(
        called: name, holder: holder, of: reader.number)
      return try await MessageTransactions(tables: tables).history(
        of: .between(reader.number, other), for: reader.number, page)
    }
    return bugs.remembered(messages)
  }

  /// A page of the messages of a group.
  func history(of group: GroupID, for reader: ChatUser, _ page: MessagePage) async throws -> [StoredMessage] {
    let messages = try await database.transaction { connection in
      let tables = ChatTables(connection)
      try await GroupTransactions(tables: tables).requireMember(reader.number, of: group)
      return try await MessageTransactions(tables: tables).history(of: .group(group), for: reader.number, page)
    }
    return bugs.remembered(messages)
  }
}
