@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

@Suite("HTTP client pool")
struct HTTPClientPoolTests {
  private static let users = SocketAddress(host: "users", port: 8001)

  @Test(
    "a silent crash of the server costs one request, any other end none",
    arguments: [true, false])
  func serverRestarts(silently: Bool) throws {
    let world = World(seed: 7)
    let node = world.addNode("users") { environment in
      var options = UserServiceOptions()
      options.address = Self.users
      return try await UserService.start(environment, options)
    }
    node.start()
    world.run(until: .seconds(1))
    world.at(.seconds(2)) {
      guard silently else { return node.drain(restartAfter: .milliseconds(100)) }
      node.crash(.power)
      node.restart(after: .milliseconds(100))
    }
    let statuses = try world.perform { environment in
      let pool = HTTPClientPool(environment, address: Self.users)
      let send = { @Sendable in try? await pool.send("GET", "/health", timeout: .seconds(5)).status }
      let before = await withTaskGroup(of: Int?.self) { group in
        for _ in 0..<4 { group.addTask { await send() } }
        return await group.reduce(into: []) { $0.append($1) }
      }
      try await environment.clock.sleep(for: .seconds(5))
      return [before, [await send()], [await send(), await send()]]
    }
    #expect(statuses == [[200, 200, 200, 200], [silently ? nil : 200], [200, 200]])
    #expect(node.restarts == 1)
  }

  @Test("a query and a login are repeated after a silent crash of the server")
  func askedAgain() throws {
    let world = World(seed: 8)
    let token = "a token that services show"
    let node = world.addNode("users") { environment in
      var options = UserServiceOptions()
      options.address = Self.users
      options.server.serviceToken = token
      options.passwordRounds = 1
      return try await UserService.start(environment, options)
    }
    node.start()
    for second in [4, 8] {
      world.at(.seconds(second)) {
        node.crash(.power)
        node.restart(after: .milliseconds(100))
      }
    }
    try world.perform { environment in
      try await environment.clock.sleep(for: .seconds(1))
      let accounts = AccountsClient(environment, address: Self.users, token: token)
      let ann = try await accounts.register("ann", "password123", address: "ann")
      try await environment.clock.sleep(for: .seconds(5))
      let (session, account) = try await accounts.login("ann", "password123", address: "visitor")
      #expect(account.id == ann.id)
      try await environment.clock.sleep(for: .seconds(4))
      let answer = try await accounts.pool.ask("GET", "/health", timeout: .seconds(5))
      #expect(answer.status == 200)
      #expect(try await accounts.owner(of: session, token: nil)?.id == ann.id)
    }
    #expect(node.restarts == 2)
  }

  @Test("the answer of a server that closes before it has read the whole request is read")
  func answeredEarly() throws {
    let world = World(seed: 9)
    let node = world.addNode("users") { environment in
      var options = UserServiceOptions()
      options.address = Self.users
      options.server.headTimeout = .seconds(1)
      return try await UserService.start(environment, options)
    }
    node.start()
    world.run(until: .seconds(1))
    let status = try world.perform { environment in
      let client = HTTPClient(environment, address: Self.users)
      let request = Array("GET /health HTTP/1.1\r\nhost: users\r\n\r\n".utf8)
      let pieces = Array(repeating: (count: 1, pause: Duration.milliseconds(100)), count: request.count)
      return try await client.send(request, pieces: pieces, timeout: .seconds(20)).status
    }
    #expect(status == 408)
  }
}
