@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// The Socket.IO server and client over the simulated network.
@Suite("Socket.IO")
struct SocketIOTests {
  private final class Echo: SocketApplication {
    let server: SocketIOServer<Echo>
    let log: Log

    init(server: SocketIOServer<Echo>, log: Log) {
      self.server = server
      self.log = log
    }

    func admit(_ socket: SocketID, query: [(name: String, value: String)], auth: JSONValue) async -> SocketAdmission {
      auth["token"] == "wrong" ? .refused("wrong token") : .accepted(rooms: [])
    }

    func connected(_ socket: SocketID, auth: JSONValue) async {}

    func event(_ name: String, _ payload: SocketPayload, from socket: SocketID) async -> SocketPayload {
      await server.emit("back", payload, to: socket)
      return payload
    }

    func disconnected(_ socket: SocketID, reason: String) async { log.reasons.append(reason) }
  }

  struct Unexpected: Error { let what: String }

  final class Log: @unchecked Sendable { var reasons: [String] = [] }

  private func world(
    seed: UInt64, log: Log = Log(), _ change: @escaping @Sendable (inout EngineIOOptions) -> Void = { _ in }
  ) -> World {
    let world = World(seed: seed)
    world.addNode("server") { environment in
      var options = EngineIOOptions()
      change(&options)
      let sockets = SocketIOServer<Echo>(environment, options: options, namespaces: ["/"])
      let description = ServiceDescription(name: "echo", title: "", version: "1", errorSchema: .any) { .string($0) }
      let server = HTTPServer(
        environment, try environment.network.listen(SocketAddress(host: "server", port: 80), backlog: 16),
        service: description,
        routes: sockets.routes(path: "/socket.io/", for: Echo(server: sockets, log: log)),
        metrics: Metrics(service: "echo"), options: HTTPServerOptions())
      server.start()
      return nil
    }.start()
    world.run(until: .milliseconds(10))
    return world
  }

  private static func client(_ environment: Environment, _ transport: EngineIOClient.Transport) -> SocketIOClient {
    SocketIOClient(environment, address: SocketAddress(host: "server", port: 80), transport: transport)
  }

  @Test(
    "messages arrive once and in order by every transport and across the upgrade, however the bytes are split",
    arguments: EngineIOClient.Transport.allCases, Array(1...60 as ClosedRange<UInt64>))
  func order(transport: EngineIOClient.Transport, seed: UInt64) throws {
    let world = world(seed: seed)
    world.fabric.link.splits = 0.6
    world.fabric.link.stalls = 0.02
    let heard = try world.perform(as: "ann") { environment in
      let client = Self.client(environment, transport)
      try await client.connect()
      // Events may be sent after the answer to CONNECT only.
      _ = try await client.receive()
      environment.executor.spawn("sender") {
        for number in 0..<120 {
          do {
            try await client.emit(
              "message",
              SocketPayload([.int(Int64(number))], attachments: number % 7 == 0 ? [[UInt8(number), 255]] : []))
            if number % 10 == 0 { try await environment.clock.sleep(for: .milliseconds(7)) }
          } catch {
            // The receiver has everything and has closed.
            return
          }
        }
      }
      var heard: [Int64] = []
      while heard.count < 120 {
        if case .event(_, "back", let payload) = try await client.receive() {
          heard.append(payload.arguments[0].int ?? -1)
          #expect(payload.attachments == (heard.last! % 7 == 0 ? [[UInt8(heard.last!), 255]] : []))
        }
      }
      await client.close()
      return heard
    }
    #expect(heard == Array(0..<120))
    #expect(world.defects.isEmpty)
  }

  @Test(
    "a client that closes sends its packets in flight first", arguments: EngineIOClient.Transport.allCases,
    Array(1...20 as ClosedRange<UInt64>))
  func goodbye(transport: EngineIOClient.Transport, seed: UInt64) throws {
    let log = Log()
    let world = world(seed: seed, log: log)
    world.fabric.link.latency = .milliseconds(1)...(.milliseconds(20))
    try world.perform(as: "ann") { environment in
      let client = Self.client(environment, transport)
      try await client.connect()
      _ = try await client.receive()
      environment.executor.spawn("sender") { _ = try? await client.emit("message", SocketPayload([1])) }
      // A POST or the upgrade may be in flight.
      try await environment.clock.sleep(for: .milliseconds(Int64(seed * 2)))
      await client.close()
      // Too early for a missed heartbeat.
      try await environment.clock.sleep(for: .seconds(2))
    }
    #expect(log.reasons.count == 1)
  }

  @Test("acknowledgements, refusals and unknown namespaces")
  func answers() throws {
    try world(seed: 1).perform(as: "ann") { environment in
      let client = Self.client(environment, .webSocket)
      try await client.connect(auth: ["token": "wrong"])
      guard case .refused("/", "wrong token") = try await client.receive() else {
        throw Unexpected(what: "not refused")
      }
      try await client.join("/nowhere")
      guard case .refused("/nowhere", "Invalid namespace") = try await client.receive() else {
        throw Unexpected(what: "not refused")
      }
      try await client.join("/")
      guard case .connected("/", let id, _) = try await client.receive(), !id.isEmpty else {
        throw Unexpected(what: "not connected")
      }
      let number = try await client.emit("m", SocketPayload(["x"]), acknowledged: true)
      _ = try await client.receive()
      guard case .acknowledged("/", let got, let payload) = try await client.receive() else {
        throw Unexpected(what: "no ack")
      }
      #expect(got == number)
      #expect(payload.arguments == ["x"])
      await client.close()
    }
  }

  @Test("heartbeats keep a session alive, and it ends without them", arguments: EngineIOClient.Transport.allCases)
  func heartbeat(transport: EngineIOClient.Transport) throws {
    let log = Log()
    let world = world(seed: 2, log: log)
    try world.perform(as: "ann") { environment in
      let client = Self.client(environment, transport)
      try await client.connect()
      _ = try await client.receive()
      try await environment.clock.sleep(for: .seconds(600))
      try await client.emit("m", SocketPayload(["still here"]))
      _ = try await client.receive()
    }
    #expect(log.reasons.isEmpty)
    world.node("ann")!.crash(.power)
    world.run(until: world.now + .seconds(46))
    #expect(log.reasons.count == 1)
  }

  @Test("a client that does not read is closed, and does not delay others")
  func backPressure() throws {
    let log = Log()
    let world = world(seed: 3, log: log) { $0.maximumBacklogBytes = 200_000 }
    try world.perform(as: "sloth") { environment in
      let client = Self.client(environment, .polling)
      try await client.connect()
      _ = try await client.receive()
      await client.abandon()
      // The answer to the earlier request is lost.
      let poster = HTTPClient(environment, address: SocketAddress(host: "server", port: 80))
      let open = try await poster.send("GET", "/socket.io/?EIO=4&transport=polling", timeout: .seconds(5))
      let id = try JSONParser.parse(Array(open.body.dropFirst()))["sid"]!.string!
      func post(_ body: String) async throws -> Int {
        let target = "/socket.io/?EIO=4&transport=polling&sid=\(id)"
        let head = "POST \(target) HTTP/1.1\r\nhost: x\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
        return try await poster.send(Array((head + body).utf8), timeout: .seconds(5)).status
      }
      #expect(try await post("40") == 200)
      var statuses: [Int] = []
      for _ in 0..<10 {
        statuses.append(try await post("42[\"m\",\"\(String(repeating: "x", count: 50_000))\"]"))
        try await environment.clock.sleep(for: .milliseconds(50))
      }
      #expect(statuses.contains(400))
    }
    #expect(log.reasons.contains { $0.hasPrefix("the client reads too slowly") })
  }

  @Test("a crash of the server leaves no task behind, and clients notice it")
  func crash() throws {
    let world = world(seed: 4)
    final class Endings: @unchecked Sendable { var count = 0 }
    let endings = Endings()
    for (index, transport) in EngineIOClient.Transport.allCases.enumerated() {
      world.addNode("c\(index)") { environment in
        let client = Self.client(environment, transport)
        do {
          try await client.connect()
          while true { _ = try await client.receive() }
        } catch {
          endings.count += 1
        }
        return nil
      }.start()
    }
    world.run(until: .seconds(2))
    world.node("server")!.crash(.kill)
    world.run(until: .seconds(3))
    #expect(endings.count == 3)
    #expect(world.defects.isEmpty)
  }
}

extension SocketIOTests {
  @Test("a cancelled polling request ends the session at once")
  func cancelledPoll() throws {
    let log = Log()
    try world(seed: 9, log: log).perform(as: "ann") { environment in
      let address = SocketAddress(host: "server", port: 80)
      let poller = HTTPClient(environment, address: address)
      let poster = HTTPClient(environment, address: address)
      let open = try await poller.send("GET", "/socket.io/?EIO=4&transport=polling", timeout: .seconds(5))
      let target =
        "/socket.io/?EIO=4&transport=polling&sid=\(try JSONParser.parse(Array(open.body.dropFirst()))["sid"]!.string!)"
      await #expect(throws: NetworkError.timedOut) {
        try await poller.send("GET", target, timeout: .milliseconds(50))
      }
      try await environment.clock.sleep(for: .milliseconds(50))
      #expect(try await poster.send("GET", target, timeout: .seconds(5)).status == 400)
    }
  }

  @Test("a request that is pipelined behind a polling request is answered after it")
  func pipelined() throws {
    try world(seed: 10).perform(as: "ann") { environment in
      let address = SocketAddress(host: "server", port: 80)
      let client = HTTPClient(environment, address: address)
      let open = try await client.send("GET", "/socket.io/?EIO=4&transport=polling", timeout: .seconds(5))
      let id = try JSONParser.parse(Array(open.body.dropFirst()))["sid"]!.string!
      let connection = try await environment.network.connect(to: address, deadline: environment.clock.now + .seconds(1))
      let poll = "GET /socket.io/?EIO=4&transport=polling&sid=\(id) HTTP/1.1\r\nhost: x\r\n\r\n"
      try await connection.write(Array(poll.utf8), deadline: nil)
      try await environment.clock.sleep(for: .milliseconds(20))
      try await connection.write(
        Array("GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".utf8), deadline: nil)
      var answers = ""
      while case let bytes = try await connection.read(atMost: 4096, deadline: environment.clock.now + .seconds(30)),
        !bytes.isEmpty
      {
        answers += String(decoding: bytes, as: UTF8.self)
      }
      #expect(answers.hasPrefix("HTTP/1.1 200 OK"))
      #expect(answers.contains("HTTP/1.1 404 Not Found"))
    }
  }
}
