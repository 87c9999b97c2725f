/// A socket: one client in one namespace.
public struct SocketID: Hashable, Sendable {
  /// The session of Engine.IO that carries it.
  let session: String
  /// The namespace.
  public let namespace: String
  /// The id that the client knows.
  public let id: String
}

/// What an application answers to a socket that wants to connect.
public enum SocketAdmission: Sendable {
  case accepted
  /// The message of the CONNECT_ERROR.
  case refused(String)
}

/// A payload with its binary parts: `data` holds `{"_placeholder":true,"num":N}` where attachment N belongs.
public struct SocketPayload: Sendable {
  /// The arguments.
  public var arguments: [JSONValue]
  /// The binary parts.
  public var attachments: [[UInt8]]

  /// Makes a payload.
  public init(_ arguments: [JSONValue], attachments: [[UInt8]] = []) {
    self.arguments = arguments
    self.attachments = attachments
  }
}

/// What an application does with its sockets. The calls for one session of a client come one after the other, in the order
/// in which the client sent what they are about.
public protocol SocketApplication: Sendable {
  /// Whether a socket may connect. `query` is that of the handshake, `auth` the payload of CONNECT.
  func admit(_ socket: SocketID, query: [(name: String, value: String)], auth: JSONValue) async -> SocketAdmission
  /// The socket is connected, and may be sent to.
  func connected(_ socket: SocketID, auth: JSONValue) async
  /// An event; what is returned acknowledges it, when the client asked for that.
  func event(_ name: String, _ payload: SocketPayload, from socket: SocketID) async -> SocketPayload
  /// The socket is gone.
  func disconnected(_ socket: SocketID, reason: String) async
}

/// A Socket.IO server, protocol 5 over Engine.IO 4.
public final class SocketIOServer: Sendable {
  private let engine: EngineIOServer

  /// A server of `application`. Without namespaces, anything but those of the list is refused.
  public static func make(
    _ environment: Environment, options: EngineIOOptions, namespaces: [String], application: any SocketApplication
  ) async -> SocketIOServer {
    let server = SocketIOServer(EngineIOServer(environment, options))
    await server.engine.setLayer { SocketIOLayer($0, namespaces: namespaces, application: application) }
    return server
  }

  private init(_ engine: EngineIOServer) { self.engine = engine }

  /// The rows of the route table that lead here.
  public func routes(path: String) -> [Route] { EngineIORoutes.table(engine, path: path) }

  /// Sends an event to a socket; nothing happens when it is gone.
  public func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID) async {
    await engine.emit(name, payload, to: socket)
  }

  /// Ends all sessions.
  public func close() async { await engine.close() }
}

extension EngineIOServer {
  fileprivate func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID) {
    _ = withLayer(SocketIOLayer.self) { _, layer in layer.emit(name, payload, to: socket) }
  }

  /// Runs what a session's client sent, in order.
  fileprivate func work(_ id: String) async {
    while let step = withLayer(SocketIOLayer.self, { _, layer in layer.nextStep(id) }) ?? nil { await step() }
  }

  fileprivate func checkConnected(_ id: String) async {
    do { try await environment.clock.sleep(for: options.connectTimeout) } catch { return }
    guard let session = session(id) else { return }
    let isConnected = withLayer(SocketIOLayer.self) { _, layer in layer.hasSocket(id) } ?? true
    if !isConnected { end(session, reason: "no CONNECT came in time") }
  }

  fileprivate func accept(_ socket: SocketID) -> Bool {
    withLayer(SocketIOLayer.self) { _, layer in layer.accept(socket) } ?? false
  }

  fileprivate func refuse(_ socket: SocketID, _ message: String) {
    _ = withLayer(SocketIOLayer.self) { _, layer in layer.refuse(socket, message) }
  }

  fileprivate func acknowledge(_ id: Int64, _ payload: SocketPayload, to socket: SocketID) {
    _ = withLayer(SocketIOLayer.self) { _, layer in layer.acknowledge(id, payload, to: socket) }
  }
}

/// The rows that lead to an Engine.IO server.
enum EngineIORoutes {
  static func table(_ engine: EngineIOServer, path: String) -> [Route] {
    // The protocol answers a wrong method itself, with 400.
    ["GET", "POST", "PUT", "DELETE", "PATCH"].map { method in
      Route(
        method, path, "Engine.IO 4",
        responses: [.init(200, "A payload", .string(), contentType: "text/plain; charset=UTF-8")]
      ) { await engine.handle($0) }
    }
  }
}

/// Socket.IO on top of Engine.IO: packets, namespaces, attachments. Used on the engine's actor.
final class SocketIOLayer: EngineIOLayer {
  typealias Step = @Sendable () async -> Void

  /// What a client may have sent that is not handled yet; more is a client that does not wait.
  private static let maximumSteps = 1000

  private struct Client {
    var sockets: [String: SocketID] = [:]
    var partial: (packet: SocketIOPacket, attachments: [[UInt8]])?
    var steps: [Step] = []
    var isWorking = false
  }

  // The engine holds the layer.
  private unowned let engine: EngineIOServer
  private let environment: Environment
  private let namespaces: [String]
  private let application: any SocketApplication
  private var clients: [String: Client] = [:]

  init(_ engine: isolated EngineIOServer, namespaces: [String], application: any SocketApplication) {
    self.engine = engine
    environment = engine.environment
    self.namespaces = namespaces
    self.application = application
  }

  func hasSocket(_ session: String) -> Bool { clients[session]?.sockets.isEmpty == false }

  func opened(_ session: EngineIOSession) {
    clients[session.id] = Client()
    let id = session.id
    environment.executor.spawn("connect-timeout") { [engine] in await engine.checkConnected(id) }
  }

  func closed(_ session: EngineIOSession, reason: String) {
    guard let client = clients[session.id] else { return }
    clients[session.id]?.sockets = [:]
    for namespace in client.sockets.keys.sorted() { tellDisconnected(client.sockets[namespace]!, reason) }
    if !client.isWorking, client.sockets.isEmpty { clients[session.id] = nil }
  }

  private func tellDisconnected(_ socket: SocketID, _ reason: String) {
    let application = application
    add(socket.session) { await application.disconnected(socket, reason: reason) }
  }

  // MARK: What comes

  func received(_ message: EngineIOMessage, from session: EngineIOSession) {
    switch message {
    case .text(let text):
      guard clients[session.id]?.partial == nil, let packet = SocketIOPacket(text: text) else { return fail(session) }
      if packet.attachments > 0 {
        clients[session.id]?.partial = (packet, [])
      } else {
        handle(packet, [], session)
      }
    case .binary(let bytes):
      guard var partial = clients[session.id]?.partial else { return fail(session) }
      partial.attachments.append(bytes)
      if partial.attachments.count == partial.packet.attachments {
        clients[session.id]?.partial = nil
        handle(partial.packet, partial.attachments, session)
      } else {
        clients[session.id]?.partial = partial
      }
    }
  }

  private func fail(_ session: EngineIOSession) {
    let id = session.id
    engine.assumeIsolated { engine in engine.session(id).map { engine.end($0, reason: "not a Socket.IO packet") } }
  }

  private func handle(_ packet: SocketIOPacket, _ attachments: [[UInt8]], _ session: EngineIOSession) {
    switch packet.kind {
    case .connect: connect(packet, session)
    case .disconnect:
      guard let socket = clients[session.id]?.sockets.removeValue(forKey: packet.namespace) else { return }
      tellDisconnected(socket, "the client disconnected")
    case .event, .binaryEvent:
      guard let socket = clients[session.id]?.sockets[packet.namespace] else { return }
      handle(packet, attachments, socket)
    case .acknowledgement, .binaryAcknowledgement:
      // The server asks for none, so one that comes is late or made up: nothing depends on it.
      break
    case .connectError: fail(session)
    }
  }

  private func connect(_ packet: SocketIOPacket, _ session: EngineIOSession) {
    guard clients[session.id]?.sockets[packet.namespace] == nil else { return fail(session) }
    guard namespaces.contains(packet.namespace) else {
      return send(Self.connectError("Invalid namespace", packet.namespace), [], session.id)
    }
    let id = Hex.encode(environment.entropy.bytes(10))
    let socket = SocketID(session: session.id, namespace: packet.namespace, id: id)
    let auth = packet.data ?? .object([])
    let query = session.query
    add(session.id) { [engine, application] in
      switch await application.admit(socket, query: query, auth: auth) {
      case .refused(let message): await engine.refuse(socket, message)
      case .accepted:
        if await engine.accept(socket) { await application.connected(socket, auth: auth) }
      }
    }
  }

  private static func connectError(_ message: String, _ namespace: String) -> SocketIOPacket {
    SocketIOPacket(.connectError, namespace: namespace, data: ["message": .string(message)])
  }

  private func handle(_ packet: SocketIOPacket, _ attachments: [[UInt8]], _ socket: SocketID) {
    guard let array = packet.data?.array, let name = array[0].string else { return }
    let payload = SocketPayload(Array(array.dropFirst()), attachments: attachments)
    let acknowledgement = packet.id
    add(socket.session) { [engine, application] in
      let answer = await application.event(name, payload, from: socket)
      if let acknowledgement { await engine.acknowledge(acknowledgement, answer, to: socket) }
    }
  }

  // MARK: One after the other

  private func add(_ session: String, _ step: @escaping Step) {
    guard clients[session] != nil else { return }
    clients[session]!.steps.append(step)
    if clients[session]!.steps.count > Self.maximumSteps {
      engine.assumeIsolated { engine in engine.session(session).map { engine.end($0, reason: "too much at once") } }
    }
    guard !clients[session]!.isWorking else { return }
    clients[session]!.isWorking = true
    environment.executor.spawn("socket-io") { [engine] in await engine.work(session) }
  }

  func nextStep(_ session: String) -> Step? {
    guard clients[session] != nil else { return nil }
    guard !clients[session]!.steps.isEmpty else {
      clients[session]!.isWorking = false
      let isOpen = engine.assumeIsolated { $0.session(session) != nil }
      if !isOpen { clients[session] = nil }
      return nil
    }
    return clients[session]!.steps.removeFirst()
  }

  // MARK: What goes

  /// Registers a socket and tells its client; false when the client has gone meanwhile.
  func accept(_ socket: SocketID) -> Bool {
    guard clients[socket.session] != nil, engine.assumeIsolated({ $0.session(socket.session) != nil }) else {
      return false
    }
    clients[socket.session]!.sockets[socket.namespace] = socket
    send(SocketIOPacket(.connect, namespace: socket.namespace, data: ["sid": .string(socket.id)]), [], socket.session)
    return true
  }

  func refuse(_ socket: SocketID, _ message: String) {
    send(Self.connectError(message, socket.namespace), [], socket.session)
  }

  func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID) {
    guard clients[socket.session]?.sockets[socket.namespace] == socket else { return }
    let count = payload.attachments.count
    let packet = SocketIOPacket(
      count > 0 ? .binaryEvent : .event, namespace: socket.namespace, data: .array([.string(name)] + payload.arguments),
      attachments: count)
    send(packet, payload.attachments, socket.session)
  }

  func acknowledge(_ id: Int64, _ payload: SocketPayload, to socket: SocketID) {
    guard clients[socket.session]?.sockets[socket.namespace] == socket else { return }
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
