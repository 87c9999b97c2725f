import Environment

/// Socket.IO on top of Engine.IO: packets, namespaces, attachments. Used on the engine's actor
/// only.
final class SocketIOLayer<Application: SocketApplication>: EngineIOLayer {
  typealias Engine = EngineIOServer<SocketIOLayer<Application>>
  /// A step of a client, run on the engine's actor: no hop separates an answer from the events
  /// emitted before it.
  typealias Step = @Sendable (isolated Engine) async -> Void

  /// Maximum number of steps that wait. A client that sends more is closed.
  private static var maximumSteps: Int { 1000 }
  /// The answer to a second CONNECT for a namespace.
  static var isConnectedAlready: String { "the namespace is already connected" }

  private let environment: Environment
  private let namespaces: [String]
  private let planted: PlantedBugs
  private var clients: [String: Client] = [:]
  private var rooms = SocketRooms<Client>()
  private var lastNumber: Int64 = 0

  init(_ environment: Environment, namespaces: [String], planted: PlantedBugs) {
    self.environment = environment
    self.namespaces = namespaces
    self.planted = planted
  }

  func opened(_ session: EngineIOSession, for application: Application, on engine: isolated Engine) {
    let client = Client(session, application)
    clients[session.id] = client
    expectSocket(client, on: engine)
  }

  /// Starts the time limit for the first socket.
  private func expectSocket(_ client: Client, on engine: isolated Engine) {
    client.endTimeout()
    client.timeout = environment.executor.spawn("connect-timeout") { [engine] in
      await engine.run { await $0.layer.checkConnected(client, on: $0) }
    }
  }

  private func checkConnected(_ client: Client, on engine: isolated Engine) async {
    do { try await environment.clock.sleep(for: engine.options.connectTimeout) } catch { return }
    if client.sockets.isEmpty { engine.end(client.session, reason: "no CONNECT arrived in time") }
  }

  func closed(_ session: EngineIOSession, reason: String, on engine: isolated Engine) {
    guard let client = clients[session.id] else { return }
    client.endTimeout()
    client.partial = nil
    client.connecting = [:]
    for namespace in client.sockets.keys.sorted() { remove(namespace, of: client, reason, on: engine) }
    if !client.isWorking { clients[session.id] = nil }
  }

  /// Removes a socket from its rooms, and tells the application.
  private func remove(
    _ namespace: String, of client: Client, _ reason: String, on engine: isolated Engine
  ) {
    guard let member = client.sockets.removeValue(forKey: namespace) else { return }
    rooms.leave(member.number, member.rooms, in: namespace)
    add(client, 0, on: engine) { [application = client.application] _ in
      await application.disconnected(member.socket, reason: reason)
    }
  }

  // MARK: Incoming packets

  func received(_ message: EngineIOMessage, from session: EngineIOSession, on engine: isolated Engine) {
    guard let client = clients[session.id] else { return fail(session, on: engine) }
    switch message {
    case .text(let text):
      guard client.partial == nil, let header = SocketIOHeader(text: text) else { return fail(session, on: engine) }
      if header.attachments > 0 {
        begin(header, client, on: engine)
      } else {
        handle(header, [], client, on: engine)
      }
    case .binary(let bytes): attach(bytes, client, on: engine)
    }
  }

  private func begin(_ header: SocketIOHeader, _ client: Client, on engine: isolated Engine) {
    let isHeard = header.kind == .binaryEvent && client.sockets[header.namespace] != nil
    let size = isHeard ? header.size : 0
    guard client.session.memory.charge(size) else {
      return engine.end(client.session, reason: "too many packets at once")
    }
    client.partial = Partial(header: header, missing: header.attachments, isHeard: isHeard, size: size)
  }

  private func attach(_ bytes: [UInt8], _ client: Client, on engine: isolated Engine) {
    guard client.partial != nil else { return fail(client.session, on: engine) }
    client.partial!.missing -= 1
    if client.partial!.isHeard {
      guard client.session.memory.charge(bytes.count) else {
        return engine.end(client.session, reason: "too many packets at once")
      }
      client.partial!.size += bytes.count
      client.partial!.attachments.append(bytes)
    }
    guard client.partial!.missing == 0, let whole = client.partial else { return }
    client.partial = nil
    client.session.memory.release(whole.size)
    if whole.isHeard { handle(whole.header, whole.attachments, client, on: engine) }
  }

  private func fail(_ session: EngineIOSession, on engine: isolated Engine) {
    engine.end(session, reason: "not a Socket.IO packet")
  }

  private func handle(
    _ header: SocketIOHeader, _ attachments: [[UInt8]], _ client: Client, on engine: isolated Engine
  ) {
    switch header.kind {
    case .connect: connect(header, client, on: engine)
    case .disconnect: disconnected(header.namespace, client, on: engine)
    case .event, .binaryEvent:
      // Without a socket, the event was sent too early or crossed a DISCONNECT. Ignore it.
      guard let socket = client.sockets[header.namespace]?.socket else { return }
      handle(header, attachments, client, socket, on: engine)
    case .acknowledgement, .binaryAcknowledgement:
      // The server asks for no acknowledgements. Ignore it.
      break
    case .connectError: fail(client.session, on: engine)
    }
  }

  private func connect(_ header: SocketIOHeader, _ client: Client, on engine: isolated Engine) {
    let (session, namespace) = (client.session, header.namespace)
    guard namespaces.contains(namespace) else {
      return send(Self.connectError("Invalid namespace", namespace), [], client, on: engine)
    }
    guard planted(.admitsTwice) || client.sockets[namespace] == nil && client.connecting[namespace] == nil else {
      return send(Self.connectError(Self.isConnectedAlready, namespace), [], client, on: engine)
    }
    let socket = SocketID(
      session: session.id, namespace: namespace, id: Hex.encode(environment.entropy.bytes(10)))
    client.connecting[namespace] = socket
    let query = session.query
    add(client, header.size, on: engine) { [application = client.application] engine in
      // The client may be gone, or may have disconnected.
      guard engine.layer.isConnecting(socket) else { return }
      let auth: JSONValue
      do throws(SocketIOHeader.Unreadable) {
        auth = try header.packet().data ?? .object([])
      } catch {
        return engine.layer.refuse(socket, error.reason, on: engine)
      }
      switch await application.admit(socket, query: query, auth: auth) {
      case .refused(let message): engine.layer.refuse(socket, message, on: engine)
      case .accepted(let rooms, let recovery, let objection):
        if engine.layer.accept(socket, rooms: rooms, recovery, unless: objection, on: engine) {
          await application.connected(socket, auth: auth)
        } else {
          await application.disconnected(socket, reason: "the connection was refused")
        }
      }
    }
  }

  private static func connectError(_ message: String, _ namespace: String) -> SocketIOPacket {
    SocketIOPacket(.connectError, namespace: namespace, data: ["message": .string(message)])
  }

  /// The client leaves a namespace, or cancels its CONNECT.
  private func disconnected(_ namespace: String, _ client: Client, on engine: isolated Engine) {
    client.connecting[namespace] = nil
    remove(namespace, of: client, "the client disconnected", on: engine)
    if client.sockets.isEmpty, client.connecting.isEmpty, client.timeout == nil { expectSocket(client, on: engine) }
  }

  private func handle(
    _ header: SocketIOHeader, _ attachments: [[UInt8]], _ client: Client, _ socket: SocketID,
    on engine: isolated Engine
  ) {
    let size = attachments.reduce(header.size) { $0 + $1.count }
    add(client, size, on: engine) { [application = client.application] engine in
      let answer: SocketPayload
      do throws(SocketIOHeader.Unreadable) {
        let arguments = try header.packet().data?.array ?? []
        let payload = SocketPayload(Array(arguments.dropFirst()), attachments: attachments)
        answer = await application.event(arguments.first?.string ?? "", payload, from: socket)
      } catch {
        answer = await application.unreadable(error.reason, from: socket)
      }
      if let acknowledgement = header.id {
        engine.layer.acknowledge(acknowledgement, answer, to: socket, on: engine)
      } else {
        await application.unacknowledged(answer, from: socket)
      }
    }
  }

  // MARK: One after the other

  /// Runs a step after the earlier ones. Its input is charged until it is done.
  private func add(_ client: Client, _ size: Int, on engine: isolated Engine, _ step: @escaping Step) {
    guard client.session.memory.charge(size) else {
      return engine.end(client.session, reason: "too many packets at once")
    }
    if !client.isWorking {
      client.isWorking = true
      client.runningSize = size
      environment.executor.spawn("socket-io") { [engine] in
        await engine.run { await $0.layer.work(client, step, on: $0) }
      }
      return
    }
    client.steps.append(Waiting(step: step, size: size))
    if client.steps.count > Self.maximumSteps { engine.end(client.session, reason: "too many packets at once") }
  }

  /// Runs a client's steps, each as a request: it begins a trace.
  private func work(_ client: Client, _ first: @escaping Step, on engine: isolated Engine) async {
    let scope = RequestTrace.Scope()
    // The closure would run on no actor if it did not use one.
    await RequestTrace.$scope.withValue(scope) {
      var next: Step? = first
      while let step = next {
        scope.trace = RequestTrace(from: environment.identifiers)
        await step(engine)
        scope.trace = nil
        next = nextStep(client)
      }
    }
  }

  private func nextStep(_ client: Client) -> Step? {
    client.session.memory.release(client.runningSize)
    client.runningSize = 0
    guard let next = client.steps.popFirst() else {
      client.isWorking = false
      if client.session.isClosed { clients[client.session.id] = nil }
      return nil
    }
    client.runningSize = next.size
    return next.step
  }

  // MARK: Outgoing packets

  /// Whether a socket still waits for admission.
  private func isConnecting(_ socket: SocketID) -> Bool {
    guard let client = clients[socket.session], !client.session.isClosed else { return false }
    return planted(.admitsTwice) || client.connecting[socket.namespace] == socket
  }

  /// Connects a socket and tells its client. Returns false if the client is gone or has cancelled,
  /// or if there is an objection.
  private func accept(
    _ socket: SocketID, rooms names: [String], _ recovery: SocketRecovery?,
    unless objection: @Sendable () -> String?, on engine: isolated Engine
  ) -> Bool {
    guard isConnecting(socket), let client = clients[socket.session] else { return false }
    if let message = objection() {
      refuse(socket, message, on: engine)
      return false
    }
    guard client.session.memory.becomeMember() else {
      refuse(socket, "the service is too busy", on: engine)
      return false
    }
    let missed = recovery?.missed()
    if recovery != nil, missed == nil {
      engine.end(client.session, reason: "the missed events are gone")
      return false
    }
    client.endTimeout()
    client.connecting[socket.namespace] = nil
    lastNumber += 1
    client.sockets[socket.namespace] = Member(
      socket: socket, rooms: names, number: lastNumber, hearsAfter: missed?.through)
    rooms.join(client, lastNumber, names, in: socket.namespace)
    var answer = [JSONValue.Member("sid", .string(recovery?.socketID ?? socket.id))]
    if let recovery {
      client.hearsOffsets = true
      answer.append(.init("pid", .string(recovery.id)))
    }
    send(SocketIOPacket(.connect, namespace: socket.namespace, data: .object(answer)), [], client, on: engine)
    for event in missed?.events ?? [] {
      engine.send(.encoded(EncodedMessage(event.message, offset: event.offset!)), to: client.session)
    }
    return true
  }

  func emit(_ event: RoomEvent, on engine: isolated Engine) {
    // Encoded when the first socket wants it.
    var withOffset: EncodedMessage?
    for name in event.rooms {
      for client in rooms.listeners(in: event.namespace, name) {
        guard client.hearsOffsets, let offset = event.offset,
          let known = client.sockets[event.namespace]?.hearsAfter
        else {
          engine.send(.encoded(event.message), to: client.session)
          continue
        }
        // It was among the missed events, or its client received it before.
        guard offset > known else { continue }
        let message = withOffset ?? EncodedMessage(event.message, offset: offset)
        withOffset = message
        engine.send(.encoded(message), to: client.session)
      }
    }
  }

  /// Disconnects a socket, and ends its session if it was the last one.
  func disconnect(_ socket: SocketID, _ reason: String, on engine: isolated Engine) {
    guard let client = self.client(of: socket), !client.session.isClosed else { return }
    send(SocketIOPacket(.disconnect, namespace: socket.namespace), [], client, on: engine)
    remove(socket.namespace, of: client, reason, on: engine)
    if client.sockets.isEmpty, client.connecting.isEmpty { engine.end(client.session, reason: reason) }
  }

  /// Answers a socket that waits for admission with CONNECT_ERROR.
  private func refuse(_ socket: SocketID, _ message: String, on engine: isolated Engine) {
    guard isConnecting(socket), let client = clients[socket.session] else { return }
    client.connecting[socket.namespace] = nil
    send(Self.connectError(message, socket.namespace), [], client, on: engine)
  }

  /// The client of a connected socket.
  private func client(of socket: SocketID) -> Client? {
    guard let client = clients[socket.session], client.sockets[socket.namespace]?.socket == socket else { return nil }
    return client
  }

  func emit(_ name: String, _ payload: SocketPayload, to socket: SocketID, on engine: isolated Engine) {
    guard let client = client(of: socket) else { return }
    let count = payload.attachments.count
    let packet = SocketIOPacket(
      count > 0 ? .binaryEvent : .event, namespace: socket.namespace, data: .array([.string(name)] + payload.arguments),
      attachments: count)
    send(packet, payload.attachments, client, on: engine)
  }

  private func acknowledge(_ id: Int64, _ payload: SocketPayload, to socket: SocketID, on engine: isolated Engine) {
    guard let client = client(of: socket) else { return }
    let count = payload.attachments.count
    let packet = SocketIOPacket(
      count > 0 ? .binaryAcknowledgement : .acknowledgement, namespace: socket.namespace, id: id,
      data: .array(payload.arguments), attachments: count)
    send(packet, payload.attachments, client, on: engine)
  }

  private func send(
    _ packet: SocketIOPacket, _ attachments: [[UInt8]], _ client: Client, on engine: isolated Engine
  ) {
    engine.send(.encoded(EncodedMessage(packet)), to: client.session)
    for bytes in attachments { engine.send(.packet(.message(.binary(bytes))), to: client.session) }
  }
}
