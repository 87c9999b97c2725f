import Environment

/// What stands behind the User Server: the User Manager's queues. What throws was not taken; what returns is safe.
public protocol UserServerBackend: Sendable {
  /// A user is there; `connection` grows with each connection of a user.
  func userIsThere(_ user: Int64, connection: Int64) async throws
  /// The last socket of that connection is gone.
  func userIsGone(_ user: Int64, connection: Int64) async throws
  /// A user says something. The same id means the same message.
  func userSays(_ message: JSONValue, id: String, user: Int64) async throws
  /// Why the backend is of no use now, for an operator to read; nil while it answers.
  func fault() async -> String?
  /// Gives everything up.
  func close() async
}

/// How the User Manager's messages reach the sockets of a user.
public struct UserServerDelivery: Sendable {
  let body: @Sendable (Int64, JSONValue) async -> Void

  init(_ body: @escaping @Sendable (Int64, JSONValue) async -> Void) { self.body = body }

  /// Emits `session_message` to the user's sockets: an object as it is, anything else as `{"MESSAGE": it}`.
  public func callAsFunction(_ user: Int64, _ message: JSONValue) async { await body(user, message) }
}

/// Stands where no User Manager is configured.
struct NoUserManager: UserServerBackend {
  func userIsThere(_ user: Int64, connection: Int64) async throws {}
  func userIsGone(_ user: Int64, connection: Int64) async throws {}
  func userSays(_ message: JSONValue, id: String, user: Int64) async throws { throw ChatRefusal.noUserManager }
  func fault() async -> String? { nil }
  func close() async {}
}

/// The namespace `/users`: connecting makes a user available to sessions.
enum UserServer {
  static let namespace = "/users"

  /// The event that brings a message of the User Manager to a user: an object as it is, anything else
  /// as `{"MESSAGE": it}`.
  static func sessionMessage(_ message: JSONValue, to user: Int64) -> RoomEvent {
    let payload: JSONValue = message.members == nil ? ["MESSAGE": message] : message
    return RoomEvent(ChatEventTable.sessionMessage, payload, rooms: [ChatPayload.room(UserNumber(user))])
  }
}

extension ChatService {
  /// Tells the User Manager who is gone, in order, until it has been told.
  func tellDepartures() {
    hasNewDepartures = true
    guard !isTellingDepartures else { return }
    isTellingDepartures = true
    environment.executor.spawn("departures") { await self.tellAllDepartures() }
  }

  private func tellAllDepartures() async {
    defer { isTellingDepartures = false }
    while true {
      hasNewDepartures = false
      do {
        let departures = try await database.transaction { try $0.departures() }
        // One that was noted just after they were read, and before that was known here, wakes nobody else.
        if departures.isEmpty, !hasNewDepartures { return }
        for (id, user, connection) in departures {
          do {
            try await userManager().userIsGone(user, connection: connection)
          } catch {
            guard options.planted(.forgetsDepartures) else { throw error }
          }
          try await database.transaction { try $0.forgetDeparture(id) }
        }
      } catch is NodeDown {
        return
      } catch DatabaseError.closed {
        return
      } catch {
        guard isRunning else { return }
        environment.log.info("departure-waits", ["error": .string("\(error)")])
        do { try await environment.clock.sleep(for: .milliseconds(250)) } catch { return }
      }
    }
  }

  /// `user_message`: acknowledged once it is safely queued.
  func userMessage(_ data: JSONValue, from member: Member) async throws -> JSONValue {
    let message = data["MESSAGE"]!
    guard message.bytes.count <= ChatRules.maximumContent else {
      throw ChatRefusal.invalid("MESSAGE: must have at most 65536 bytes")
    }
    var id = Hex.encode(environment.entropy.bytes(16))
    if let given = data["client_id"]?.string { id = "\(member.user.number.value)/" + given }
    try await userManager().userSays(message, id: id, user: member.user.number.value)
    return ["status": "ok", "message_id": .string(id)]
  }
}
