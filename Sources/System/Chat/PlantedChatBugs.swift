/// The bodies of the planted bugs: what a hurried programmer writes in their place. Reached only when a test plants them.
extension ChatService {
  /// A number that no stored message has.
  private static let guessedID: Int64 = 1 << 52

  func emitEarly(
    _ message: ChatRules.Outgoing, _ user: ChatUser, _ conversation: ConversationID, _ now: String
  ) async throws {
    let (sequence, participants) = try await database.transaction {
      (try $0.lastSequence(conversation), try $0.participants(conversation))
    }
    let early = ChatMessage(
      id: Self.guessedID, sequence: sequence + 1, sender: user.number, content: message.content, kind: message.kind,
      timestamp: now)
    await tell(
      ChatPayload.newMessage(
        StoredMessage(
          message: early, conversation: conversation, senderName: user.username, participants: participants)))
  }

  func answer(to clientID: String, of user: ChatUser) async throws -> JSONValue? {
    try await database.transaction { try $0.message(user.number, clientID) }.map { Self.acknowledgement($0.message) }
  }

  /// Addresses a message to the members of its group in the cache.
  func late(_ stored: StoredMessage) -> StoredMessage {
    guard options.planted(.leavesRoomLate), case .group(let id) = stored.conversation else { return stored }
    let known = options.planted.cached(
      stored.participants.map(\.value), under: id.value, isRefreshing: stored.message.sequence % 8 == 0)
    return StoredMessage(
      message: stored.message, conversation: stored.conversation, senderName: stored.senderName,
      participants: known.map(UserNumber.init))
  }
}

extension SQLConnection {
  func forgetClientID(_ clientID: String, of user: UserNumber) throws(DatabaseError) {
    try execute(
      "UPDATE messages SET client_id = NULL WHERE sender = $1 AND client_id = $2", .int(user.value), .text(clientID))
  }
}
