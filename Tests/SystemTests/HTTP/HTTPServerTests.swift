@testable import Environment
@testable import Simulation
import Synchronization
import Testing

@testable import Sim
@testable import System

/// How a server treats connections: versions, memory, log.
@Suite("HTTP servers")
struct HTTPServerTests {
  private static let address = SocketAddress(host: "server", port: 80)

  /// A server with a large answer of 300,000 bytes, a stream, and a route that reads a body.
  private struct Fixture: Service {
    let addresses: [(name: String, address: SocketAddress)] = []
    let server: HTTPServer

    static func start(_ environment: Environment) throws -> Fixture {
      let description = ServiceDescription(
        name: "fixture", title: "Fixture", version: Release.version, errorSchema: .any, errorBody: { .string($0) })
      let routes = [
        Route("GET", "/large", "A large answer", responses: []) { _ in
          .response(HTTPResponse(status: 200, body: [UInt8](repeating: 0x61, count: 300_000)))
        },
        Route("GET", "/stream", "A stream", responses: []) { _ in
          .stream(HTTPResponse(status: 200, fields: HTTPResponse.eventStreamFields)) {
            try await $0.write("data: 1\n\n")
          }
        },
        Route("POST", "/body", "A body", body: .any, responses: []) { _ in .json(.null) },
      ]
      let server = HTTPServer(
        environment, try environment.network.listen(HTTPServerTests.address, backlog: 16), service: description,
        routes: routes,
        metrics: Metrics(service: "fixture"), options: HTTPServerOptions())
      server.start()
      return Fixture(server: server)
    }

    func drain() async { await server.drain() }
  }

  private func world() -> World {
    let world = World(seed: 11)
    world.addNode("server") { try Fixture.start($0) }.start()
    world.run(until: .seconds(1))
    return world
  }

  /// Sends `text` over a new connection. Returns the bytes of a second, or up to the end.
  private static func exchange(_ environment: Environment, _ text: String) async throws -> (text: String, ended: Bool) {
    let connection = try await environment.network.connect(
      to: address, deadline: environment.clock.now + .seconds(1))
    defer { connection.close() }
    try await connection.write(Array(text.utf8), deadline: nil)
    var answer: [UInt8] = []
    let deadline = environment.clock.now + .seconds(1)
    do {
      while true {
        let bytes = try await connection.read(atMost: 65_536, deadline: deadline)
        if bytes.isEmpty { return (String(decoding: answer, as: UTF8.self), true) }
        answer += bytes
      }
    } catch NetworkError.timedOut {
      return (String(decoding: answer, as: UTF8.self), false)
    }
  }

  @Test("a connection of HTTP/1.0 persists only when the response says so")
  func version10() throws {
    try world().perform(as: "ann") { environment in
      func ask(_ line: String, _ fields: String = "") async throws -> (text: String, ended: Bool) {
        try await Self.exchange(environment, "\(line)\r\n\(fields)\r\n")
      }
      for fields in ["Connection: keep-alive\r\n", "connection: Keep-Alive\r\n"] {
        for path in ["/large", "/nowhere"] {
          let kept = try await ask("GET \(path) HTTP/1.0", fields)
          #expect(kept.text.contains("\r\nconnection: keep-alive\r\n") && !kept.ended)
          #expect(kept.text.contains("\r\ncontent-length: "))
        }
      }
      for fields in ["", "Connection: close\r\n", "Connection: keep-alive, close\r\n"] {
        let closed = try await ask("GET /large HTTP/1.0", fields)
        #expect(closed.text.contains("\r\nconnection: close\r\n") && closed.ended)
      }
      let stream = try await ask("GET /stream HTTP/1.0", "Connection: keep-alive\r\n")
      #expect(stream.text.hasSuffix("\r\n\r\ndata: 1\n\n") && stream.ended)
      #expect(stream.text.contains("\r\nconnection: close\r\n") && !stream.text.contains("transfer-encoding"))
      #expect(stream.text.contains("\r\nx-accel-buffering: no\r\n"))
      #expect(stream.text.contains("\r\ncache-control: no-cache, no-transform\r\n"))
      let newer = try await ask("GET /nowhere HTTP/1.1", "Host: x\r\n")
      #expect(!newer.text.contains("connection:") && !newer.ended)
    }
  }

  @Test("the memory of incomplete requests is charged, limited and released")
  func requestMemory() throws {
    let memory = ClientMemory(strangers: 4 << 20, members: 4 << 20)
    let world = World(seed: 11)
    world.addNode("server") { real in
      try Fixture.start(
        Environment(
          node: real.node, clock: real.clock, network: real.network, storage: real.storage, entropy: real.entropy,
          executor: real.executor, log: real.log, memory: memory))
    }.start()
    world.run(until: .seconds(1))
    let strangers = memory.strangers
    @Sendable func post(_ size: Int) -> String {
      "POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: \(size)\r\n\r\n"
    }
    try world.perform(as: "ann") { environment in
      let slow = try await environment.network.connect(
        to: Self.address, deadline: environment.clock.now + .seconds(1))
      try await slow.write(Array((post(900_000) + String(repeating: " ", count: 800_000)).utf8), deadline: nil)
      try await environment.clock.sleep(for: .seconds(2))
      #expect((800_000...810_000).contains(strangers.used))
      // A quarter of the budget is little more, so another large request is refused. Small requests
      // are served.
      let refused = try await Self.exchange(environment, post(900_000) + String(repeating: " ", count: 800_000))
      #expect(refused.text.hasPrefix("HTTP/1.1 503") && refused.text.contains("\r\nretry-after: 1\r\n"))
      let small = try await Self.exchange(environment, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
      #expect(small.text.hasPrefix("HTTP/1.1 404"))
      slow.reset()
      try await environment.clock.sleep(for: .seconds(2))
      #expect(strangers.used == 0)
      let body = "[" + String(repeating: " ", count: 899_998) + "]"
      #expect(try await Self.exchange(environment, post(900_000) + body).text.hasPrefix("HTTP/1.1 200"))
      #expect(strangers.used == 0)
    }
  }

  @Test("the server stops reading from a client that does not read its answers")
  func unreadAnswers() throws {
    let budgets = Mutex<ClientMemory?>(nil)
    let world = World(seed: 12)
    world.addNode("server") { environment in
      budgets.withLock { $0 = environment.memory }
      return try Fixture.start(environment)
    }.start()
    world.run(until: .seconds(1))
    let members = try #require(budgets.withLock { $0 }).members
    try world.perform(as: "ann") { environment in
      let connection = try await environment.network.connect(
        to: Self.address, deadline: environment.clock.now + .seconds(1))
      let requests = Array(String(repeating: "GET /large HTTP/1.1\r\nHost: x\r\n\r\n", count: 1000).utf8)
      var sent = 0
      await #expect(throws: NetworkError.timedOut) {
        while sent < 50 << 20 {
          try await connection.write(requests, deadline: environment.clock.now + .seconds(5))
          sent += requests.count
        }
      }
      // One answer waits, whatever was requested after it.
      #expect(members.used <= 400_000)
      connection.reset()
      try await environment.clock.sleep(for: .seconds(1))
      #expect(members.used == 0)
    }
  }

  @Test("a form with too many parameters is refused before it is parsed")
  func parameters() throws {
    var parser = HTTPRequestParser()
    let body = String(repeating: "a&", count: 500_000)
    let head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    parser.receive(Array("\(head)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8))
    guard case .request(let request)? = try parser.next() else { throw HTTPError.cutOff }
    let failure = #expect(throws: HTTPFailure.self) { try RequestBody.arguments(request, [.init("a", .any)]) }
    #expect(failure?.status == 400)
  }

  @Test("an address may use a quarter of a budget, a trusted proxy all of it")
  func shares() {
    let budget = ByteBudget(limit: 100_000)
    let memory = ConnectionMemory(budget, proxies: TrustedProxies([IPNetwork("10.0.0.1")!]))
    var (first, second, proxy) = (Holding(), Holding(), Holding())
    #expect(memory.hold(ConnectionMemory.allowance, for: "1.1.1.1", &first) && budget.used == 0)
    #expect(memory.hold(25_000, for: "1.1.1.1", &first) && budget.used == 25_000)
    #expect(!memory.hold(25_001, for: "1.1.1.1", &first) && budget.used == 25_000)
    #expect(!memory.hold(3000, for: "1.1.1.1", &second) && second.bytes == 0)
    #expect(memory.hold(3000, for: "2.2.2.2", &second) && memory.hold(70_000, for: "10.0.0.1", &proxy))
    #expect(!memory.hold(5001, for: "2.2.2.2", &second) && budget.used == 98_000)
    memory.release(for: "1.1.1.1", &first)
    #expect(memory.hold(5001, for: "2.2.2.2", &second) && budget.used == 75_001)
    memory.release(for: "2.2.2.2", &second)
    memory.release(for: "10.0.0.1", &proxy)
    #expect(budget.used == 0)
  }
}
