@testable import Environment
@testable import Simulation
@testable import Sim
@testable import System

extension Door {
  private typealias Body = @Sendable (Environment) async throws -> Void

  /// Requests to a scenario's services in a simulated world. `prepare` runs before `body` and is
  /// not measured.
  private static func world(
    _ name: String, _ size: Int, _ scenario: String,
    prepare: @escaping @Sendable (Int, Environment) async throws -> Void = { _, _ in },
    _ body: @escaping @Sendable (Int, Environment) async throws -> Void
  ) -> Door {
    Door(name, size) { size in
      let runner = ScenarioRunner(try Scenario(parsing: Array("{ name: 'door', \(scenario) }".utf8), file: "door"))
      let world = World(seed: 1, isHashed: false, strategy: { _ in InOrder(profiling: false) })
      for node in runner.scenario.serviceNodes { world.addNode(node, program: runner.program(of: node)).start() }
      world.run(until: .seconds(4))
      try world.perform(as: "preparation") { try await prepare(size, $0) }
      return {
        try world.perform { try await body(size, $0) }
        world.end()
      }
    }
  }

  private static let broker = "topology: { broker: 1 }"
  private static let chat = "topology: { chat: 1 }"
  private static let sessions = "topology: { supervisorHosts: 1 }"

  static let services = brokerDoors + accountDoors + chatDoors + managerDoors

  // MARK: The broker

  /// Logs in to the broker, sends frames and a last `queue.declare`, and waits for the answer to
  /// that.
  private static func broker(_ environment: Environment, _ frames: [UInt8]) async throws {
    let address = Scenario.broker
    let connection = try await environment.network.connect(
      to: address.address, deadline: environment.clock.now + .seconds(5))
    let secret = [0] + Array(address.user.utf8) + [0] + Array(address.password.utf8)
    let login: [UInt8] =
      [0, 10, 0, 11] + AttackGrammar.table([]) + AttackGrammar.short("PLAIN") + AttackGrammar.long(secret)
      + AttackGrammar.short("en_US")
    let greeting =
      AMQPParser.protocolHeader + AttackGrammar.frame(1, 0, login)
      + AttackGrammar.frame(1, 0, [0, 10, 0, 31, 7, 255, 0, 2, 0, 0, 0, 0])
      + AttackGrammar.frame(1, 0, [0, 10, 0, 40] + AttackGrammar.short("/") + [0, 0])
      + AttackGrammar.frame(1, 1, [0, 20, 0, 10, 0])
    let last = AttackGrammar.frame(
      1, 1, [0, 50, 0, 10, 0, 0] + AttackGrammar.short("last") + [0] + AttackGrammar.table([]))
    environment.executor.spawn("writer") { try? await connection.write(greeting + frames + last, deadline: nil) }
    var heard: [UInt8] = []
    while !heard.contains(Array("last".utf8)) {
      let bytes = try await connection.read(atMost: 1 << 20, deadline: environment.clock.now + .seconds(600))
      require(!bytes.isEmpty, "the broker closed the connection: \(String(decoding: heard.suffix(200), as: UTF8.self))")
      heard = heard.suffix(8) + bytes
    }
    connection.close()
  }

  private static func declare(_ queue: String, _ arguments: [(String, [UInt8])] = []) -> [UInt8] {
    AttackGrammar.frame(
      1, 1,
      [0, 50, 0, 10, 0, 0] + AttackGrammar.short(queue) + [2]
        + AttackGrammar.table(arguments.map { (name: $0.0, value: $0.1) }))
  }

  private static func bind(_ queue: String, _ exchange: String, _ key: String) -> [UInt8] {
    AttackGrammar.frame(
      1, 1,
      [0, 50, 0, 20, 0, 0] + AttackGrammar.short(queue) + AttackGrammar.short(exchange) + AttackGrammar.short(key) + [0]
        + AttackGrammar.table([]))
  }

  private static func publish(_ exchange: String, _ key: String) -> [UInt8] {
    AttackGrammar.frame(1, 1, [0, 60, 0, 40, 0, 0] + AttackGrammar.short(exchange) + AttackGrammar.short(key) + [0])
      + AttackGrammar.frame(2, 1, [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0, 2]) + AttackGrammar.frame(3, 1, [0x61])
  }

  private static let brokerDoors = [
    world("broker: queues", 500, broker) { size, environment in
      try await broker(environment, (0..<size).flatMap { declare("q\($0)") })
    },
    world("broker: bindings to one exchange", 500, broker) { size, environment in
      try await broker(environment, declare("q") + (0..<size).flatMap { bind("q", "amq.direct", "k\($0)") })
    },
    world("broker: bindings with a pattern", 500, broker) { size, environment in
      try await broker(environment, declare("q") + (0..<size).flatMap { bind("q", "amq.topic", "*.k\($0).#") })
    },
    world("broker: publications", 500, broker) { size, environment in
      try await broker(environment, declare("q") + (0..<size).flatMap { _ in publish("", "q") })
    },
    world("broker: a pattern of many words", 60, broker) { size, environment in
      let pattern = String(repeating: "#.", count: min(size, 120)) + "x"
      let key = String(repeating: "a.", count: min(size, 120)) + "a"
      try await broker(environment, declare("q") + bind("q", "amq.topic", pattern) + publish("amq.topic", key))
    },
    world("broker: a chain of queues of dead letters", 250, broker) { size, environment in
      let chain = (0..<size).flatMap { number in
        declare(
          "q\(number)",
          [
            ("x-message-ttl", AttackGrammar.value(0)), ("x-dead-letter-exchange", AttackGrammar.value("")),
            ("x-dead-letter-routing-key", AttackGrammar.value("q\(number + 1)")),
          ])
      }
      try await broker(environment, chain + publish("", "q0"))
    },
  ]

  // MARK: The User Service

  private static func ask(
    _ environment: Environment, _ address: SocketAddress, _ line: String, _ body: String, token: String? = nil
  ) async throws -> HTTPResponse {
    let client = HTTPClient(environment, address: address)
    var head = "\(line) HTTP/1.1\r\nHost: \(address)\r\nContent-Type: application/json\r\n"
    if let token { head += "Authorization: Bearer \(token)\r\n" }
    let bytes = Array("\(head)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    let response = try await client.send(bytes, timeout: .seconds(60))
    client.close()
    return response
  }

  private static let marks = "\u{301}\u{323}"

  private static func marks(
    _ name: String, _ scenario: String, _ address: SocketAddress, _ line: String,
    _ body: @escaping @Sendable (String) -> String
  ) -> Door {
    world("\(name): combining marks", 20_000, scenario) { size, environment in
      _ = try await ask(environment, address, line, body("a" + String(repeating: marks, count: size)))
    }
  }

  private static let accountDoors = [
    world("accounts: sessions of one user", 2000, "") { size, environment in
      let database = Database(
        environment, path: "sessions.db", migrations: UserService.database.migrations, options: DatabaseOptions())
      let rules = SessionRules(lifetime: .zero, maximum: .max)
      try await database.transaction { connection in
        try await connection.run(
          "INSERT INTO users (user_id, user_email, username, password_hash, salt, created_at) VALUES ('u', 'e', 'n', '', '', 't')"
        )
        for number in 0..<size {
          try await AccountsTables(connection).sessions.add(
            UserSessionID("s\(number)")!, of: AccountID("u"), login: nil, generation: nil, at: Timestamp(seconds: 1),
            rules)
        }
      }
      await database.close()
    },
    marks("/login, user", "", Scenario.usersAddress, "POST /login") { "{\"user\":\"\($0)\",\"password\":\"p\"}" },
    marks("/login, password", "", Scenario.usersAddress, "POST /login") { "{\"user\":\"a\",\"password\":\"\($0)\"}" },
    marks("/login, a key", "", Scenario.usersAddress, "POST /login") { "{\"\($0)\":\"a\",\"password\":\"p\"}" },
    marks("/register", "", Scenario.usersAddress, "POST /register") {
      "{\"email\":\"\($0)@example.com\",\"username\":\"\($0)\",\"password\":\"password\"}"
    },
    marks("chat /login", chat, Scenario.chatAddress, "POST /login") { "{\"username\":\"\($0)\",\"password\":\"p\"}" },
    marks("chat /addContact", chat, Scenario.chatAddress, "POST /addContact") {
      "{\"sessionID\":\"s\",\"contact\":\"\($0)\"}"
    },
    marks("/requestSessionCreation", sessions, Scenario.customersAddress, "POST /requestSessionCreation") {
      "{\"EMAIL\":\"\($0)@b\",\"PASSWORD\":\"p\",\"PERSONA_TYPE\":\"CUSTOMERS\"}"
    },
    world("failed logins with different names", 200, "") { size, environment in
      for number in 0..<size {
        _ = try await ask(
          environment, Scenario.usersAddress, "POST /login", "{\"user\":\"u\(number)\",\"password\":\"p\"}")
      }
    },
  ]

  // MARK: The Chat Service

  private static let chatDoors = [
    world(
      "chat: a group of as many members", 100, chat,
      prepare: { size, environment in
        for number in 0...size {
          _ = try await ask(
            environment, Scenario.chatAddress, "POST /register",
            "{\"username\":\"u\(number)\",\"password\":\"password\"}")
        }
      }
    ) { size, environment in
      let login = try await ask(
        environment, Scenario.chatAddress, "POST /login", "{\"username\":\"u0\",\"password\":\"password\"}")
      let session = try JSONParser.parse(login.body)["sessionID"]!.string!
      let members = (1...size).map { "\"u\($0)\"" }.joined(separator: ",")
      let made = try await ask(
        environment, Scenario.chatAddress, "POST /createGroup",
        "{\"sessionID\":\"\(session)\",\"name\":\"g\",\"members\":[\(members)]}")
      require(made.status == 200, "no group: \(made.status)")
    },
    world("Socket.IO: CONNECTs in one payload", 1000, chat) { size, environment in
      let client = HTTPClient(environment, address: Scenario.chatAddress)
      let opened = try await client.send("GET", "/socket.io/?EIO=4&transport=polling", timeout: .seconds(5))
      let sid = try JSONParser.parse(Array(opened.body.dropFirst()))["sid"]!.string!
      let body = Array(String(repeating: "40/none,\u{1e}", count: size).utf8.dropLast())
      let head =
        "POST /socket.io/?EIO=4&transport=polling&sid=\(sid) HTTP/1.1\r\nHost: chat\r\nContent-Type: text/plain\r\n"
      _ = try await client.send(
        Array("\(head)Content-Length: \(body.count)\r\n\r\n".utf8) + body, timeout: .seconds(60))
      _ = try await client.send("GET", "/socket.io/?EIO=4&transport=polling&sid=\(sid)", timeout: .seconds(60))
      client.close()
    },
  ]

  // MARK: The User Manager

  /// Starts the sessions of `count` customers at once.
  private static func runSessions(_ count: Int) {
    var state = ManagerState()
    let ids = (1...count).map { SupervisorID("s\($0)")! }
    func apply(_ input: ManagerInput, from id: SupervisorID? = nil) {
      var message = QueueMessage("")
      message.supervisor = id
      message.epoch = .first
      _ = state.apply(input, message, answer: nil)
    }
    for number in 1...count {
      apply(.newUser(UserID(.int(Int64(number)))!, connection: ConnectionNumber(1)))
      apply(.startSession(CustomerEmail("\(number)@example.com")!, data: .object([])))
    }
    for id in ids {
      apply(.initialize(host: HostName("host")!), from: id)
      apply(.wantsUsers(.number(1)), from: id)
    }
    for id in ids {
      apply(.endSession(id))
      apply(.released(state.pool.users(of: id)), from: id)
    }
    require(state.sessions.all.isEmpty, "a session has not ended")
  }

  private static let managerDoors = [
    world("manager: users of the pool", 100, sessions) { size, environment in
      for number in 0..<size {
        _ = try await ask(
          environment, Scenario.managerAddress, "POST /UserServer",
          "{\"TYPE\":\"NEW_USER\",\"DATA\":{\"USER_ID\":\(number),\"CONNECTION\":1}}",
          token: Scenario.serviceToken)
      }
    },
    world("manager: a list of released users", 2000, sessions) { size, environment in
      let users = (0..<size).map { "\($0)" }.joined(separator: ",")
      _ = try await ask(
        environment, Scenario.managerAddress, "POST /SessionSupervisor/NewSession",
        "{\"TYPE\":\"USER_RELEASED\",\"DATA\":{\"LIST_USER_ID\":[\(users)]}}", token: Scenario.serviceToken)
    },
    Door("manager: sessions that begin and end, each with a user", 500) { size in
      { runSessions(size) }
    },
  ]
}
