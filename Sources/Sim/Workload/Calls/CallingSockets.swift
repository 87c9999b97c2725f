import Environment
import Simulation
import System

/// A socket of a caller.
final class CallSocket {
  let client: SocketIOClient
  let session: JSONValue
  var namespaces: [String] = []
  var hasEnded = false
  /// The records of events that wait for an acknowledgement, by namespace and number.
  var waiting: [String: Int] = [:]

  init(_ client: SocketIOClient, _ session: JSONValue) {
    self.client = client
    self.session = session
  }
}

/// The calls of a caller over sockets: any event of the tables on any of several sockets, once or
/// twice, before CONNECT is answered, in another namespace, or again after a reconnect.
final class CallingSockets {
  private let caller: CallerState
  private let environment: Environment
  private var sockets: [CallSocket] = []
  private var last: (event: MessageCall, data: JSONValue)?

  init(_ caller: CallerState, _ environment: Environment) {
    self.caller = caller
    self.environment = environment
  }

  private var stream: ChoiceStream { caller.user.stream }

  /// Opens, uses or ends a socket.
  /// - Throws: `NodeDown`, `CancellationError`.
  func step() async throws {
    caller.user.tally.count(.calls)
    sockets.removeAll(where: \.hasEnded)
    do {
      guard let socket = stream.pickAny(of: sockets),
        sockets.count >= caller.user.behavior.devices || stream.chance(0.8)
      else { return try await open() }
      switch stream.choose(20) {
      case 0: try await end(socket, inOrder: true)
      case 1: try await end(socket, inOrder: false)
      case 2:
        let namespace = stream.pick(caller.namespaces)
        try await socket.client.join(namespace, auth: authentication(socket.session))
      case 3:
        let (step, namespace) = (stream.pick(RudeStep.onOneSocket), stream.pick(caller.namespaces))
        try await step.take(socket.client, namespace, authentication(socket.session))
      case 4:
        // The same event again, after a reconnect.
        guard let last else { break }
        try await end(socket, inOrder: false)
        guard let socket = try await open(with: socket.session) else { break }
        try await environment.clock.sleep(for: stream.duration(.zero...(.milliseconds(50))))
        try await emit(last.event, last.data, socket)
      default: try await emit(on: socket)
      }
    } catch  where !(error is NodeDown || error is CancellationError) {
      // The connection has ended, or could not be opened.
    }
  }

  private func authentication(_ session: JSONValue) -> JSONValue { ["sessionID": session] }

  private func open() async throws {
    guard let session = caller.known.draw([ValueKind.session], stream) else { return }
    guard let socket = try await open(with: session), stream.chance(0.2) else { return }
    // Before CONNECT is answered.
    try await emit(on: socket)
  }

  private func open(with session: JSONValue) async throws -> CallSocket? {
    guard let address = caller.socketAddress else { return nil }
    let client = SocketIOClient(
      environment, address: address, transport: stream.pick(caller.user.behavior.transports))
    let socket = CallSocket(client, session)
    let namespace = stream.pick(caller.namespaces)
    caller.user.lastSeen = "opens a socket to \(namespace)"
    do { try await client.connect(namespace: namespace, auth: authentication(session)) } catch {
      await client.abandon()
      throw error
    }
    sockets.append(socket)
    let (listener, heard) = (Confined(self), Confined(socket))
    environment.executor.spawn("caller-socket") { await listener.value.listen(heard.value) }
    return socket
  }

  private func emit(on socket: CallSocket) async throws {
    let elsewhere = socket.namespaces.isEmpty || stream.chance(0.05)
    let events = caller.events.filter { elsewhere || socket.namespaces.contains($0.row.channel) }
    guard let event = stream.pickAny(of: events) else { return }
    guard case .object(let fields) = event.row.data else { return }
    let data = JSONValue.object(caller.grammar.object(fields, bound: [(ValueKind.session, socket.session)]))
    try await emit(event, data, socket)
    if stream.chance(0.1) { try await emit(event, data, socket) }
  }

  private func emit(_ event: MessageCall, _ data: JSONValue, _ socket: CallSocket) async throws {
    caller.user.lastSeen = "emits \(event.row.name) \(data.text)"
    last = (event, data)
    let isAcknowledged = stream.chance(0.8)
    let history = caller.history
    var record: Int?
    if isAcknowledged {
      history.emits.append(
        CallerEvent(
          person: caller.user.name, event: event.row, data: data, session: socket.session, interval: history.begin()))
      record = history.emits.count - 1
    }
    let id = try await socket.client.emit(
      event.row.name, SocketPayload([data]), namespace: event.row.channel, acknowledged: isAcknowledged)
    if let id, let record { socket.waiting["\(event.row.channel) \(id)"] = record }
  }

  private func end(_ socket: CallSocket, inOrder: Bool) async throws {
    socket.hasEnded = true
    sockets.removeAll(where: \.hasEnded)
    if inOrder { await socket.client.close() } else { await socket.client.abandon() }
  }

  /// Ends all sockets.
  func close() async throws {
    for socket in sockets { try await end(socket, inOrder: stream.chance(0.5)) }
  }

  // MARK: What is heard

  private func listen(_ socket: CallSocket) async {
    do {
      while !socket.hasEnded { hear(try await socket.client.receive(), on: socket) }
    } catch {
      // The socket has ended.
    }
    socket.hasEnded = true
    await socket.client.abandon()
  }

  private func hear(_ event: SocketIOClient.Event, on socket: CallSocket) {
    switch event {
    case .connected(let namespace, _):
      socket.namespaces.append(namespace)
    case .disconnected(let namespace):
      socket.namespaces.removeAll { $0 == namespace }
    case .refused(_, RudeStep.refusal): break
    case .refused(_, let message):
      if message == "no such session" { caller.known.lose(socket.session, named: ValueKind.session) }
    case .event(_, _, let payload):
      for argument in payload.arguments { caller.known.learn(argument, named: "") }
    case .acknowledged(let namespace, let id, let payload):
      let answer = payload.arguments.first ?? .null
      caller.known.learn(answer, named: "")
      guard let record = socket.waiting.removeValue(forKey: "\(namespace) \(id)") else { return }
      caller.history.emits[record].answer = answer
      caller.history.end(&caller.history.emits[record].interval)
    }
  }
}
