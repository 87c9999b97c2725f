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
  var waiting: [String: (record: Int, log: Int)] = [:]
  /// The index of each namespace in the log of all clients.
  var logs: [String: Int] = [:]

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
        note(socket, namespace)
        try await socket.client.join(namespace, auth: authentication(socket.session))
      case 3:
        let (step, namespace) = (stream.pick(RudeStep.onOneSocket), stream.pick(caller.namespaces))
        note(socket, namespace)
        for (name, data) in step.events(namespace) {
          _ = caller.user.log.begin(socket.logs[namespace]!, name, data, isMalformed: true)
        }
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

  /// Whether it has sockets that have not ended.
  var areOpen: Bool { !sockets.allSatisfy(\.hasEnded) }

  private func authentication(_ session: JSONValue) -> JSONValue { ["sessionID": session] }

  /// Notes that a socket asks for a namespace, unless it is in it.
  private func note(_ socket: CallSocket, _ namespace: String) {
    guard socket.logs[namespace] == nil else { return }
    socket.logs[namespace] = caller.user.log.open(
      caller.user.name, namespace: namespace, session: socket.session.string ?? socket.session.text)
  }

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
    note(socket, namespace)
    do { try await client.connect(namespace: namespace, auth: authentication(session)) } catch {
      end(logs: socket)
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
    // A CONNECT may be under way although an earlier one was refused.
    note(socket, event.row.channel)
    let log = caller.user.log.begin(
      socket.logs[event.row.channel]!, event.row.name, data, isMalformed: !event.row.data.fits(data),
      isSilent: !isAcknowledged)
    let history = caller.history
    var record: Int?
    if isAcknowledged {
      history.emits.append(
        CallerEvent(
          person: caller.user.name, event: event.row, data: data, session: socket.session, interval: history.begin()))
      record = history.emits.count - 1
    }
    let (confined, channel, number) = (Confined(socket), event.row.channel, record)
    try await socket.client.emit(
      event.row.name, SocketPayload([data]), namespace: channel, acknowledged: isAcknowledged
    ) { id in if let number { confined.value.waiting["\(channel) \(id)"] = (number, log) } }
  }

  private func end(_ socket: CallSocket, inOrder: Bool) async throws {
    socket.hasEnded = true
    end(logs: socket)
    sockets.removeAll(where: \.hasEnded)
    if inOrder { await socket.client.close() } else { await socket.client.abandon() }
  }

  private func end(logs socket: CallSocket) {
    for namespace in socket.logs.keys.sorted() { caller.user.log.ended(socket.logs[namespace]!) }
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
    end(logs: socket)
    await socket.client.abandon()
  }

  private func hear(_ event: SocketIOClient.Event, on socket: CallSocket) {
    let log = caller.user.log
    switch event {
    case .connected(let namespace, _, _):
      socket.namespaces.append(namespace)
      note(socket, namespace)
      log.connected(socket.logs[namespace]!)
    case .disconnected(let namespace):
      socket.namespaces.removeAll { $0 == namespace }
      if let index = socket.logs.removeValue(forKey: namespace) { log.ended(index) }
    case .refused(_, RudeStep.refusal): break
    case .refused(let namespace, let message):
      if let index = socket.logs.removeValue(forKey: namespace) { log.refused(index, message) }
      if message == "no such session" { caller.known.lose(socket.session, named: ValueKind.session) }
    case .event(let namespace, let name, let payload):
      if let index = socket.logs[namespace] { log.received(index, name, payload.arguments.first ?? .null) }
      for argument in payload.arguments { caller.known.learn(argument, named: "") }
    case .acknowledged(let namespace, let id, let payload):
      let answer = payload.arguments.first ?? .null
      caller.known.learn(answer, named: "")
      guard let (record, index) = socket.waiting.removeValue(forKey: "\(namespace) \(id)") else { return }
      log.end(index, acknowledgement: answer)
      caller.history.emits[record].answer = answer
      caller.history.end(&caller.history.emits[record].interval)
    }
  }
}
