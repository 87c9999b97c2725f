@testable import Environment
@testable import Sim
@testable import System

/// Adds the User Service and the Chat Service to the nodes of a `SessionWorld`, so that all
/// services run.
extension SessionWorld {
  static let chat = SocketAddress(host: "chat", port: 5000)
  static let password = "correct horse"

  /// Adds the two nodes.
  func addUsersAndChat() {
    let hooks = hooks
    add("users") { environment in
      try await hooks.run("users", environment)
      var options = UserServiceOptions()
      options.address = Self.credentials
      options.passwordRounds = 2
      options.server.serviceToken = Self.token
      return try await UserService.start(environment, options)
    }
    add("chat") { environment in
      try await hooks.run("chat", environment)
      var options = ChatServiceOptions()
      (options.address, options.users) = (Self.chat, Self.credentials)
      options.server.serviceToken = Self.token
      return try await ChatService.start(environment, options) { environment, delivery in
        await QueueUserServer.start(environment, broker: Self.broker, delivery)
      }
    }
    world.run(until: world.now + .seconds(2))
  }

  /// Registers a user of the chat, and returns a session.
  static func chatSession(_ name: String, _ environment: Environment) async throws -> String {
    let client = HTTPClient(environment, address: chat)
    defer { client.close() }
    let credentials: JSONValue = ["username": .string(name), "password": .string(password)]
    _ = try await client.send("POST", "/register", json: credentials, timeout: .seconds(9))
    let answer = try await client.send("POST", "/login", json: credentials, timeout: .seconds(9))
    return try JSONParser.parse(answer.body)["sessionID"]?.string ?? ""
  }

  /// Registers a customer and starts a supervised session with one user. Returns its token.
  static func runningSession(_ email: String, _ environment: Environment) async throws -> String {
    let users = HTTPClient(environment, address: credentials)
    let customers = HTTPClient(environment, address: Self.customers)
    defer {
      users.close()
      customers.close()
    }
    _ = try await users.send(
      "POST", "/register",
      json: ["email": .string(email), "username": "customer", "password": .string(password)], timeout: .seconds(9))
    let answer = try await customers.send(
      "POST", "/requestSessionCreation",
      json: [
        "EMAIL": .string(email), "PASSWORD": .string(password), "PERSONA_TYPE": "CUSTOMERS",
        "DATA": ["USER_COUNT": 1],
      ], timeout: .seconds(9))
    _ = try await customers.send(
      "POST", "/initializeSession", json: ["EMAIL": .string(email)], timeout: .seconds(9))
    return try JSONParser.parse(answer.body)["SESSION_TOKEN"]?.string ?? ""
  }
}
