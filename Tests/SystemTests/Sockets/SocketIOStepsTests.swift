@testable import Environment
@testable import Simulation
import Testing

@testable import Sim
@testable import System

/// Socket.IO packets that are sent twice, early, late or out of order.
@Suite("Socket.IO packets out of order")
struct SocketIOStepsTests {
  /// Admits every socket after a pause, and records them.
  private final class Guests: SocketApplication {
    let log: Log
    let environment: Environment

    init(log: Log, environment: Environment) {
      self.log = log
      self.environment = environment
    }

    func admit(_ socket: SocketID, query: [(name: String, value: String)], auth: JSONValue) async -> SocketAdmission {
      log.came[socket.namespace, default: 0] += 1
      log.present[socket.namespace, default: 0] += 1
      log.most = max(log.most, log.present[socket.namespace]!)
      try? await environment.clock.sleep(for: .milliseconds(20))
      if auth["token"] == "wrong" {
        log.present[socket.namespace]! -= 1
        return .refused("wrong token")
      }
      return .accepted(rooms: ["all"])
    }

    func connected(_ socket: SocketID, auth: JSONValue) async {}

    func event(_ name: String, _ payload: SocketPayload, from socket: SocketID) async -> SocketPayload {
      log.events.append(name)
      try? await environment.clock.sleep(for: .milliseconds(20))
      return SocketPayload([.string(name)])
    }

    func unreadable(_ reason: String, from socket: SocketID) async -> SocketPayload {
      log.events.append("unreadable")
      return SocketPayload(["unreadable"])
    }

    func unacknowledged(_ answer: SocketPayload, from socket: SocketID) async {
      log.unacknowledged.append(answer.arguments.first?.string ?? "")
    }

    func disconnected(_ socket: SocketID, reason: String) async { log.present[socket.namespace]! -= 1 }
  }

  final class Log: @unchecked Sendable {
    var came: [String: Int] = [:]
    var present: [String: Int] = [:]
    /// The highest number of sockets that a namespace had at the same time.
    var most = 0
    var events: [String] = []
    var unacknowledged: [String] = []
    var memory = ClientMemory()
  }

  private func world(_ log: Log, _ change: @escaping @Sendable (inout EngineIOOptions) -> Void = { _ in }) -> World {
    let world = World(seed: 1)
    world.addNode("server") { environment in
      log.memory = environment.memory
      var options = EngineIOOptions()
      change(&options)
      let sockets = SocketIOServer<Guests>(environment, options: options, namespaces: ["/", "/users"])
      let guests = Guests(log: log, environment: environment)
      let description = ServiceDescription(name: "guests", title: "", version: "1", errorSchema: .any) { .string($0) }
      let server = HTTPServer(
        environment, try environment.network.listen(Self.address, backlog: 16), service: description,
        routes: sockets.routes(path: "/socket.io/", for: guests),
        metrics: Metrics(service: "guests"), options: HTTPServerOptions())
      server.start()
      return nil
    }.start()
    world.run(until: .milliseconds(10))
    return world
  }

  private static let address = SocketAddress(host: "server", port: 80)

  /// A client that posts arbitrary packets.
  private struct Poster {
    let environment: Environment
    let http: HTTPClient
    let session: String

    static func open(_ environment: Environment) async throws -> Poster {
      let http = HTTPClient(environment, address: SocketIOStepsTests.address)
      let open = try await http.send("GET", "/socket.io/?EIO=4&transport=polling", timeout: .seconds(5))
      return Poster(
        environment: environment, http: http,
        session: try JSONParser.parse(Array(open.body.dropFirst()))["sid"]!.string!)
    }

    private var target: String { "/socket.io/?EIO=4&transport=polling&sid=\(session)" }

    /// Posts Engine.IO packets in one payload.
    @discardableResult
    func post(_ packets: [String]) async throws -> Int {
      let body = packets.joined(separator: "\u{1E}")
      let head = "POST \(target) HTTP/1.1\r\nhost: x\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
      return try await http.send(Array((head + body).utf8), timeout: .seconds(5)).status
    }

    /// Returns the packets of the next 300 ms, without the ids of sockets.
    func poll() async throws -> [String] {
      var heard: [String] = []
      try await environment.clock.sleep(for: .milliseconds(300))
      // A packet that is always answered.
      try await post(["40/nobody,"])
      while true {
        let answer = try await http.send("GET", target, timeout: .seconds(5))
        guard answer.status == 200, let packets = EngineIOPacket.payload(answer.body) else { return heard + ["end"] }
        for text in packets.map(\.text) {
          if text.hasPrefix("44/nobody,") { return heard }
          heard.append(text.hasPrefix("40") ? String(text.prefix { $0 != "{" }) : text)
        }
      }
    }
  }

  private static let twice = "{\"message\":\"the namespace is already connected\"}"

  @Test(
    "packets in one payload",
    arguments: [
      (["40", "40", "40"], ["44" + twice, "44" + twice, "40"], ["/": 1]),
      (
        ["40", "40/users,", "40/users,", "40"], ["44/users," + twice, "44" + twice, "40", "40/users,"],
        ["/": 1, "/users": 1]
      ),
      // A CONNECT that was cancelled is not answered. The next one is independent of it.
      (["40", "41"], [], [:]), (["40", "41", "40"], ["40"], ["/": 1]), (["40", "41", "41", "40", "41"], [], [:]),
      (["41", "41", "40"], ["40"], ["/": 1]),
      // Too early, or for another namespace: ignored.
      (["421[\"early\"]", "40", "422[\"early\"]"], ["40"], ["/": 1]),
      (["42/other,1[\"a\"]", "41/other,", "43/other,1[]", "431[]", "439223372036854775807[]", "40"], ["40"], ["/": 1]),
      (["452-/other,[\"a\"]", "bAAAA", "bAAAA", "451-[\"a\"]", "bAAAA", "40"], ["40"], ["/": 1]),
      (["40/other,", "40"], ["44/other,{\"message\":\"Invalid namespace\"}", "40"], ["/": 1]),
      // After a refusal the client may try again.
      (["40{\"token\":\"wrong\"}"], ["44{\"message\":\"wrong token\"}"], ["/": 1]),
    ] as [([String], [String], [String: Int])])
  func breath(packets: [String], answers: [String], came: [String: Int]) throws {
    let log = Log()
    let world = world(log)
    try world.perform(as: "ann") { environment in
      let poster = try await Poster.open(environment)
      #expect(try await poster.post(packets) == 200)
      #expect(try await poster.poll() == answers)
      try await poster.post(["1"])
      try await environment.clock.sleep(for: .seconds(1))
    }
    #expect(log.came == came)
    #expect(log.most <= 1)
    #expect(log.present.values.allSatisfy { $0 == 0 })
  }

  @Test("a second CONNECT is refused until a DISCONNECT")
  func later() throws {
    let log = Log()
    try world(log).perform(as: "ann") { environment in
      let poster = try await Poster.open(environment)
      try await poster.post(["40"])
      #expect(try await poster.poll() == ["40"])
      try await poster.post(["40", "421[\"hello\"]"])
      #expect(try await poster.poll() == ["44" + Self.twice, "431[\"hello\"]"])
      try await poster.post(["41", "40", "41", "41", "40", "40"])
      #expect(try await poster.poll() == ["44" + Self.twice, "40"])
      try await poster.post(["1"])
      try await environment.clock.sleep(for: .seconds(1))
    }
    #expect(log.present == ["/": 0])
    #expect(log.most == 1)
  }

  @Test("a session that ends during admission leaves no socket behind", arguments: 0...30 as ClosedRange<Int64>)
  func endWhileConnecting(pause: Int64) throws {
    let log = Log()
    try world(log).perform(as: "ann") { environment in
      let poster = try await Poster.open(environment)
      try await poster.post(["40", "40/users,"])
      try await environment.clock.sleep(for: .milliseconds(pause))
      try await poster.post(["1"])
      try await environment.clock.sleep(for: .seconds(1))
    }
    #expect(log.present.values.allSatisfy { $0 == 0 })
    #expect(log.memory.strangers.used == 0 && log.memory.members.used == 0)
  }

  @Test(
    "an unreadable event is an error to its sender only",
    arguments: [
      "[\"e\",\"\\ud800\"]", "[\"e\",{\"a\":\"\\udc00x\"}]", "[\"\\ud800\"]", "[1]", "[]", "{}", "[\"a\"", "x",
      "[\"e\"," + String(repeating: "[", count: 70) + String(repeating: "]", count: 70) + "]", "[\"e\",1e999999x]",
      "[\"e\",{\"a\":1,\"a\":2}]",
    ])
  func unreadable(payload: String) throws {
    let log = Log()
    try world(log).perform(as: "ann") { environment in
      let poster = try await Poster.open(environment)
      try await poster.post(["40"])
      #expect(try await poster.poll() == ["40"])
      try await poster.post(["421" + payload, "42" + payload, "423[\"well\"]"])
      #expect(try await poster.poll() == ["431[\"unreadable\"]", "433[\"well\"]"])
    }
    #expect(log.unacknowledged == ["unreadable"])
  }

  @Test("an unreadable CONNECT is refused, and the client may try again")
  func unreadableConnect() throws {
    let log = Log()
    try world(log).perform(as: "ann") { environment in
      let poster = try await Poster.open(environment)
      try await poster.post(["40{\"token\":\"\\ud800\"}"])
      let answer = try await poster.poll()
      #expect(answer.count == 1 && answer[0].hasPrefix("44{\"message\""))
      try await poster.post(["40"])
      #expect(try await poster.poll() == ["40"])
    }
    #expect(log.came == ["/": 1])
  }

  @Test(
    "the memory of a client without a socket is limited and released",
    arguments: [
      Array(repeating: "40{\"token\":\"" + String(repeating: "x", count: 100_000) + "\"}", count: 9),
      ["451-[\"a\",\"" + String(repeating: "x", count: 500_000) + "\"]"],
      ["4516-/other,[\"a\"]"] + Array(repeating: "b" + String(repeating: "A", count: 40_000), count: 16),
      ["40", "41"].flatMap { Array(repeating: $0, count: 450) },
    ])
  func strangers(packets: [String]) throws {
    let log = Log()
    let world = world(log)
    try world.perform(as: "ann") { environment in
      for _ in 0..<20 {
        let poster = try await Poster.open(environment)
        _ = try await poster.post(packets)
        // Either the session remains or nothing does.
        #expect(log.memory.strangers.used <= 20 * 131_072)
        try await environment.clock.sleep(for: .milliseconds(100))
        _ = try? await poster.post(["1"])
      }
      try await environment.clock.sleep(for: .seconds(60))
    }
    #expect(log.memory.strangers.used == 0)
    #expect(log.memory.members.used == 0)
  }

  @Test("two polling requests or two WebSockets leave one transport")
  func roads() throws {
    let log = Log()
    let world = world(log)
    try world.perform(as: "ann") { environment in
      let poster = try await Poster.open(environment)
      try await poster.post(["40"])
      #expect(try await poster.poll() == ["40"])
      let target = "/socket.io/?EIO=4&transport=websocket&sid=\(poster.session)"
      let one = try await WebSocketClient.connect(environment, Self.address, target)
      let other = try await WebSocketClient.connect(environment, Self.address, target)
      guard case .close(1008, _)? = try await other.next() else {
        Issue.record("the second WebSocket was not turned away")
        return
      }
      try await one.send(.text, Array("2probe".utf8))
      #expect(try await one.next() == .text(Array("3probe".utf8)))
      try await one.send(.text, Array("5".utf8))
      let third = try await WebSocketClient.connect(environment, Self.address, target)
      guard case .close(1008, _)? = try await third.next() else {
        Issue.record("a WebSocket after the upgrade was not turned away")
        return
      }
      try await one.send(.text, Array("425[\"over\"]".utf8))
      #expect(try await one.next() == .text(Array("435[\"over\"]".utf8)))
      one.reset()
      try await environment.clock.sleep(for: .seconds(1))
    }
    #expect(log.present == ["/": 0])
  }

  @Test("a payload with too many packets is refused")
  func manyPackets() {
    func payload(_ count: Int) -> [UInt8] { Array(repeatElement("6", count: count).joined(separator: "\u{1E}").utf8) }
    #expect(EngineIOPacket.payload(payload(1000))?.count == 1000)
    #expect(EngineIOPacket.payload(payload(1001)) == nil)
    #expect(EngineIOPacket.payload(payload(500_000)) == nil)
    #expect(EngineIOPacket.payload(Array(repeating: EngineIOPacket.separator, count: 1_000_000)) == nil)
  }

  @Test("leaving a room keeps the order of the others")
  func rooms() {
    final class Listener {
      let number: Int64
      init(_ number: Int64) { self.number = number }
    }
    var rooms = SocketRooms<Listener>()
    let all = (0..<1000 as Range<Int64>).map(Listener.init)
    for listener in all { rooms.join(listener, listener.number, ["a", "b"], in: "/") }
    for listener in all where listener.number % 3 != 0 {
      rooms.leave(listener.number, ["a"], in: "/")
      rooms.leave(listener.number, ["a"], in: "/")
    }
    #expect(rooms.listeners(in: "/", "a").map(\.number) == all.map(\.number).filter { $0 % 3 == 0 })
    #expect(rooms.listeners(in: "/", "b").map(\.number) == all.map(\.number))
    for listener in all { rooms.leave(listener.number, ["a", "b"], in: "/") }
    #expect(rooms.count == 0)
  }
}
