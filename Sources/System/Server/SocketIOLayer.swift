/// Socket.IO on top of Engine.IO: packets, namespaces, attachments. Used on the engine's actor.
final class SocketIOLayer: EngineIOLayer {
  /// What is done for a client on the engine's actor, where no hop parts an answer from what was emitted before it.
  typealias Step = @Sendable (isolated EngineIOServer) async -> Void

  /// What a client may have sent that is not handled yet; more is a client that does not wait.
  private static let maximumSteps = 1000

  fileprivate struct Member {
    let socket: SocketID
    let rooms: [String]
  }

  private struct Room: Hashable {
    let namespace: String
    let name: String
  }

  /// Used on the engine's actor.
  fileprivate final class Client: @unchecked Sendable {
    let session: EngineIOSession
    /// By namespace.
    var sockets: [String: Member] = [:]
    var partial: (packet: SocketIOPacket, attachments: [[UInt8]])?
    /// What waits for the step that runs.
    var steps: [Step] = []
    var isWorking = false
    /// Ends the session when no socket comes in time.
    var timeout: Task<Void, Never>?

    init(_ session: EngineIOSession) { self.session = session }

    func endTimeout() {
      timeout?.cancel()
      timeout = nil
    }
  }

  private let environment: Environment
  private let namespaces: [String]
  private let application: any SocketApplication
  private var clients: [String: Client] = [:]
  /// Who hears what is emitted to a room, in the order in which they came.
  private var rooms: [Room: [Client]] = [:]

  init(_ environment: Environment, namespaces: [String], application: any SocketApplication) {
    self.environment = environment
    self.namespaces = namespaces
    self.application = application
  }

  func hasSocket(_ session: String) -> Bool { clients[session]?.sockets.isEmpty == false }

  func opened(_ session: EngineIOSession, on engine: isolated EngineIOServer) {
    let client = Client(session)
    let id = session.id
    clients[id] = client
    client.timeout = environment.executor.spawn("connect-timeout") { [engine] in
      await engine.checkConnected(id)
    }
  }

  func closed(_ session: EngineIOSession, reason: String, on engine: isolated EngineIOServer) {
    guard let client = clients[session.id] else { return }
    client.endTimeout()
    for namespace in client.sockets.keys.sorted() { remove(namespace, of: client, reason, on: engine) }
    if !client.isWorking, client.sockets.isEmpty { clients[session.id] = nil }
  }

  /// Takes a socket out of its rooms, and tells the application.
  private func remove(
    _ namespace: String, of client: Client, _ reason: String, on engine: isolated EngineIOServer
  ) {
    guard let member = client.sockets.removeValue(forKey: namespace) else { return }
    for name in member.rooms {
      let room = Room(namespace: namespace, name: name)
      rooms[room]?.removeAll { $0 === client }
      if rooms[room]?.isEmpty == true { rooms[room] = nil }
    }
    add(client, on: engine) { [application] _ in await application.disconnected(member.socket, reason: reason) }
  }

  // MARK: What comes

  func received(_ message: EngineIOMessage, from session: EngineIOSession, on engine: isolated EngineIOServer) {
    guard let client = clients[session.id] else { return fail(session, on: engine) }
    switch message {
    case .text(let text):
      guard client.partial == nil, let packet = SocketIOPacket(text: text) else { return fail(session, on: engine) }
      if packet.attachments > 0 {
        client.partial = (packet, [])
      } else {
        handle(packet, [], client, on: engine)
      }
    case .binary(let bytes):
      guard var partial = client.partial else { return fail(session, on: engine) }
      partial.attachments.append(bytes)
      if partial.attachments.count == partial.packet.attachments {
        client.partial = nil
        handle(partial.packet, partial.attachments, client, on: engine)
      } else {
        client.partial = partial
      }
    }
  }

  private func fail(_ session: EngineIOSession, on engine: isolated EngineIOServer) {
    engine.end(session, reason: "not a Socket.IO packet")
  }

  private func handle(
    _ packet: SocketIOPacket, _ attachments: [[UInt8]], _ client: Client, on engine: isolated EngineIOServer
  ) {
    switch packet.kind {
    case .connect: connect(packet, client, on: engine)
    case .disconnect: remove(packet.namespace, of: client, "the client disconnected", on: engine)
    case .event, .binaryEvent:
      guard let socket = client.sockets[packet.namespace]?.socket else { return }
      handle(packet, attachments, client, socket, on: engine)
    case .acknowledgement, .binaryAcknowledgement:
      // The server asks for none, so one that comes is late or made up: nothing depends on it.
      break
    case .connectError: fail(client.session, on: engine)
    }
  }

  private func connect(_ packet: SocketIOPacket, _ client: Client, on engine: isolated EngineIOServer) {
    let session = client.session
    guard client.sockets[packet.namespace] == nil else { return fail(session, on: engine) }
    guard namespaces.contains(packet.namespace) else {
      return send(Self.connectError("Invalid namespace", packet.namespace), [], client, on: engine)
    }
    let id = Hex.encode(environment.entropy.bytes(10))
    let socket = SocketID(session: session.id, namespace: packet.namespace, id: id)
    let auth = packet.data ?? .object([])
    let query = session.query
    add(client, on: engine) { [application] engine in
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
    _ packet: SocketIOPacket, _ attachments: [[UInt8]], _ client: Client, _ socket: SocketID,
    on engine: isolated EngineIOServer
  ) {
    guard let array = packet.data?.array, let name = array[0].string else { return }
    let payload = SocketPayload(Array(array.dropFirst()), attachments: attachments)
    let acknowledgement = packet.id
    add(client, on: engine) { [application] engine in
      let answer = await application.event(name, payload, from: socket)
      if let acknowledgement {
        engine.acknowledge(acknowledgement, answer, to: socket)
      } else {
        await application.unacknowledged(answer, from: socket)
      }
    }
  }

  // MARK: One after the other

  private func add(_ client: Client, on engine: isolated EngineIOServer, _ step: @escaping Step) {
    if !client.isWorking {
      client.isWorking = true
      environment.executor.spawn("socket-io") { [engine] in await engine.work(client, step) }
      return
    }
    client.steps.append(step)
    if client.steps.count > Self.maximumSteps { engine.end(client.session, reason: "too much at once") }
  }

  fileprivate func nextStep(_ client: Client) -> Step? {
    guard !client.steps.isEmpty else {
      // An idle client keeps no room for what it may send.
      client.steps = []
      client.isWorking = false
      if client.session.isClosed { clients[client.session.id] = nil }
      return nil
    }
    return client.steps.removeFirst()
  }

  // MARK: What goes

  /// Registers a socket and tells its client; false when the client has gone meanwhile, or there is an objection.
  func accept(
    _ socket: SocketID, rooms names: [String], unless objection: @Sendable () -> String?,
    on engine: isolated EngineIOServer
  ) -> Bool {
    guard let client = clients[socket.session], !client.session.isClosed else { return false }
    if let message = objection() {
      refuse(socket, message, on: engine)
      return false
    }
    client.endTimeout()
    client.sockets[socket.namespace] = Member(socket: socket, rooms: names)
    for name in names { rooms[Room(namespace: socket.namespace, name: name), default: []].append(client) }
    send(
      SocketIOPacket(.connect, namespace: socket.namespace, data: ["sid": .string(socket.id)]), [], client, on: engine)
    return true
  }

  func emit(_ event: RoomEvent, on engine: isolated EngineIOServer) {
    for name in event.rooms {
      guard let members = rooms[Room(namespace: event.namespace, name: name)] else { continue }
      for client in members { engine.send(.encoded(event.message), to: client.session) }
    }
  }

  /// Disconnects a socket, and ends its session when it was the last.
  func disconnect(_ socket: SocketID, _ reason: String, on engine: isolated EngineIOServer) {
    guard let client = self.client(of: socket), !client.session.isClosed else { return }
    send(SocketIOPacket(.disconnect, namespace: socket.namespace), [], client, on: engine)
    remove(socket.namespace, of: client, reason, on: engine)
    if client.sockets.isEmpty { engine.end(client.session, reason: reason) }
  }

  func refuse(_ socket: SocketID, _ message: String, on engine: isolated EngineIOServer) {
    guard let client = clients[socket.session] else { return }
    send(Self.connectError(message, socket.namespace), [], client, on: engine)
  }

  /// Whose a socket is that is connected.
  private func client(of socket: SocketID) -> Client? {
    guard let client = clients[socket.session], client.sockets[socket.namespace]?.socket == socket else { return nil }
    return client
  }

  func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID, on engine: isolated EngineIOServer) {
    guard let client = client(of: socket) else { return }
    let count = payload.attachments.count
    let packet = SocketIOPacket(
      count > 0 ? .binaryEvent : .event, namespace: socket.namespace, data: .array([.string(name)] + payload.arguments),
      attachments: count)
    send(packet, payload.attachments, client, on: engine)
  }

  func acknowledge(_ id: Int64, _ payload: SocketPayload, to socket: SocketID, on engine: isolated EngineIOServer) {
    guard let client = client(of: socket) else { return }
    let count = payload.attachments.count
    let packet = SocketIOPacket(
      count > 0 ? .binaryAcknowledgement : .acknowledgement, namespace: socket.namespace, id: id,
      data: .array(payload.arguments), attachments: count)
    send(packet, payload.attachments, client, on: engine)
  }

  private func send(
    _ packet: SocketIOPacket, _ attachments: [[UInt8]], _ client: Client, on engine: isolated EngineIOServer
  ) {
    engine.send(.encoded(EncodedMessage(packet)), to: client.session)
    for bytes in attachments { engine.send(.packet(.message(.binary(bytes))), to: client.session) }
  }
}

/// What the layer is asked for from elsewhere.
extension EngineIOServer {
  func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID) {
    _ = withLayer(SocketIOLayer.self) { $0.emit(name, payload, to: socket, on: self) }
  }

  func emit(_ events: [RoomEvent]) {
    _ = withLayer(SocketIOLayer.self) { layer in for event in events { layer.emit(event, on: self) } }
  }

  func disconnect(_ sockets: [SocketID], _ reason: String) {
    _ = withLayer(SocketIOLayer.self) { layer in for socket in sockets { layer.disconnect(socket, reason, on: self) } }
  }

  /// Runs what a session's client sent, in order.
  fileprivate func work(_ client: SocketIOLayer.Client, _ first: SocketIOLayer.Step) async {
    await first(self)
    while let step = withLayer(SocketIOLayer.self, { $0.nextStep(client) }) ?? nil { await step(self) }
  }

  func checkConnected(_ id: String) async {
    do { try await environment.clock.sleep(for: options.connectTimeout) } catch { return }
    guard let session = session(id) else { return }
    let isConnected = withLayer(SocketIOLayer.self) { $0.hasSocket(id) } ?? true
    if !isConnected { end(session, reason: "no CONNECT came in time") }
  }

  func accept(_ socket: SocketID, rooms: [String], unless objection: @Sendable () -> String?) -> Bool {
    withLayer(SocketIOLayer.self) { $0.accept(socket, rooms: rooms, unless: objection, on: self) } ?? false
  }

  func refuse(_ socket: SocketID, _ message: String) {
    _ = withLayer(SocketIOLayer.self) { $0.refuse(socket, message, on: self) }
  }

  func acknowledge(_ id: Int64, _ payload: SocketPayload, to socket: SocketID) {
    _ = withLayer(SocketIOLayer.self) { $0.acknowledge(id, payload, to: socket, on: self) }
  }
}
