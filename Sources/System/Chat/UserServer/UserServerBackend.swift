import Environment

/// The User Manager, as the User Server uses it. A call that returns was accepted and is not lost;
/// a call that throws was not accepted.
public protocol UserServerBackend: Sendable {
  /// Tells that a user is available. `connection` grows with each connection of the user.
  func userIsAvailable(_ user: UserNumber, connection: ConnectionNumber) async throws
  /// Tells that the last socket of a connection is closed.
  func userIsGone(_ user: UserNumber, connection: ConnectionNumber) async throws
  /// Sends a message of a user. A second message with the same id is the same message.
  func send(_ message: JSONValue, id: String, from user: UserNumber) async throws
  /// The reason why the User Manager cannot be reached now, for an operator; nil when it can.
  func fault() async -> String?
  /// Closes the connection.
  func close() async
}

/// Emits messages of the User Manager to the sockets of a user.
public struct UserServerDelivery: Sendable {
  private let fanOut: FanOut

  init(_ fanOut: FanOut) { self.fanOut = fanOut }

  /// Emits `session_message` to all sockets of `user` in `/users`. A message that is not an object
  /// is emitted as `{"MESSAGE": message}`.
  public func callAsFunction(_ user: UserNumber, _ message: JSONValue) async {
    let payload: JSONValue = message.members == nil ? ["MESSAGE": message] : message
    await fanOut.tell(RoomEvent(ChatEventTable.sessionMessage, payload, rooms: [ChatPayload.room(user)]))
  }
}

/// Takes the place of the User Manager when none is configured.
struct NoUserManager: UserServerBackend {
  func userIsAvailable(_ user: UserNumber, connection: ConnectionNumber) async throws {}
  func userIsGone(_ user: UserNumber, connection: ConnectionNumber) async throws {}
  func send(_ message: JSONValue, id: String, from user: UserNumber) async throws { throw ChatRefusal.noUserManager }
  func fault() async -> String? { nil }
  func close() async {}
}

/// The namespace `/users`. A user with a socket there is available to supervised sessions.
struct UserServer: Sendable {
  static let namespace = "/users"

  let environment: Environment
  let userManager: any UserServerBackend

  /// Sends a user's message to the session that the user serves. Returns its id once it is safely
  /// queued.
  func send(_ data: JSONValue, from user: UserNumber) async throws -> String {
    let message = data["MESSAGE"]!
    guard message.bytes.count <= ChatRules.maximumContent else {
      throw ChatRefusal.invalid("MESSAGE: must have at most 65536 bytes")
    }
    var id = Hex.encode(environment.entropy.bytes(16))
    if let given = data["client_id"]?.string { id = "\(user.value)/" + given }
    try await userManager.send(message, id: id, from: user)
    return id
  }
}
