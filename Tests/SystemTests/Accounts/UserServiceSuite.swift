import Simulation

@testable import Environment
@testable import System

/// A suite of tests of the User Service, in a simulated world.
protocol UserServiceSuite: SendableMetatype {
  static var seed: UInt64 { get }
}

extension UserServiceSuite {
  static var token: String { "the service token" }
  static var users: SocketAddress { SocketAddress(host: "users", port: 8001) }

  /// A world with a User Service that has had a second to start.
  func world(_ change: @escaping @Sendable (inout UserServiceOptions) -> Void = { _ in }) -> World {
    let world = World(seed: Self.seed)
    world.addNode("users") { environment in
      var options = UserServiceOptions()
      options.address = Self.users
      options.passwordRounds = 2
      options.server.serviceToken = Self.token
      change(&options)
      return try await UserService.start(environment, options)
    }.start()
    world.run(until: .seconds(1))
    return world
  }

  /// Runs `body` as a client of the service.
  func visit(
    _ world: World, as name: String = "ann", _ body: @escaping @Sendable (UserServiceVisitor) async throws -> Void
  ) throws {
    try world.perform(as: name) { try await body(Self.visitor($0)) }
  }

  static func visitor(_ environment: Environment) -> UserServiceVisitor {
    UserServiceVisitor(client: HTTPClient(environment, address: users), environment: environment)
  }
}

/// A client of the User Service.
struct UserServiceVisitor: Sendable {
  let client: HTTPClient
  let environment: Environment

  func send(_ line: String, _ json: JSONValue? = nil, token: String? = nil) async throws -> (
    status: Int, body: JSONValue, response: HTTPResponse
  ) {
    let parts = line.split(separator: " ").map(String.init)
    let fields = token.map { [("authorization", "Bearer \($0)")] } ?? []
    let response = try await client.send(parts[0], parts[1], fields: fields, json: json, timeout: .seconds(30))
    return (response.status, (try? JSONParser.parse(response.body)) ?? .null, response)
  }

  func login(_ user: String = "ann") async throws -> (access: String, refresh: String) {
    let answer = try await send("POST /login", ["user": .string(user), "password": "password123"])
    return (answer.body["access_token"]?.string ?? "", answer.body["refresh_token"]?.string ?? "")
  }

  func register(_ name: String = "ann") async throws -> Int {
    try await send(
      "POST /register",
      [
        "email": .string("\(name)@example.com"), "username": .string(name), "password": "password123",
      ]
    ).status
  }
}
