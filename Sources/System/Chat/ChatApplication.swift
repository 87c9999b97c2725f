import Environment

/// The Socket.IO side of the Chat Service: admits sockets and handles their events.
final class ChatApplication: SocketApplication {
  let sockets: SocketIOServer<ChatApplication>
  let presence: Presence
  let directory: SessionDirectory
  let contacts: Contacts
  let messages: Messages
  let userServer: UserServer
  let fanOut: FanOut
  let recoveries: Recoveries

  init(
    sockets: SocketIOServer<ChatApplication>, presence: Presence, directory: SessionDirectory, contacts: Contacts,
    messages: Messages, userServer: UserServer, fanOut: FanOut, recoveries: Recoveries
  ) {
    self.sockets = sockets
    self.presence = presence
    self.directory = directory
    self.contacts = contacts
    self.messages = messages
    self.userServer = userServer
    self.fanOut = fanOut
    self.recoveries = recoveries
  }

  // MARK: Sockets

  func admit(_ socket: SocketID, query: [(name: String, value: String)], auth: JSONValue) async -> SocketAdmission {
    let text = auth["sessionID"]?.string ?? query.first { $0.name.hasSameBytes(as: "sessionID") }?.value
    guard let text else { return .refused("sessionID: missing") }
    guard let session = ChatSessionID(text) else { return .refused(ChatRefusal.noSuchSession.message) }
    do {
      let request = socket.namespace == "/" ? RecoveryRequest(auth) : nil
      let (user, recoverable) = try await presence.admit(
        socket, session: session, token: auth["token"]?.string, recovery: request)
      let (book, room) = (directory.book, ChatPayload.room(user.number))
      return .accepted(
        rooms: [room], recovery: try await recovery(of: socket, recoverable, room),
        objection: { book.objection(to: session)?.message })
    } catch {
      return .refused(Self.message(for: error))
    }
  }

  /// Prepares what a socket's client has missed. If that cannot be sent again, the client is new.
  private func recovery(
    of socket: SocketID, _ recoverable: RecoverableSocket?, _ room: String
  ) async throws -> SocketRecovery? {
    guard var recoverable else { return nil }
    do {
      if recoverable.isRecovered, try await !recoveries.canReplay(room, after: recoverable.offset) {
        recoverable = try await presence.renewRecovery(of: socket)
      }
    } catch {
      // It is admitted, and does not connect.
      await presence.disconnected(socket)
      throw error
    }
    let history = await fanOut.beginHistory()
    let offset = recoverable.isRecovered ? recoverable.offset : nil
    return SocketRecovery(id: recoverable.id, socketID: recoverable.socketID) {
      offset.map { history.missed(in: room, after: $0) } ?? MissedEvents.none
    }
  }

  /// Disconnects a socket whose session ended or lost its lease while the socket was being
  /// admitted: it was not yet among the sockets that `SessionDirectory` closes.
  func connected(_ socket: SocketID, auth: JSONValue) async {
    guard let member = await presence.member(at: socket) else { return }
    if await !directory.isAttached(socket, to: member.session) {
      await sockets.disconnect([socket], reason: "the session has ended, or is in doubt")
    }
  }

  func disconnected(_ socket: SocketID, reason: String) async { await presence.disconnected(socket) }

  // MARK: Events

  func event(_ name: String, _ payload: SocketPayload, from socket: SocketID) async -> SocketPayload {
    do {
      guard let answer = try await handle(name, payload.arguments.first ?? .null, from: socket) else {
        return SocketPayload([])
      }
      return SocketPayload([answer])
    } catch {
      return Self.failed(Self.message(for: error))
    }
  }

  /// Handles an event and returns its acknowledgement.
  private func handle(_ name: String, _ data: JSONValue, from socket: SocketID) async throws -> JSONValue? {
    if directory.book.isLate { await directory.doubtAll() }
    guard let member = await presence.member(at: socket) else { throw ChatRefusal.socketClosed }
    if let objection = directory.book.objection(to: member.session) { throw objection }
    // The length is limited first: comparing names with many combining marks takes quadratic time.
    guard name.utf8.count <= ClientBounds.identifier, let row = ChatEventTable.table.row(name, in: socket.namespace)
    else { throw ChatRefusal.invalid("no event \"\(name.shortened(toBytes: 64))\" is known here") }
    if let fault = row.data.fault(in: data) { throw ChatRefusal.invalid(fault) }
    let user = member.user
    switch (socket.namespace, name) {
    case ("/", "send_message"):
      let message = try OutgoingMessage(data, from: user.number)
      try await checkSession(data, member)
      return ChatPayload.acknowledgement(try await messages.send(message, from: user))
    case ("/", "add_contact"):
      try await checkSession(data, member)
      let contact = try await contacts.add(data["contact_username"]!.string!, by: user)
      return ["status": "ok", "contact": ChatPayload.contact(contact)]
    case ("/", "typing"):
      let conversation = ConversationID(recipientOf: data, from: user.number)
      try await messages.typing(in: conversation, from: user, recipient: data["recipient_id"]!.int!)
      return nil
    case (UserServer.namespace, "user_message"):
      return ["status": "ok", "message_id": .string(try await userServer.send(data, from: user.number))]
    default: throw ChatRefusal.invalid("no handler of \"\(name)\" is known here")
    }
  }

  /// Requires that the session in an event belongs to the socket's user.
  private func checkSession(_ data: JSONValue, _ member: Presence.Member) async throws {
    guard let session = ChatSessionID(data["sessionID"]!.string!) else { throw ChatRefusal.noSuchSession }
    if session == member.session { return }
    guard try await directory.user(of: session, token: nil).number == member.user.number else {
      throw ChatRefusal.foreignSession
    }
    // The socket's own session may have ended during the question.
    if let objection = directory.book.objection(to: member.session) { throw objection }
  }

  // MARK: Errors

  func unreadable(_ reason: String, from socket: SocketID) async -> SocketPayload { Self.failed(reason) }

  func unacknowledged(_ answer: SocketPayload, from socket: SocketID) async {
    guard answer.arguments.first?["status"] == "error", let message = answer.arguments.first?["message"] else { return }
    await sockets.emit("error", SocketPayload([["message": message]]), to: socket)
  }

  private static func failed(_ message: String) -> SocketPayload {
    SocketPayload([["status": "error", "message": .string(message)]])
  }

  /// The text for the client.
  private static func message(for error: any Error) -> String {
    switch error {
    case let refusal as ChatRefusal: refusal.message
    case let error as DatabaseError where error.isUnavailable: "the chat database is not available"
    case is NodeDown, is CancellationError: ChatRefusal.stopping.message
    default: "internal error"
    }
  }
}
