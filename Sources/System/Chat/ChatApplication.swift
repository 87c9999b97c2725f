import Environment

/// The sockets' side of the Chat Service.
struct ChatApplication: SocketApplication {
  let chat: ChatService

  func admit(_ socket: SocketID, query: [(name: String, value: String)], auth: JSONValue) async -> SocketAdmission {
    func value(_ name: String) -> String? {
      auth[name]?.string ?? query.first { $0.name.hasSameBytes(as: name) }?.value
    }
    guard let session = value("sessionID") else { return .refused("sessionID: missing") }
    guard let session = ChatSessionID(session) else { return .refused(ChatRefusal.noSuchSession.message) }
    do {
      let user = try await chat.admit(socket, session: session, token: auth["token"]?.string)
      let book = chat.directory.book
      return .accepted(rooms: [ChatPayload.room(user.number)], objection: { book.objection(to: session)?.message })
    } catch {
      return .refused(Self.reason(error))
    }
  }

  func connected(_ socket: SocketID, auth: JSONValue) async { await chat.connected(socket) }

  func event(_ name: String, _ payload: SocketPayload, from socket: SocketID) async -> SocketPayload {
    do {
      guard let answer = try await chat.event(name, payload.arguments.first ?? .null, from: socket) else {
        return SocketPayload([])
      }
      return SocketPayload([answer])
    } catch {
      return Self.failed(Self.reason(error))
    }
  }

  func unreadable(_ reason: String, from socket: SocketID) async -> SocketPayload { Self.failed(reason) }

  private static func failed(_ reason: String) -> SocketPayload {
    SocketPayload([["status": "error", "message": .string(reason)]])
  }

  func unacknowledged(_ answer: SocketPayload, from socket: SocketID) async {
    guard answer.arguments.first?["status"] == "error", let message = answer.arguments.first?["message"] else { return }
    await chat.emit("error", ["message": message], to: socket)
  }

  func disconnected(_ socket: SocketID, reason: String) async { await chat.disconnected(socket) }

  /// What a client may know of an error.
  private static func reason(_ error: any Error) -> String {
    switch error {
    case let refusal as ChatRefusal: refusal.message
    case let error as DatabaseError where error.isUnavailable: "the chat database is not available"
    case is NodeDown, is CancellationError: ChatRefusal.stopping.message
    default: "internal error"
    }
  }
}
