/// The bodies of bugs that are planted in `Messages`. Only a test or a scenario reaches them.
struct PlantedMessageBugs: Sendable {
  /// An id that no stored message has.
  private static let guessedID = MessageID(Position(1 << 52))

  let database: Database
  let fanOut: FanOut
  let planted: PlantedBugs

  /// Emits a message before it is stored.
  func emitEarly(_ outgoing: OutgoingMessage, _ user: ChatUser, _ now: String) async throws {
    let (sequence, participants) = try await database.transaction { connection in
      let tables = ChatTables(connection)
      return (
        try await tables.messages.lastSequence(of: outgoing.conversation),
        try await MessageTransactions(tables: tables).participants(outgoing.conversation)
      )
    }
    let early = ChatMessage(
      id: Self.guessedID, sequence: sequence.next, sender: user.number, content: outgoing.content,
      kind: outgoing.kind, timestamp: now)
    await fanOut.tell(
      ChatPayload.newMessage(
        StoredMessage(
          message: early, conversation: outgoing.conversation, senderName: user.username, participants: participants)))
  }

  /// Keeps the name of a sender in memory.
  func remember(_ user: ChatUser) {
    guard planted(.forgetsSenders) else { return }
    _ = planted.cached([1], under: user.number.value, isRefreshing: true)
  }

  /// A page without the names of senders that are not in memory.
  func remembered(_ page: [StoredMessage]) -> [StoredMessage] {
    guard planted(.forgetsSenders) else { return page }
    return page.map { stored in
      guard planted.cached([], under: stored.message.sender.value, isRefreshing: false).isEmpty else { return stored }
      return StoredMessage(
        message: stored.message, conversation: stored.conversation, senderName: "", participants: stored.participants)
    }
  }

  /// Looks a `client_id` up in a transaction of its own.
  func known(_ outgoing: OutgoingMessage, _ user: ChatUser) async throws -> ChatMessage? {
    guard let clientID = outgoing.clientID else { return nil }
    return try await database.transaction {
      try await ChatTables($0).messages.message(from: user.number, clientID: clientID)?.message
    }
  }

  /// Lets the next transaction store a `client_id` again.
  func forgetClientID(
    of outgoing: OutgoingMessage, _ user: ChatUser, _ connection: SQLSession
  ) async throws(DatabaseError) {
    guard let clientID = outgoing.clientID else { return }
    try await connection.execute(
      "UPDATE messages SET client_id = NULL WHERE sender = $1 AND client_id = $2", .int(user.number.value),
      .text(clientID))
  }

  /// Addresses a message to the members of its group in a cache that may be old.
  func late(_ stored: StoredMessage) -> StoredMessage {
    guard planted(.leavesRoomLate), case .group(let id) = stored.conversation else { return stored }
    let known = planted.cached(
      stored.participants.map(\.value), under: id.value, isRefreshing: stored.message.sequence.value % 8 == 0)
    return StoredMessage(
      message: stored.message, conversation: stored.conversation, senderName: stored.senderName,
      participants: known.map(UserNumber.init))
  }
}
