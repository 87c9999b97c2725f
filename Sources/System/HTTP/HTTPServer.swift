import Environment

/// How a server serves.
public struct HTTPServerOptions: Sendable {
  /// Sizes of messages.
  public var limits = HTTPLimits()
  /// Time for the head of a request, from its first byte; then 408.
  public var headTimeout: Duration = .seconds(10)
  /// Time for the body of a request, from the end of its head; then 408.
  public var bodyTimeout: Duration = .seconds(60)
  /// Time that a connection may be idle between requests; then it is closed.
  public var idleTimeout: Duration = .seconds(60)
  /// Time for a client to take an answer; then it is cut off.
  public var writeTimeout: Duration = .seconds(60)
  /// Time for requests in flight when the server drains.
  public var drainTimeout: Duration = .seconds(10)
  /// Connections at once; further ones get 503.
  public var maximumConnections = 20_000
  /// Connections that wait to be accepted.
  public var backlog = 1024
  /// Which pages may call.
  public var cors = CORSPolicy()
  /// The token that other services show, when there is one.
  public var serviceToken: String?
  /// The proxies that may say whose request they pass on.
  public var trustedProxies = TrustedProxies()

  /// The contract's limits.
  public init() {}
}

/// An HTTP/1.1 server over the environment's network: the same code in both worlds.
///
/// Each connection is one task; all of them run on the server's executor, so what they share needs no lock.
public actor HTTPServer {
  final class Client {
    let connection: any Connection
    /// Whether a request is being read or answered.
    var isBusy = false
    /// What is held of its requests.
    var requests = ConnectionMemory.Charge()
    /// What is held of answers that it does not read.
    var answers = ConnectionMemory.Charge()

    init(_ connection: any Connection) { self.connection = connection }
  }

  let environment: Environment
  let responder: Responder
  let options: HTTPServerOptions
  private let requestMemory: ConnectionMemory
  private let answerMemory: ConnectionMemory
  private let listener: any Listener
  private let serialExecutor: ActorExecutor
  private var clients: [Int: Client] = [:]
  private var nextClient = 0
  private var isDraining = false
  /// Opened when a client ends.
  private let clientsChanged: Gate

  /// The executor that the environment gave to this actor.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// Where it listens.
  public nonisolated let address: SocketAddress

  /// Makes a server that serves the connections of `listener` once it is started.
  public init(
    _ environment: Environment, _ listener: any Listener, service: ServiceDescription, routes: [Route],
    metrics: Metrics, options: HTTPServerOptions
  ) {
    self.environment = environment
    self.options = options
    self.listener = listener
    address = listener.address
    serialExecutor = environment.executor.forActor("http-server")
    requestMemory = ConnectionMemory(environment.memory.strangers, proxies: options.trustedProxies)
    answerMemory = ConnectionMemory(environment.memory.members, proxies: options.trustedProxies)
    clientsChanged = Gate(environment)
    responder = Responder(environment, service: service, routes: routes, metrics: metrics, options: options)
  }

  /// The routes that it serves, in the order of the table.
  nonisolated var routes: [Route] { responder.routes }

  /// Begins to accept connections.
  public nonisolated func start() { environment.executor.spawn("accept") { await self.acceptAll() } }

  /// Stops accepting, closes idle connections, waits for the requests in flight, then cuts off what is left.
  public func drain() async {
    guard !isDraining else { return }
    isDraining = true
    listener.close()
    for id in clients.keys.sorted() where clients[id]?.isBusy == false { clients[id]?.connection.close() }
    let deadline = environment.clock.now + options.drainTimeout
    while !clients.isEmpty, await clientsChanged.wait(until: deadline) {}
    if !clients.isEmpty { environment.log.warning("drain-cut-off", ["connections": .int(Int64(clients.count))]) }
    for id in clients.keys.sorted() { clients[id]?.connection.reset() }
  }

  // MARK: Accepting

  private func acceptAll() async {
    while !isDraining {
      do {
        let connection = try await listener.accept()
        if clients.count < options.maximumConnections { admit(connection) } else { await turnAway(connection) }
      } catch NetworkError.exhausted(let what) {
        environment.log.error("accept-failed", ["error": .string(what)])
        do { try await environment.clock.sleep(for: .milliseconds(100)) } catch { return }
      } catch {
        if !(error is NodeDown), !isDraining { environment.log.error("accept-stopped", ["error": .string("\(error)")]) }
        return
      }
    }
  }

  private func admit(_ connection: any Connection) {
    nextClient += 1
    let id = nextClient
    clients[id] = Client(connection)
    responder.metrics.connectionOpened()
    environment.executor.spawn("connection") { await self.serve(id) }
  }

  private func turnAway(_ connection: any Connection) async {
    environment.log.warning("too-many-connections", ["limit": .int(Int64(options.maximumConnections))])
    var output: [UInt8] = []
    responder.writeFailure(HTTPFailure(503, "too many connections"), to: &output)
    // The client may be gone already, which is what is wanted.
    try? await connection.write(output, deadline: environment.clock.now + .milliseconds(100))
    connection.close()
  }

  // MARK: One connection

  private func serve(_ id: Int) async {
    guard let client = clients[id] else { return }
    let connection = client.connection
    do {
      if let rest = try await exchange(client) {
        // It may go on for hours, so it gets a task of its own: this one's stack is as deep as its deepest answer was.
        environment.executor.spawn("upgraded") { await self.run(rest, id) }
        return
      }
    } catch let failure as HTTPFailure {
      await refuse(connection, failure)
    } catch let error as HTTPError {
      await refuse(connection, HTTPFailure(error.status, error.reason))
    } catch NetworkError.timedOut where client.isBusy {
      await refuse(connection, HTTPFailure(408, "the request took too long to arrive"))
    } catch {
      // The client went away, or was idle for too long: nobody is left to be told.
    }
    end(id)
  }

  private func run(_ rest: @Sendable () async throws -> Void, _ id: Int) async {
    // The client went away: nobody is left to be told.
    try? await rest()
    end(id)
  }

  private func end(_ id: Int) {
    guard let client = clients.removeValue(forKey: id) else { return }
    requestMemory.release(for: client.connection.peer.host, &client.requests)
    answerMemory.release(for: client.connection.peer.host, &client.answers)
    client.connection.close()
    responder.metrics.connectionClosed()
    clientsChanged.open()
  }

  private func refuse(_ connection: any Connection, _ failure: HTTPFailure) async {
    var output: [UInt8] = []
    responder.writeFailure(failure, to: &output)
    responder.metrics.answered(route: nil, status: failure.status, in: .zero)
    environment.log.info(
      "request-refused", ["status": .int(Int64(failure.status)), "reason": .string(failure.message)])
    // As above: a client that sent nonsense may not wait for what we think of it.
    try? await connection.write(output, deadline: environment.clock.now + .seconds(1))
    connection.shutdownWrite()
    await linger(connection)
  }

  /// Reads what still comes for a moment, so that a reset does not overtake the answer (RFC 9112 §9.6).
  private func linger(_ connection: any Connection) async {
    let deadline = environment.clock.now + .milliseconds(500)
    var left = 64
    while left > 0, let bytes = try? await connection.read(atMost: 65_536, deadline: deadline), !bytes.isEmpty {
      left -= 1
    }
  }

  /// What the server waits for, and until when.
  private enum Phase {
    case idle(until: Instant)
    case head(until: Instant)
    case body(until: Instant)

    var deadline: Instant {
      switch self {
      case .idle(let limit), .head(let limit), .body(let limit): limit
      }
    }
  }

  /// Answers requests until the connection ends, or until it is something else: that is returned.
  private func exchange(_ client: Client) async throws -> (@Sendable () async throws -> Void)? {
    let connection = client.connection
    let clock = environment.clock
    var parser = HTTPRequestParser(limits: options.limits)
    var output: [UInt8] = []
    var phase = Phase.head(until: clock.now + options.headTimeout)
    while true {
      switch try parser.next() {
      case .expectsContinue?:
        output.append(contentsOf: "HTTP/1.1 100 Continue\r\n\r\n".utf8)
      case .request(let request)?:
        let keepsAlive = request.keepsAlive && !isDraining
        if request.body.count > client.requests.bytes { try hold(request.body.count, for: client) }
        let sequel = await responder.answer(request, on: connection, keepsAlive: keepsAlive, to: &output)
        phase = .idle(until: clock.now + options.idleTimeout)
        if case .nextRequest(let read) = sequel {
          parser.receive(read)
          if keepsAlive, !isDraining, output.count < 65_536 { continue }
        }
        try await send(output, to: client)
        output = []
        switch sequel {
        case .nextRequest: break
        case .stream(let produce):
          let writer = StreamWriter(connection: connection, clock: clock, patience: options.writeTimeout)
          return { try await produce(writer) }
        case .upgrade(let handle):
          let rest = parser.takeRest()
          requestMemory.release(for: connection.peer.host, &client.requests)
          return { try await handle(connection, rest) }
        }
        if !keepsAlive || isDraining { return nil }
      case nil:
        if !output.isEmpty {
          try await send(output, to: client)
          output = []
        }
        phase = next(phase, parser)
        client.isBusy = parser.isInsideRequest
        if isDraining, !parser.isInsideRequest { return nil }
        try hold(parser.heldBytes, for: client)
        let bytes = try await connection.read(atMost: 65_536, deadline: phase.deadline)
        client.isBusy = true
        if bytes.isEmpty {
          if parser.isInsideRequest { throw HTTPError.cutOff }
          return nil
        }
        parser.receive(bytes)
      }
    }
  }

  /// Charges what is held of a client's requests.
  private func hold(_ bytes: Int, for client: Client) throws(HTTPFailure) {
    guard bytes > ConnectionMemory.allowance || client.requests.bytes > 0 else { return }
    if !requestMemory.hold(bytes, for: client.connection.peer.host, &client.requests) {
      throw HTTPFailure(503, "too many large requests at once", fields: [("retry-after", "1")])
    }
  }

  /// Sends an answer. What the client does not take at once is charged until it does.
  private func send(_ output: [UInt8], to client: Client) async throws {
    let connection = client.connection
    let taken = try connection.writeNow(output[...])
    if taken == output.count { return }
    let rest = Array(output[taken...])
    guard answerMemory.hold(rest.count, for: connection.peer.host, &client.answers) else {
      environment.log.warning("answer-dropped", ["reason": "too many large answers are not read"])
      throw NetworkError.exhausted("answers that are not read")
    }
    defer { answerMemory.release(for: connection.peer.host, &client.answers) }
    try await connection.write(rest, deadline: environment.clock.now + options.writeTimeout)
  }

  /// Each phase of a request has a time of its own, which begins with its first byte.
  private func next(_ phase: Phase, _ parser: HTTPRequestParser) -> Phase {
    switch phase {
    case .body: return phase
    case .head where !parser.isInsideBody: return phase
    case .idle where !parser.isInsideRequest: return phase
    default:
      let now = environment.clock.now
      return parser.isInsideBody ? .body(until: now + options.bodyTimeout) : .head(until: now + options.headTimeout)
    }
  }
}
