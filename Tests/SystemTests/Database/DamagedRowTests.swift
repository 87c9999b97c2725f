@testable import Environment
import Testing

@testable import Sim
@testable import System

/// Each column of each table holds, in all rows, a value that its service never writes. The service
/// starts and answers.
@Suite("Damaged rows")
struct DamagedRowTests {
  private struct Column: Sendable, CustomStringConvertible {
    let table: String
    let name: String
    /// Whether SQLite itself refuses anything but an integer.
    let isRowID: Bool
    var description: String { "\(table).\(name)" }
  }

  /// The values as SQL, which keeps their types. Text and bytes are greater than every number.
  private static let values = ["NULL", "'not one'", "9223372036854775807", "-9223372036854775808", "x'00FF'", "1e300"]

  /// The contents of a database as SQL statements, and its columns.
  private final class Pristine: @unchecked Sendable {
    var statements: [String] = []
    var columns: [Column] = []
    /// The next damage; nil to record the contents.
    var damage: String?
  }

  /// With a wrong counter the manager would do something twice or not at all, so it refuses to
  /// start.
  private static let counters = ["manager.last_commit", "manager.next_session"]

  private static let databases: [(node: String, database: ServiceDatabase, address: SocketAddress?)] = [
    ("broker", Broker.database, nil), ("users", UserService.database, SessionWorld.credentials),
    ("chat", ChatService.database, SessionWorld.chat), ("manager", UserManager.database, SessionWorld.manager),
    ("customers", CustomerServer.database, SessionWorld.customers),
  ]

  private static let email = "customer@example.com"

  @Test("a service starts and answers with any value in a column", arguments: databases.map(\.node))
  func columns(node: String) throws {
    let service = try #require(Self.databases.first { $0.node == node })
    let session = SessionWorld(seed: 41)
    session.addUsersAndChat()
    let sessions = try session.world.perform(as: "people") { try await Self.live($0) }
    let pristine = Pristine()
    session.hooks.beforeEach = { name, environment in
      guard name == node else { return }
      let database = Database(environment, path: service.database.path, migrations: service.database.migrations)
      try await database.transaction { connection in
        guard let statement = pristine.damage else { return try await Self.note(connection, pristine) }
        try await Self.damage(connection, pristine, statement)
      }
      await database.close()
    }
    session.restart(node)
    #expect(pristine.columns.count > 5)
    for column in pristine.columns where !Self.counters.contains(column.description) {
      for value in Self.values where !column.isRowID || Int64(value) != nil {
        pristine.damage = "UPDATE OR IGNORE \(column.table) SET \(column.name) = \(value)"
        let failedBefore = session.world.node(node)!.failedStarts
        session.restart(node)
        let what: Comment = "\(column) = \(value)"
        #expect(session.world.node(node)!.failedStarts == failedBefore, what)
        let statuses = try session.world.perform(as: "visitor-\(column)-\(value)", within: .seconds(60)) {
          try await Self.ask(service.address, sessions, $0)
        }
        #expect(statuses.first == 200, what)
        #expect(statuses.allSatisfy { $0 != 500 && $0 != 0 }, "\(what): \(statuses)")
      }
    }
    session.world.end()
  }

  private static func tables(_ connection: SQLSession) async throws -> [String] {
    try await connection.query(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'health' ORDER BY name"
    ) { $0.text(0) }
  }

  /// Records the contents of a database.
  private static func note(_ connection: SQLSession, _ pristine: Pristine) async throws {
    for table in try await tables(connection) {
      let columns = try await connection.query(SQLText("SELECT name, type, pk FROM pragma_table_xinfo('\(table)')")) {
        row in
        Column(table: table, name: row.text(0), isRowID: row.text(1) == "INTEGER" && row.int(2) == 1)
      }
      pristine.columns += columns
      let quoted = columns.map { "quote(\($0.name))" }.joined(separator: " || ', ' || ")
      let rows = try await connection.query(
        SQLText("SELECT 'INSERT INTO \(table) VALUES (' || \(quoted) || ')' FROM \(table)")
      ) { row in row.text(0) }
      pristine.statements += rows
    }
  }

  /// Restores the contents of a database, and damages it.
  private static func damage(_ connection: SQLSession, _ pristine: Pristine, _ statement: String) async throws {
    // The tables refer to each other in any order.
    try await connection.run("PRAGMA defer_foreign_keys = on")
    for table in try await tables(connection) { try await connection.run("DELETE FROM \(table)") }
    for statement in pristine.statements { try await connection.run(statement) }
    try await connection.run("PRAGMA defer_foreign_keys = off")
    do throws(DatabaseError) {
      try await connection.run(statement)
    } catch {
      // A constraint refuses the value.
      guard case .constraint = error else { throw error }
    }
  }

  // MARK: People

  private static func post(
    _ service: SocketAddress, _ method: String, _ path: String, _ body: JSONValue? = nil, _ environment: Environment
  ) async -> (status: Int, body: JSONValue) {
    let client = HTTPClient(environment, address: service)
    defer { client.close() }
    let fields = [(name: "authorization", value: "Bearer \(SessionWorld.token)")]
    guard
      let answer = try? await client.send(method, path, fields: fields, json: body, timeout: .seconds(9))
    else { return (0, .null) }
    return (answer.status, (try? JSONParser.parse(answer.body)) ?? .null)
  }

  /// Leaves rows in the tables of all services, and returns a session of the chat and the token of
  /// a customer's session.
  private static func live(_ environment: Environment) async throws -> (chat: String, customer: String) {
    let ann = try await SessionWorld.chatSession("ann", environment)
    let bob = try await SessionWorld.chatSession("bob", environment)
    for (session, other) in [(ann, "bob"), (bob, "ann")] {
      _ = await post(
        SessionWorld.chat, "POST", "/addContact", ["sessionID": .string(session), "contact": .string(other)],
        environment)
    }
    _ = await post(
      SessionWorld.chat, "POST", "/createGroup",
      ["sessionID": .string(ann), "name": "g", "members": ["bob"]], environment)
    _ = await send(ann, environment)
    let user = SocketIOClient(environment, address: SessionWorld.chat, transport: .webSocket)
    try await user.connect(namespace: "/users", auth: ["sessionID": .string(bob)])
    _ = try await user.receive()
    let token = try await SessionWorld.runningSession(email, environment)
    _ = await post(SessionWorld.customers, "PUT", "/handleSessionRequests", request("SEND_MESSAGE", token), environment)
    try await environment.clock.sleep(for: .seconds(2))
    return (ann, token)
  }

  /// Sends a message to the second user over a socket, always under the same `client_id`. False
  /// when the answer is an internal error.
  private static func send(_ session: String, _ environment: Environment) async -> Bool {
    let client = SocketIOClient(environment, address: SessionWorld.chat, transport: .webSocket)
    let message: JSONValue = ["sessionID": .string(session), "recipient_id": 2, "content": "hi", "client_id": "c1"]
    do {
      try await client.connect(auth: ["sessionID": .string(session)])
      guard case .connected = try await client.receive() else { return true }
      _ = try await client.emit("send_message", SocketPayload([message]), acknowledged: true)
      while true {
        guard case .acknowledged(_, _, let payload) = try await client.receive() else { continue }
        await client.close()
        return payload.arguments.first?["message"] != "internal error"
      }
    } catch {
      return true
    }
  }

  private static func request(_ what: String, _ token: String) -> JSONValue {
    [
      "EMAIL": .string(email), "SESSION_TOKEN": .string(token), "REQUEST": .string(what), "DATA": ["MESSAGE": "hello"],
    ]
  }

  /// The status of a service's `/health`, or of another that needs it, and of questions to all of
  /// them.
  private static func ask(
    _ service: SocketAddress?, _ sessions: (chat: String, customer: String), _ environment: Environment
  ) async throws -> [Int] {
    // The others may have to connect again.
    for _ in 0..<50 {
      if await post(service ?? SessionWorld.manager, "GET", "/health", nil, environment).status == 200 { break }
      try await environment.clock.sleep(for: .milliseconds(200))
    }
    let chat: [JSONValue.Member] = [.init("sessionID", .string(sessions.chat))]
    var questions: [(SocketAddress, String, String, JSONValue?)] = [
      (service ?? SessionWorld.manager, "GET", "/health", nil)
    ]
    if service == SessionWorld.credentials {
      questions += [
        (SessionWorld.credentials, "POST", "/login", ["user": "ann", "password": .string(SessionWorld.password)]),
        (
          SessionWorld.credentials, "POST", "/register",
          ["email": "x@example.com", "username": "x", "password": .string(SessionWorld.password)]
        ),
        (
          SessionWorld.credentials, "POST", "/check_node",
          ["EMAIL": .string(email), "PASSWORD": .string(SessionWorld.password), "TYPE": "CUSTOMERS"]
        ),
      ]
    }
    if service == SessionWorld.credentials || service == SessionWorld.chat {
      questions += [
        (SessionWorld.chat, "POST", "/getContacts", .object(chat)),
        (SessionWorld.chat, "POST", "/getGroups", .object(chat)),
        (SessionWorld.chat, "POST", "/getContactMessages", .object(chat + [.init("contact", "bob")])),
        (SessionWorld.chat, "POST", "/getGroupMessages", .object(chat + [.init("group_id", 1)])),
        (SessionWorld.chat, "POST", "/addContact", .object(chat + [.init("contact", "bob")])),
      ]
    }
    if service == SessionWorld.customers || service == nil {
      questions += ["GET_MESSAGES", "SEND_MESSAGE"].map {
        (SessionWorld.customers, "PUT", "/handleSessionRequests", request($0, sessions.customer))
      }
    }
    if service == SessionWorld.manager || service == nil {
      questions.append((SessionWorld.manager, "GET", "/overview", nil))
    }
    var statuses: [Int] = []
    for (address, method, path, body) in questions {
      statuses.append(await post(address, method, path, body, environment).status)
    }
    if service == SessionWorld.chat { statuses.append(await send(sessions.chat, environment) ? 200 : 500) }
    return statuses
  }
}
