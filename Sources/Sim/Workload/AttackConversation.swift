import Environment
import System

/// The conversations of one attacker with the services.  Each step of the grammar is sent whole or
/// in pieces, once or twice, before or after the answer to the previous one, and may be cut off
/// after any byte. The answers are read or not.
final class AttackConversation {
  private let environment: Environment
  private let source: any AttackSource
  private(set) var grammar: AttackGrammar
  private let services: [AttackedService]
  private let serviceToken: String?
  /// Connections that were left open and are not read.
  private var abandoned: [any Connection] = []
  private static let mostAbandoned = 4
  /// Answers that no client may cause.
  private(set) var blunders: [String] = []
  /// The number of steps that were sent.
  private(set) var steps = 0

  /// The services that never answer 500. The Customer Server does when other services do not
  /// answer.
  private static let faultless: Set<AttackedService> = [.users, .chat, .manager]

  init(
    _ environment: Environment, source: any AttackSource, persona: AttackPersona, services: [AttackedService],
    serviceToken: String?
  ) {
    self.environment = environment
    self.source = source
    self.services = services
    self.serviceToken = serviceToken
    grammar = AttackGrammar(source: source, persona: persona)
  }

  /// Holds one conversation, until the connection ends or all steps are sent.
  /// - Throws: `NodeDown`, `CancellationError`.
  func hold(_ kind: ConnectionKind) async throws {
    do {
      switch kind {
      case .amqp: try await broker { grammar.amqpStep() }
      case .queues: try await broker { grammar.queueStep() }
      case .http: try await http()
      case .sockets: try await source.once(in: 3) ? polling() : webSocket(sid: nil)
      }
    } catch is NetworkError {}
  }

  /// Resets the connections that were left open.
  func end() {
    for connection in abandoned { connection.reset() }
    abandoned = []
  }

  // MARK: Becoming somebody

  /// Registers and logs in. Credentials whose request is not answered stay empty.
  func introduce() async throws {
    let persona = grammar.persona
    let client = HTTPClient(environment, address: Scenario.usersAddress)
    let account: JSONValue = [
      "email": .string(persona.email), "username": .string(persona.name), "password": .string(persona.password),
    ]
    _ = try await ask(client, "POST", "/register", account)
    let credentials: JSONValue = ["user": .string(persona.name), "password": .string(persona.password)]
    if let tokens = try await ask(client, "POST", "/login", credentials) {
      grammar.persona.accessToken = tokens["access_token"]?.string ?? "none"
      grammar.persona.refreshToken = tokens["refresh_token"]?.string ?? "none"
    }
    client.close()
    guard services.contains(.chat) else { return }
    let chat = HTTPClient(environment, address: Scenario.chatAddress)
    let login: JSONValue = ["username": .string(persona.name), "password": .string(persona.password)]
    if let session = try await ask(chat, "POST", "/login", login) {
      grammar.persona.sessionID = session["sessionID"]?.string ?? "none"
      grammar.persona.userID = session["user_id"]?.int ?? 0
    }
    chat.close()
  }

  private func ask(_ client: HTTPClient, _ method: String, _ path: String, _ body: JSONValue) async throws -> JSONValue?
  {
    do {
      let response = try await client.send(method, path, json: body, timeout: .seconds(5))
      return response.status < 300 ? try? JSONParser.parse(response.body) : nil
    } catch is NetworkError { return nil } catch is HTTPError { return nil }
  }

  // MARK: Saying

  /// Connects, holds a conversation, and then closes the connection, resets it or leaves it open.
  private func connected(
    to address: SocketAddress, _ body: (any Connection) async throws -> Void
  ) async throws {
    let connection = try await environment.network.connect(to: address, deadline: environment.clock.now + .seconds(2))
    do { try await body(connection) } catch {
      connection.reset()
      throw error
    }
    switch source.number(below: 4) {
    case 0: connection.reset()
    case 1:
      if abandoned.count == Self.mostAbandoned { abandoned.removeFirst().reset() }
      abandoned.append(connection)
    default: connection.close()
    }
  }

  /// Sends bytes once, twice, in pieces or in part.
  /// - Throws: `NetworkError`; `.closed` after the attacker has cut itself off.
  private func say(_ bytes: [UInt8], _ connection: any Connection) async throws {
    steps += 1
    let deadline = environment.clock.now + .seconds(2)
    switch source.number(below: 24) {
    case 0:
      try await connection.write(
        Array(bytes.prefix(source.number(below: max(1, min(bytes.count, 65_536))))), deadline: deadline)
      throw NetworkError.closed
    case 1:
      let size = max(source.pick([1, 3, 100]), bytes.count / 20)
      for start in stride(from: 0, to: bytes.count, by: size) {
        try await connection.write(Array(bytes[start..<min(start + size, bytes.count)]), deadline: deadline)
        try await environment.clock.sleep(for: .milliseconds(1))
      }
    case 2:
      try await connection.write(bytes, deadline: deadline)
      try await connection.write(bytes, deadline: deadline)
    default: try await connection.write(bytes, deadline: deadline)
    }
  }

  /// Reads what comes within a short time. Sometimes it reads nothing.
  private func listen(_ connection: any Connection, for time: Duration = .milliseconds(3)) async throws -> [UInt8] {
    var heard: [UInt8] = []
    guard source.number(below: 6) > 0 else { return heard }
    let deadline = environment.clock.now + time
    while heard.count < 1 << 20 {
      do {
        let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
        if bytes.isEmpty { throw NetworkError.closed }
        heard += bytes
      } catch NetworkError.timedOut { break }
    }
    return heard
  }

  private var count: Int { source.pick([8, 1, 2, 3, 5, 20, 40]) }

  // MARK: Conversations

  private func broker(_ step: () -> [UInt8]) async throws {
    let address = Scenario.broker
    try await connected(to: address.address) { connection in
      let greeting = grammar.amqpGreeting(user: address.user, password: address.password)
      if source.once(in: 4) {
        try await say(greeting.flatMap { $0 }, connection)
      } else {
        for part in greeting {
          try await say(part, connection)
          _ = try await listen(connection)
        }
      }
      for _ in 0..<count {
        try await say(step(), connection)
        try await answer(try await listen(connection), connection)
      }
    }
  }

  /// Opens each channel again that the broker has closed because of an error.
  private func answer(_ heard: [UInt8], _ connection: any Connection) async throws {
    var rest = heard[...]
    while rest.count >= 12, let type = rest.first {
      let start = rest.startIndex
      let size = (3..<7).reduce(0) { $0 << 8 | Int(rest[start + $1]) }
      if type == 1, rest[(start + 7)..<(start + 11)].elementsEqual([0, 20, 0, 40]) {
        let channel = UInt16(rest[start + 1]) << 8 | UInt16(rest[start + 2])
        try await connection.write(
          AttackGrammar.frame(1, channel, [0, 20, 0, 41]) + AttackGrammar.frame(1, channel, [0, 20, 0, 10, 0]),
          deadline: environment.clock.now + .seconds(2))
      }
      rest = rest.dropFirst(size + 8)
    }
  }

  private func http() async throws {
    let service = source.pick(services)
    try await connected(to: service.address) { connection in
      for _ in 0..<count {
        let request = grammar.request(to: service, serviceToken: serviceToken)
        try await say(request, connection)
        let heard = try await listen(connection, for: .milliseconds(20))
        if Self.faultless.contains(service), heard.starts(with: "HTTP/1.1 500".utf8) {
          blunders.append("\(service.rawValue) answers 500 to \(String(decoding: request.prefix(2000), as: UTF8.self))")
        }
      }
    }
  }

  private func webSocket(sid: String?) async throws {
    try await connected(to: Scenario.chatAddress) { connection in
      try await say(grammar.webSocketHandshake(sid: sid), connection)
      _ = try await listen(connection, for: .milliseconds(10))
      for _ in 0..<count {
        try await say(grammar.webSocketFrame(), connection)
        _ = try await listen(connection)
      }
    }
  }

  private func polling() async throws {
    var sid: String?
    try await connected(to: Scenario.chatAddress) { connection in
      for _ in 0..<count {
        try await say(grammar.polling(sid: sid), connection)
        let heard = try await listen(connection, for: .milliseconds(20))
        if sid == nil { sid = Self.sid(in: heard) }
      }
    }
    if source.once(in: 3) { try await webSocket(sid: sid) }
  }

  /// The connection's id in the answer that opens it.
  private static func sid(in heard: [UInt8]) -> String? {
    let text = String(decoding: heard, as: UTF8.self)
    guard let start = text.firstRange(of: "\"sid\":\"")?.upperBound else { return nil }
    return String(text[start...].prefix { $0 != "\"" })
  }
}
