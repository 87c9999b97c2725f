@testable import Environment
@testable import Simulation
import Foundation
import System
import Testing

@testable import Real
@testable import Sim

/// One client flow against the service on the simulated and on the real network.
@Suite("Parity")
struct ParityTests {
  /// Register, log in, sessions, refresh, delete. Returns the answers without random values.
  private static func flow(_ environment: Environment, _ address: SocketAddress) async throws -> [String] {
    let client = HTTPClient(environment, address: address)
    var seen: [String] = []
    var access = ""
    var refresh = ""
    func step(_ method: String, _ path: String, _ json: JSONValue? = nil, token: String? = nil) async throws {
      let fields = token.map { [(name: "authorization", value: "Bearer \($0)")] } ?? []
      let response = try await client.send(method, path, fields: fields, json: json, timeout: .seconds(20))
      let body = (try? JSONParser.parse(response.body)) ?? .null
      access = body["access_token"]?.string ?? access
      refresh = body["refresh_token"]?.string ?? refresh
      let names = response.fields.map(\.name).sorted().joined(separator: ",")
      let shown =
        body["access_token"] != nil
        ? "tokens" : body["sessions"]?.array.map { "\($0.compactMap { $0["session_id"]?.string })" } ?? body.text
      seen.append("\(method) \(path) \(response.status) \(names) \(shown)")
    }
    let ann: JSONValue = ["email": "ann@example.com", "username": "ann", "password": "password123"]
    try await step("GET", "/health")
    try await step("POST", "/register", ann)
    try await step("POST", "/register", ann)
    try await step("POST", "/login", ["user": "ann", "password": "wrong guess"])
    try await step("POST", "/login", ["user": "ann", "password": "password123"])
    let first = (access, refresh)
    for id in ["b", "a", "b"] { try await step("POST", "/add-session", ["session_id": .string(id)], token: first.0) }
    try await step("GET", "/get-sessions", token: first.0)
    try await step("DELETE", "/delete-session", ["session_id": "b"], token: first.0)
    try await step("POST", "/refresh", ["refresh_token": .string(first.1)])
    try await step("GET", "/get-sessions", token: access)
    try await step("POST", "/refresh", ["refresh_token": .string(first.1)])
    try await step("GET", "/get-sessions", token: access)
    try await step("POST", "/login", ["user": "ann@example.com", "password": "password123"])
    try await step("DELETE", "/delete-user", token: access)
    try await step("DELETE", "/delete-user", token: access)
    try await step("GET", "/")
    try await step("GET", "/openapi.json")
    client.close()
    return seen
  }

  private static func options(_ host: String) -> UserServiceOptions {
    var options = UserServiceOptions()
    options.address = SocketAddress(host: host, port: 0)
    options.passwordRounds = 100
    return options
  }

  @Test("the same flow gets the same answers on both networks")
  func parity() throws {
    let world = World(seed: 11)
    let simulated = try world.perform(as: "users") { environment in
      let service = try await UserService.start(environment, Self.options("users"))
      let seen = try await Self.flow(environment, service.addresses[0].address)
      await service.drain()
      return seen
    }
    let folder = FileManager.default.temporaryDirectory.appending(path: "parley-parity-\(getpid())").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let node = RealNode(
      "users", storage: try RealStorage(path: folder), disk: OffloadPool(threads: 1), compute: OffloadPool(threads: 1),
      log: LogWriter(), level: .error)
    let real = try node.run { environment in
      let service = try await UserService.start(environment, Self.options("127.0.0.1"))
      let seen = try await Self.flow(environment, service.addresses[0].address)
      await service.drain()
      return seen
    }
    node.loop.perform { node.loop.stop() }
    #expect(simulated.count == 19)
    #expect(simulated == real)
  }
}
