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
///
/// A node that shares its database with others stores each message as a publication, so that all
/// nodes emit it, and stores its id with it. A node that has the database for itself keeps the ids
/// of the latest messages in memory: its sockets end with it.
public struct UserServerDelivery: Sendable {
  private let database: Database
  private let fanOut: FanOut
  private let delivered: DeliveredMessages

  init(_ environment: Environment, _ database: Database, _ fanOut: FanOut) {
    self.database = database
    self.fanOut = fanOut
    delivered = DeliveredMessages(environment)
  }

  /// Emits `session_message` to all sockets of `user` in `/users`. A message that is not an object
  /// is emitted as `{"MESSAGE": message}`. A second message with the same id is the same message.
  /// - Throws: `DatabaseError`, if nodes share the database. The message was perhaps emitted.
  public func callAsFunction(_ user: UserNumber, _ message: JSONValue, id: String?) async throws {
    let payload: JSONValue = message.members == nil ? ["MESSAGE": message] : message
    guard database.isShared else {
      guard await delivered.insert(id) else { return }
      return await fanOut.tell(RoomEvent(ChatEventTable.sessionMessage, payload, rooms: [ChatPayload.room(user)]))
    }
    let news = try await database.transaction { connection -> PublishedAt? in
      let tables = ChatTables(connection)
      if let id, try await tables.passed.contains(id) { return nil }
      let news = try await tables.publications.publish([
        Publication(ChatEventTable.sessionMessage, payload, to: [user])
      ])
      if let id { try await tables.passed.insert(id, at: news.position) }
      return news
    }
    if let news { await fanOut.publish(news) }
  }
}

/// The ids of the latest messages that were passed on. The User Manager publishes a message again
/// when it did not hear the broker's confirmation.
private actor DeliveredMessages {
  private let serialExecutor: ActorExecutor
  /// A repeated message follows soon after the first.
  private var ids = RecentIDs(limit: 20_000)

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment) { serialExecutor = environment.executor.forActor("seen") }

  /// Returns false for an id that was inserted before; a message without an id is always new.
  func insert(_ id: String?) -> Bool { id.map { ids.insert($0) } ?? true }
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
