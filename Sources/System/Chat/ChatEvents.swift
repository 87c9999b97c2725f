import Environment

/// What happens on sockets.
extension ChatService {
  // MARK: Coming and going

  /// Lets a socket in, or says why not. From here on it is `disconnected` once.
  func admit(_ socket: SocketID, session: ChatSessionID, token: String?) async throws -> ChatUser {
    let user = try await directory.user(of: session, token: token)
    guard await directory.attach(socket, to: session) else { throw ChatRefusal.noSuchSession }
    do {
      try await arrive(socket, user, session)
      return user
    } catch {
      await directory.detach(socket, from: session)
      throw error
    }
  }

  private func arrive(_ socket: SocketID, _ user: ChatUser, _ session: ChatSessionID) async throws {
    let namespace = socket.namespace
    let isPresence = namespace == "/"
    let member = Member(user: user, session: session)
    let life = life
    let (news, connection): (PublishedAt?, Int64)
    do {
      (news, connection) = try await database.transaction { database in
        let isFirst = try database.addSocket(socket.rowID, of: user.number, namespace: namespace, life: life)
        if isPresence { return (isFirst ? try database.publishPresence(of: user, isOnline: true) : nil, 0) }
        return (
          nil, isFirst ? try database.nextConnection(of: user.number) : try database.lastConnection(of: user.number)
        )
      }
    } catch {
      // It may have been stored all the same.
      await leave(socket, member)
      throw error
    }
    note(member, at: socket)
    if let news { await publish(news) }
    guard !isPresence else { return }
    do {
      // Told again by each socket: a connection that is known already changes nothing.
      try await userManager().userIsThere(user.number.value, connection: connection)
    } catch {
      await disconnected(socket)
      throw ChatRefusal.unavailable(.userManager)
    }
  }

  /// The session may have ended while the socket was being let in: then nobody has closed the socket yet.
  func connected(_ socket: SocketID) async {
    guard let member = members[socket] else { return }
    if await !directory.isAttached(socket, to: member.session) { await close([socket], "the session has ended") }
  }

  func disconnected(_ socket: SocketID) async {
    guard let member = forget(socket) else { return }
    await directory.detach(socket, from: member.session)
    await leave(socket, member)
  }

  private func leave(_ socket: SocketID, _ member: Member) async {
    departed.append((socket, member))
    await settle()
  }

  /// Removes the rows of sockets that are gone. What fails is tried again: a row that stays would keep somebody online for ever.
  private func settle() async {
    guard !isSettling else { return }
    isSettling = true
    defer { isSettling = false }
    while let (socket, member) = departed.first {
      do {
        try await depart(socket, member)
        _ = departed.popFirst()
      } catch DatabaseError.closed {
        return
      } catch is NodeDown {
        return
      } catch {
        environment.log.warning("socket-row-stays", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: .milliseconds(250)) } catch { return }
      }
    }
  }

  private func depart(_ socket: SocketID, _ member: Member) async throws {
    let user = member.user
    let byCount = !options.planted(.presenceByLastEvent)
    let isPresence = socket.namespace == "/"
    let news = try await database.transaction { database -> PublishedAt? in
      let wasLast = try database.removeSocket(socket.rowID, of: user.number, namespace: socket.namespace)
      guard wasLast || !byCount else { return nil }
      if isPresence { return try database.publishPresence(of: user, isOnline: false) }
      // What the User Manager has to know goes by the queues.
      try database.noteDeparture(of: user.number)
      return nil
    }
    if let news { await publish(news) }
    if !isPresence { tellDepartures() }
  }

  // MARK: Events

  /// Handles an event; what is returned acknowledges it.
  func event(_ name: String, _ data: JSONValue, from socket: SocketID) async throws -> JSONValue? {
    if directory.book.isLate { await directory.doubtAll() }
    guard let member = members[socket] else { throw ChatRefusal.socketClosed }
    if let objection = directory.book.objection(to: member.session) { throw objection }
    // Names are bounded before they are compared.
    guard name.utf8.count <= ClientBounds.identifier, let row = ChatEventTable.table.row(name, in: socket.namespace)
    else { throw ChatRefusal.invalid("no event \"\(name.shortened(toBytes: 64))\" is known here") }
    if let fault = row.data.fault(in: data) { throw ChatRefusal.invalid(fault) }
    switch (socket.namespace, name) {
    case ("/", "send_message"):
      let message = try ChatRules.outgoing(data)
      try await checkSession(data, member)
      return try await send(message, from: member.user)
    case ("/", "add_contact"):
      try await checkSession(data, member)
      let contact = try await addContact(data["contact_username"]!.string!, by: member.user)
      return ["status": "ok", "contact": ChatPayload.contact(contact)]
    case ("/", "typing"):
      try await typing(to: data["recipient_id"]!.int!, isGroup: data["is_group"]?.bool ?? false, from: member.user)
      return nil
    case (UserServer.namespace, "user_message"): return try await userMessage(data, from: member)
    default: throw ChatRefusal.invalid("no handler of \"\(name)\" is known here")
    }
  }

  /// The session inside an event has to be one of the socket's user.
  private func checkSession(_ data: JSONValue, _ member: Member) async throws {
    guard let session = ChatSessionID(data["sessionID"]!.string!) else { throw ChatRefusal.noSuchSession }
    if session == member.session { return }
    guard try await directory.user(of: session, token: nil).number == member.user.number else {
      throw ChatRefusal.foreignSession
    }
    // The socket's own session may have ended while the other one was asked about.
    if let objection = directory.book.objection(to: member.session) { throw objection }
  }

  private func send(_ message: ChatRules.Outgoing, from user: ChatUser) async throws -> JSONValue {
    let conversation: ConversationID =
      message.isGroup
      ? .group(GroupID(message.recipient)) : .between(user.number, UserNumber(message.recipient))
    let now = environment.clock.wallTime.rfc3339
    if options.planted(.emitsBeforeCommit) { try await emitEarly(message, user, conversation, now) }
    let clientID = message.clientID
    let inTwoSteps = options.planted(.clientIDInTwoSteps)
    if inTwoSteps, let clientID, let known = try await answer(to: clientID, of: user) { return known }
    let stored = try await database.transaction { database -> (StoredMessage, isNew: Bool) in
      if inTwoSteps, let clientID { try database.forgetClientID(clientID, of: user.number) }
      let (stored, isNew) = try database.storeMessage(
        message.content, message.kind, by: user.number, in: conversation, clientID: clientID, at: now)
      return (
        StoredMessage(
          message: stored, conversation: conversation, senderName: user.username,
          participants: isNew ? try database.participants(conversation) : []), isNew
      )
    }
    if stored.isNew {
      let event = ChatPayload.newMessage(late(stored.0))
      await publish([event], at: stored.0.message.id)
    }
    return Self.acknowledgement(stored.0.message)
  }

  static func acknowledgement(_ message: ChatMessage) -> JSONValue {
    [
      "status": "ok", "message_id": .int(message.id), "seq": .int(message.sequence),
      "timestamp": .string(message.timestamp),
    ]
  }

  /// Tells the others that somebody types, when they would get the message.
  private func typing(to recipient: Int64, isGroup: Bool, from user: ChatUser) async throws {
    let conversation: ConversationID =
      isGroup ? .group(GroupID(recipient)) : .between(user.number, UserNumber(recipient))
    let others = try await database.transaction { database in
      try database.requireMayWrite(user.number, in: conversation)
      return try database.participants(conversation).filter { $0 != user.number }
    }
    let payload: JSONValue = [
      "sender_id": .int(user.number.value), "sender_username": .string(user.username),
      "recipient_id": .int(recipient), "is_group": .bool(isGroup),
    ]
    await tell(RoomEvent(ChatEventTable.typing, payload, rooms: others.map(ChatPayload.room)))
  }
}

extension SQLConnection {
  /// Tells friends that somebody has come or gone.
  fileprivate func publishPresence(of user: ChatUser, isOnline: Bool) throws(DatabaseError) -> PublishedAt {
    try publish([
      Publication(
        ChatEventTable.userStatus, ChatPayload.presence(user, isOnline: isOnline), to: try friends(of: user.number))
    ])
  }
}

extension SocketID {
  /// What the socket is called in the database.
  fileprivate var rowID: String { session + namespace + id }
}
