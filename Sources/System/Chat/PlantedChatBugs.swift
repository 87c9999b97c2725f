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

  /// The message, to those who were in the group when somebody looked last.
  func late(_ stored: StoredMessage) -> StoredMessage {
    guard options.planted.contains(.leavesRoomLate), case .group(let id) = stored.conversation else { return stored }
    let known = rememberedMembers[id] ?? stored.participants
    if rememberedMembers[id] == nil || stored.message.sequence % 8 == 0 { rememberedMembers[id] = stored.participants }
    return StoredMessage(
      message: stored.message, conversation: stored.conversation, senderName: stored.senderName, participants: known)
  }
}

extension SQLConnection {
  func forgetClientID(_ clientID: String, of user: UserNumber) throws(DatabaseError) {
    try execute(
      "UPDATE messages SET client_id = NULL WHERE sender = $1 AND client_id = $2", .int(user.value), .text(clientID))
  }
}
