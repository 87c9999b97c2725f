import Environment

/// An Engine.IO server, protocol 4: sessions over long polling and WebSocket, and the upgrade
/// between them.
actor EngineIOServer<Layer: EngineIOLayer> {
  let environment: Environment
  let options: EngineIOOptions
  private let serialExecutor: ActorExecutor
  let layer: Layer
  private(set) var sessions: [String: EngineIOSession] = [:]
  private var isClosed = false
  /// Links that write in the next turn.
  private var unwritten: [WebSocketLink] = []
  /// When the heartbeat of each session is due.
  private var beats = TimerHeap<String>()
  private var isBeating = false

  nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }

  init(_ environment: Environment, _ options: EngineIOOptions, layer: sending Layer) {
    self.layer = layer
    self.environment = environment
    self.options = options
    serialExecutor = environment.executor.forActor("engine-io")
  }

  /// Runs `body` on this actor.
  func perform(_ body: @Sendable (isolated EngineIOServer) -> Void) { body(self) }

  /// Runs `body` on this actor, and waits for it.
  func run(_ body: @Sendable (isolated EngineIOServer) async -> Void) async { await body(self) }

  /// Ends all sessions.
  func close() {
    isClosed = true
    for id in sessions.keys.sorted() { sessions[id].map { end($0, reason: "the server is stopping") } }
  }

  // MARK: Requests

  /// Answers a request to the endpoint, whatever its method. Opens sessions for `application`.
  func handle(_ call: Call, for application: Layer.Application) -> Reply {
    let query = call.request.query.map { PercentEncoding.decodeForm($0.utf8) ?? [] } ?? []
    func value(_ name: String) -> String? { query.first { $0.name == name }?.value }
    guard value("EIO") == "4" else { return Self.failure(5, "Unsupported protocol version") }
    let transport = value("transport")
    guard transport == "polling" || transport == "websocket" else { return Self.failure(0, "Transport unknown") }
    if let id = value("sid") {
      guard let session = sessions[id] else { return Self.failure(1, "Session ID unknown") }
      return transport == "polling" ? poll(session, call.request) : upgrade(session, call.request)
    }
    guard call.request.method == "GET" else { return Self.failure(2, "Bad handshake method") }
    // The parameters of the protocol itself are not kept.
    let own = query.filter { !["EIO", "transport", "t", "b64"].contains($0.name) }
    let size = own.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count }
    guard size <= options.maximumQueryBytes else { return Self.failure(3, "the query is too long") }
    if transport == "polling" {
      guard let session = open(own, upgrades: ["websocket"], for: application) else {
        return Self.failure(3, "too many sessions", status: 503)
      }
      return .response(Self.payload(takePayload(of: session)))
    }
    do throws(HTTPFailure) {
      let response = try WebSocketHandshake.response(to: call.request)
      return .upgrade(response) { connection, rest in try await self.serve(own, connection, rest, for: application) }
    } catch {
      return Self.failure(3, error.message, fields: error.fields)
    }
  }

  static func failure(
    _ code: Int64, _ message: String, status: Int = 400, fields: [(name: String, value: String)] = []
  ) -> Reply {
    .response(
      HTTPResponse(
        status: status, fields: [("content-type", "application/json")] + fields,
        body: JSONValue.object([.init("code", .int(code)), .init("message", .string(message))]).bytes))
  }

  static func payload(_ bytes: [UInt8]) -> HTTPResponse {
    HTTPResponse(
      status: 200, fields: [("content-type", "text/plain; charset=UTF-8"), ("cache-control", "no-store")], body: bytes)
  }

  /// Approximate size of an empty session.
  private static var sessionSize: Int { 1024 }

  /// Opens a session. Returns nil with too many sessions, or without memory for another one.
  private func open(
    _ query: [(name: String, value: String)], upgrades: [JSONValue], for application: Layer.Application
  ) -> EngineIOSession? {
    let memory = SessionMemory(environment.memory, options: options)
    let size = query.reduce(Self.sessionSize) { $0 + $1.name.utf8.count + $1.value.utf8.count }
    guard !isClosed, sessions.count < options.maximumSessions, memory.charge(size) else { return nil }
    let id = Hex.encode(environment.entropy.bytes(16))
    let session = EngineIOSession(id, query: query, options: options, memory: memory)
    sessions[id] = session
    let handshake: JSONValue = [
      "sid": .string(id), "upgrades": .array(upgrades),
      "pingInterval": .int(options.pingInterval.nanoseconds / 1_000_000),
      "pingTimeout": .int(options.pingTimeout.nanoseconds / 1_000_000),
      "maxPayload": .int(Int64(options.maximumPayload)),
    ]
    _ = session.enqueue(.packet(.open(handshake.text)))
    expectBeat(id, at: environment.clock.now + options.pingInterval)
    layer.opened(session, for: application, on: self)
    return session
  }

  /// Handles a packet from a client, by either transport.
  func take(_ packet: EngineIOPacket, _ session: EngineIOSession) {
    switch packet {
    case .message(let message):
      guard message.size <= options.maximumPayload else { return end(session, reason: "message too large") }
      layer.received(message, from: session, on: self)
    case .pong: session.heartbeat.receivePong(at: environment.clock.now)
    case .close:
      session.answerPoll([.noop])
      end(session, reason: "the client closed")
    case .noop: break
    case .open, .ping, .upgrade: end(session, reason: "unexpected packet")
    }
  }

  // MARK: WebSocket

  private func serve(
    _ query: [(name: String, value: String)], _ connection: any Connection, _ rest: [UInt8],
    for application: Layer.Application
  ) async throws {
    guard let session = open(query, upgrades: [], for: application) else {
      return try await turnAway(connection, WebSocketError(code: 1013, reason: "too many sessions"))
    }
    let link = makeLink(connection, session.memory)
    session.transport = .webSocket(link)
    flush(session)
    await read(connection, rest, link, session.id)
  }

  private func makeLink(_ connection: any Connection, _ memory: SessionMemory) -> WebSocketLink {
    WebSocketLink(environment, connection, memory, limit: options.maximumBacklogBytes + 65_536)
  }

  private func upgrade(_ session: EngineIOSession, _ request: HTTPRequest) -> Reply {
    let id = session.id
    do throws(HTTPFailure) {
      let response = try WebSocketHandshake.response(to: request)
      return .upgrade(response) { connection, rest in try await self.probe(id, connection, rest) }
    } catch {
      return Self.failure(3, error.message, fields: error.fields)
    }
  }

  /// Closes a WebSocket that cannot be served.
  private func turnAway(_ connection: any Connection, _ error: WebSocketError) async throws {
    var output: [UInt8] = []
    WebSocketFrame.write(.close, WebSocketFrame.closePayload(error.code, error.reason), to: &output)
    try await connection.write(output, deadline: environment.clock.now + .seconds(1))
    connection.shutdownWrite()
    _ = try await connection.read(atMost: 1024, deadline: environment.clock.now + .seconds(1))
  }

  private func probe(_ id: String, _ connection: any Connection, _ rest: [UInt8]) async throws {
    guard let session = sessions[id], case .polling = session.transport, session.probing == nil else {
      // The first probe continues.
      return try await turnAway(connection, WebSocketError(code: 1008, reason: "the session has a WebSocket"))
    }
    let link = makeLink(connection, session.memory)
    session.probing = link
    await read(connection, rest, link, id)
    if session.probing === link {
      session.probing = nil
      session.isProbed = false
    }
  }

  /// Reads a WebSocket until its end.
  private func read(_ connection: any Connection, _ rest: [UInt8], _ link: WebSocketLink, _ id: String) async {
    var parser = WebSocketParser(role: .server, limit: options.maximumPayload)
    parser.receive(rest)
    var reason = "the connection ended"
    do {
      reading: while true {
        while let event = try parser.next() {
          guard let session = sessions[id], !link.isClosed else { break reading }
          guard take(event, session, link) else { break reading }
        }
        guard link.hold(unfinished: parser.held) else {
          throw WebSocketError(code: 1009, reason: "message too large")
        }
        // Written at once, so that no event of another connection overtakes the answer.
        if link.beginWriting() { await link.writeAll(on: self) }
        let bytes = try await connection.read(atMost: 65_536, deadline: nil)
        if bytes.isEmpty { break }
        parser.receive(bytes)
      }
    } catch let error as WebSocketError {
      link.fail(error)
      reason = error.reason
    } catch {
      reason = "the connection failed"
    }
    if let session = sessions[id], session.uses(link) { end(session, reason: reason) }
    write(link)
    await linger(connection, link)
  }

  /// Waits until the last frames are written, including the close frame, and reads until the peer
  /// has them.
  private func linger(_ connection: any Connection, _ link: WebSocketLink) async {
    let deadline = environment.clock.now + .seconds(2)
    await link.shutDown(before: deadline, in: environment, on: self)
    while let bytes = try? await connection.read(atMost: 65_536, deadline: deadline), !bytes.isEmpty {}
  }

  /// Handles one event of a WebSocket. Returns false at its end.
  private func take(_ event: WebSocketParser.Event, _ session: EngineIOSession, _ link: WebSocketLink) -> Bool {
    switch event {
    case .ping(let data): link.send(.pong, data)
    case .pong: break
    case .close(let code, _):
      link.fail(WebSocketError(code: code ?? 1000, reason: ""))
      return false
    case .binary(let bytes):
      guard session.uses(link) else { return false }
      layer.received(.binary(bytes), from: session, on: self)
    case .text(let bytes):
      guard bytes.first != UInt8(ascii: "b"), let packet = EngineIOPacket(text: bytes[...]) else {
        link.fail(WebSocketError(code: 1002, reason: "not an Engine.IO packet"))
        return false
      }
      if session.probing === link { return takeProbe(packet, session, link) }
      guard session.uses(link) else { return false }
      take(packet, session)
    }
    return !session.isClosed
  }

  private func takeProbe(_ packet: EngineIOPacket, _ session: EngineIOSession, _ link: WebSocketLink) -> Bool {
    switch packet {
    case .ping("probe"):
      link.send(.text, EngineIOPacket.pong("probe").text.utf8)
      session.isProbed = true
      // Ends the waiting polling request, so that no message uses polling while the WebSocket is
      // tried.
      session.answerPoll([.noop])
    case .upgrade where session.isProbed:
      session.probing = nil
      session.answerPoll([.noop])
      session.transport = .webSocket(link)
      if options.planted(.dropsOnUpgrade) { _ = session.takeAll() }
      flush(session)
    default: return false
    }
    return true
  }

  // MARK: Sending

  /// Sends a packet or a message. Closes the session of a client that does not read.
  func send(_ item: EngineIOSession.Item, to session: EngineIOSession) {
    guard !session.isClosed else { return }
    if case .webSocket(let link) = session.transport { return send([item], to: session, over: link) }
    guard session.enqueue(item) else { return end(session, reason: "the client reads too slowly") }
    flush(session)
  }

  /// Passes queued packets to the transport, if it can take them.
  func flush(_ session: EngineIOSession) {
    switch session.transport {
    case .polling:
      if session.poll != nil, session.hasPackets { session.answerPoll(takePayload(of: session)) }
    case .webSocket(let link): send(session.takeAll(), to: session, over: link)
    }
  }

  private func send(_ items: [EngineIOSession.Item], to session: EngineIOSession, over link: WebSocketLink) {
    for item in items {
      switch item {
      case .encoded(let message): link.send(frame: message.frame)
      case .packet(.message(.binary(let bytes))): link.send(.binary, bytes)
      case .packet(let packet): link.send(.text, packet.text.utf8)
      }
    }
    write(link)
    if link.isClosed { end(session, reason: "the client reads too slowly") }
  }

  /// Writes in the next turn, together with the other links: one turn for a message to a thousand
  /// clients.
  private func write(_ link: WebSocketLink) {
    guard link.beginWriting() else { return }
    unwritten.append(link)
    if unwritten.count == 1 { environment.executor.post(to: self) { $0.writeUnwritten() } }
  }

  private func writeUnwritten() {
    let links = unwritten
    unwritten = []
    for link in links { link.writeNow(on: self) }
  }

  // MARK: Heartbeats

  /// One task serves all sessions. Ten thousand sleeping tasks would take ten megabytes.
  private func expectBeat(_ id: String, at time: Instant) {
    beats.insert(id, at: time.nanoseconds)
    guard !isBeating else { return }
    isBeating = true
    environment.executor.spawn("heartbeats") { await self.beatAll() }
  }

  private func beatAll() async {
    while let next = beats.nextTime {
      // A session that opens meanwhile is due an interval later at the earliest.
      let wake = min(Instant(nanoseconds: next), environment.clock.now + options.pingInterval)
      do { try await environment.clock.sleep(until: wake) } catch { return close() }
      while let time = beats.nextTime, time <= environment.clock.now.nanoseconds {
        beat(beats.removeFirst(), at: Instant(nanoseconds: time))
      }
    }
    isBeating = false
  }

  private func beat(_ id: String, at time: Instant) {
    guard let session = sessions[id] else { return }
    switch session.heartbeat.due(at: time, options) {
    case .ping(let next):
      send(.packet(.ping("")), to: session)
      expectBeat(id, at: next)
    case .wait(let next): expectBeat(id, at: next)
    case .timeOut: end(session, reason: "ping timeout")
    }
  }

  // MARK: The end

  /// Ends a session, once.
  func end(_ session: EngineIOSession, reason: String) {
    guard !session.isClosed else { return }
    session.isClosed = true
    sessions[session.id] = nil
    if case .webSocket(let link) = session.transport {
      link.fail(WebSocketError(code: 1000, reason: reason))
      write(link)
    }
    if let probing = session.probing {
      probing.fail(WebSocketError(code: 1000, reason: reason))
      write(probing)
    }
    session.answerPoll([.close])
    layer.closed(session, reason: reason, on: self)
  }
}
