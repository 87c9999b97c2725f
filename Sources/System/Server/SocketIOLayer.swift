/// Socket.IO on top of Engine.IO: packets, namespaces, attachments. Used on the engine's actor.
final class SocketIOLayer: EngineIOLayer {
  /// What is done for a client on the engine's actor, where no hop parts an answer from what was emitted before it.
  typealias Step = @Sendable (isolated EngineIOServer) async -> Void

  /// What a client may have sent that is not handled yet; more is a client that does not wait.
  private static let maximumSteps = 1000

  private struct Member {
    let socket: SocketID
    let rooms: [String]
  }

  private struct Room: Hashable {
    let namespace: String
    let name: String
  }

  private final class Client {
    /// By namespace.
    var sockets: [String: Member] = [:]
    var partial: (packet: SocketIOPacket, attachments: [[UInt8]])?
    var steps: [Step] = []
    var isWorking = false
    /// Ends the session when no socket comes in time.
    var timeout: Task<Void, Never>?

    func endTimeout() {
      timeout?.cancel()
      timeout = nil
    }
  }

  // The engine holds the layer.
  private unowned let engine: EngineIOServer
  private let environment: Environment
  private let namespaces: [String]
  private let application: any SocketApplication
  private var clients: [String: Client] = [:]
  /// Who hears what is emitted to a room, in the order in which they came.
  private var rooms: [Room: [EngineIOSession]] = [:]

  init(_ engine: isolated EngineIOServer, namespaces: [String], application: any SocketApplication) {
    self.engine = engine
    environment = engine.environment
    self.namespaces = namespaces
    self.application = application
  }

  func hasSocket(_ session: String) -> Bool { clients[session]?.sockets.isEmpty == false }

  func opened(_ session: EngineIOSession) {
    let client = Client()
    let id = session.id
    clients[id] = client
    client.timeout = environment.executor.spawn("connect-timeout") { [engine] in
      await engine.checkConnected(id)
    }
  }

  func closed(_ session: EngineIOSession, reason: String) {
    guard let client = clients[session.id] else { return }
    client.endTimeout()
    for namespace in client.sockets.keys.sorted() { remove(namespace, of: client, session, reason) }
    if !client.isWorking, client.sockets.isEmpty { clients[session.id] = nil }
  }

  /// Takes a socket out of its rooms, and tells the application.
  private func remove(_ namespace: String, of client: Client, _ session: EngineIOSession, _ reason: String) {
    guard let member = client.sockets.removeValue(forKey: namespace) else { return }
    for name in member.rooms {
      let room = Room(namespace: namespace, name: name)
      rooms[room]?.removeAll { $0 === session }
      if rooms[room]?.isEmpty == true { rooms[room] = nil }
    }
    add(client, session.id) { [application] _ in await application.disconnected(member.socket, reason: reason) }
  }

  // MARK: What comes

  func received(_ message: EngineIOMessage, from session: EngineIOSession) {
    guard let client = clients[session.id] else { return fail(session) }
    switch message {
    case .text(let text):
      guard client.partial == nil, let packet = SocketIOPacket(text: text) else { return fail(session) }
      if packet.attachments > 0 {
        client.partial = (packet, [])
      } else {
        handle(packet, [], client, session)
      }
    case .binary(let bytes):
      guard var partial = client.partial else { return fail(session) }
      partial.attachments.append(bytes)
      if partial.attachments.count == partial.packet.attachments {
        client.partial = nil
        handle(partial.packet, partial.attachments, client, session)
      } else {
        client.partial = partial
      }
    }
  }

  private func fail(_ session: EngineIOSession) {
    let id = session.id
    engine.assumeIsolated { engine in engine.session(id).map { engine.end($0, reason: "not a Socket.IO packet") } }
  }

  private func handle(
    _ packet: SocketIOPacket, _ attachments: [[UInt8]], _ client: Client, _ session: EngineIOSession
  ) {
    switch packet.kind {
    case .connect: connect(packet, client, session)
    case .disconnect: remove(packet.namespace, of: client, session, "the client disconnected")
    case .event, .binaryEvent:
      guard let socket = client.sockets[packet.namespace]?.socket else { return }
      handle(packet, attachments, client, socket)
    case .acknowledgement, .binaryAcknowledgement:
      // The server asks for none, so one that comes is late or made up: nothing depends on it.
      break
    case .connectError: fail(session)
    }
  }

  private func connect(_ packet: SocketIOPacket, _ client: Client, _ session: EngineIOSession) {
    guard client.sockets[packet.namespace] == nil else { return fail(session) }
    guard namespaces.contains(packet.namespace) else {
      return send(Self.connectError("Invalid namespace", packet.namespace), [], session.id)
    }
    let id = Hex.encode(environment.entropy.bytes(10))
    let socket = SocketID(session: session.id, namespace: packet.namespace, id: id)
    let auth = packet.data ?? .object([])
    let query = session.query
    add(client, session.id) { [application] engine in
      switch await application.admit(socket, query: query, auth: auth) {
      case .refused(let message): engine.refuse(socket, message)
      case .accepted(let rooms, let objection):
        if engine.accept(socket, rooms: rooms, unless: objection) {
          await application.connected(socket, auth: auth)
        } else {
          await application.disconnected(socket, reason: "it was not let in after all")
        }
      }
    }
  }

  private static func connectError(_ message: String, _ namespace: String) -> SocketIOPacket {
    SocketIOPacket(.connectError, namespace: namespace, data: ["message": .string(message)])
  }

  private func handle(
    _ packet: SocketIOPacket, _ attachments: [[UInt8]], _ client: Client, _ socket: SocketID
  ) {
    guard let array = packet.data?.array, let name = array[0].string else { return }
    let payload = SocketPayload(Array(array.dropFirst()), attachments: attachments)
    let acknowledgement = packet.id
    add(client, socket.session) { [application] engine in
      let answer = await application.event(name, payload, from: socket)
      if let acknowledgement {
        engine.acknowledge(acknowledgement, answer, to: socket)
      } else {
        await application.unacknowledged(answer, from: socket)
      }
    }
  }

  // MARK: One after the other

  private func add(_ client: Client, _ session: String, _ step: @escaping Step) {
    client.steps.append(step)
    if client.steps.count > Self.maximumSteps {
      engine.assumeIsolated { engine in engine.session(session).map { engine.end($0, reason: "too much at once") } }
    }
    guard !client.isWorking else { return }
    client.isWorking = true
    environment.executor.spawn("socket-io") { [engine] in await engine.work(session) }
  }

  func nextStep(_ session: String) -> Step? {
    guard let client = clients[session] else { return nil }
    guard !client.steps.isEmpty else {
      // An idle client keeps no room for what it may send.
      client.steps = []
      client.isWorking = false
      let isOpen = engine.assumeIsolated { $0.session(session) != nil }
      if !isOpen { clients[session] = nil }
      return nil
    }
    return client.steps.removeFirst()
  }

  // MARK: What goes

  /// Registers a socket and tells its client; false when the client has gone meanwhile, or there is an objection.
  func accept(_ socket: SocketID, rooms names: [String], unless objection: @Sendable () -> String?) -> Bool {
    guard let client = clients[socket.session], let session = session(socket.session) else { return false }
    if let message = objection() {
      refuse(socket, message)
      return false
    }
    client.endTimeout()
    client.sockets[socket.namespace] = Member(socket: socket, rooms: names)
    for name in names { rooms[Room(namespace: socket.namespace, name: name), default: []].append(session) }
    send(SocketIOPacket(.connect, namespace: socket.namespace, data: ["sid": .string(socket.id)]), [], socket.session)
    return true
  }

  private func session(_ id: String) -> EngineIOSession? {
    // The session stays on this actor, which the layer is on as well.
    final class Box: @unchecked Sendable { var session: EngineIOSession? }
    let box = Box()
    engine.assumeIsolated { box.session = $0.session(id) }
    return box.session
  }

  func emit(_ event: RoomEvent) {
    for name in event.rooms {
      guard let members = rooms[Room(namespace: event.namespace, name: name)] else { continue }
      let box = Members(members)
      engine.assumeIsolated { engine in for session in box.members { engine.send(event.message, to: session) } }
    }
  }

  private final class Members: @unchecked Sendable {
    let members: [EngineIOSession]
    init(_ members: [EngineIOSession]) { self.members = members }
  }

  /// Disconnects a socket, and ends its session when it was the last.
  func disconnect(_ socket: SocketID, _ reason: String) {
    guard let client = clients[socket.session], client.sockets[socket.namespace]?.socket == socket,
      let session = session(socket.session)
    else { return }
    send(SocketIOPacket(.disconnect, namespace: socket.namespace), [], socket.session)
    remove(socket.namespace, of: client, session, reason)
    guard client.sockets.isEmpty else { return }
    let id = socket.session
    engine.assumeIsolated { engine in engine.session(id).map { engine.end($0, reason: reason) } }
  }

  func refuse(_ socket: SocketID, _ message: String) {
    send(Self.connectError(message, socket.namespace), [], socket.session)
  }

  func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID) {
    guard clients[socket.session]?.sockets[socket.namespace]?.socket == socket else { return }
    let count = payload.attachments.count
    let packet = SocketIOPacket(
      count > 0 ? .binaryEvent : .event, namespace: socket.namespace, data: .array([.string(name)] + payload.arguments),
      attachments: count)
    send(packet, payload.attachments, socket.session)
  }

  func acknowledge(_ id: Int64, _ payload: SocketPayload, to socket: SocketID) {
    guard clients[socket.session]?.sockets[socket.namespace]?.socket == socket else { return }
    let count = payload.attachments.count
    let packet = SocketIOPacket(
      count > 0 ? .binaryAcknowledgement : .acknowledgement, namespace: socket.namespace, id: id,
      data: .array(payload.arguments), attachments: count)
    send(packet, payload.attachments, socket.session)
  }

  private func send(_ packet: SocketIOPacket, _ attachments: [[UInt8]], _ id: String) {
    engine.assumeIsolated { engine in
      guard let session = engine.session(id) else { return }
      engine.send(.text(packet.text), to: session)
      for bytes in attachments { engine.send(.binary(bytes), to: session) }
    }
  }
}

/// What the layer is asked for from elsewhere.
extension EngineIOServer {
  func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID) {
    _ = withLayer(SocketIOLayer.self) { _, layer in layer.emit(name, payload, to: socket) }
  }

  func emit(_ events: [RoomEvent]) {
    _ = withLayer(SocketIOLayer.self) { _, layer in for event in events { layer.emit(event) } }
  }

  func disconnect(_ sockets: [SocketID], _ reason: String) {
    _ = withLayer(SocketIOLayer.self) { _, layer in for socket in sockets { layer.disconnect(socket, reason) } }
  }

  /// Runs what a session's client sent, in order.
  func work(_ id: String) async {
    while let step = withLayer(SocketIOLayer.self, { _, layer in layer.nextStep(id) }) ?? nil { await step(self) }
  }

  func checkConnected(_ id: String) async {
    do { try await environment.clock.sleep(for: options.connectTimeout) } catch { return }
    guard let session = session(id) else { return }
    let isConnected = withLayer(SocketIOLayer.self) { _, layer in layer.hasSocket(id) } ?? true
    if !isConnected { end(session, reason: "no CONNECT came in time") }
  }

  func accept(_ socket: SocketID, rooms: [String], unless objection: @Sendable () -> String?) -> Bool {
    withLayer(SocketIOLayer.self) { _, layer in layer.accept(socket, rooms: rooms, unless: objection) } ?? false
  }

  func refuse(_ socket: SocketID, _ message: String) {
    _ = withLayer(SocketIOLayer.self) { _, layer in layer.refuse(socket, message) }
  }

  func acknowledge(_ id: Int64, _ payload: SocketPayload, to socket: SocketID) {
    _ = withLayer(SocketIOLayer.self) { _, layer in layer.acknowledge(id, payload, to: socket) }
  }
}
