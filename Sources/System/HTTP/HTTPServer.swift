import Environment

/// The options of an HTTP server.
public struct HTTPServerOptions: Sendable {
  /// Limits of message sizes.
  public var limits = HTTPLimits()
  /// Maximum time between the first byte and the end of a request's head. Later: 408.
  public var headTimeout: Duration = .seconds(10)
  /// Maximum time between the end of a request's head and the end of its body. Later: 408.
  public var bodyTimeout: Duration = .seconds(60)
  /// Maximum time between requests. Later the connection is closed.
  public var idleTimeout: Duration = .seconds(60)
  /// Maximum time for a client to take an answer. Later the connection is reset.
  public var writeTimeout: Duration = .seconds(60)
  /// Maximum time for requests in flight when the server drains.
  public var drainTimeout: Duration = .seconds(10)
  /// Maximum number of connections. Further ones get 503.
  public var maximumConnections = 20_000
  /// Maximum number of connections that wait to be accepted.
  public var backlog = 1024
  /// The web pages that may call the service.
  public var cors = CORSPolicy()
  /// The token that other services show. Nil accepts services on loopback only.
  public var serviceToken: String?
  /// A token that operators may show in place of the service token.
  public var operatorToken: String?
  /// Reads the metrics of the process, which each of its services shows.
  public var processMetrics: @Sendable () -> [MetricFamily] = { [] }
  /// The proxies that are trusted to name the client of a request.
  public var trustedProxies = TrustedProxies()

  /// Makes the defaults of the contract.
  public init() {}
}

/// An HTTP/1.1 server over the environment's network.
///
/// Each connection is one task. All tasks run on the server's executor, so the shared state needs
/// no lock.
public actor HTTPServer {
  final class Client {
    let connection: any Connection
    /// Whether a request is being read or answered.
    var isBusy = false
    /// Memory of the client's requests.
    var requests = Holding()
    /// Memory of answers that the client has not read.
    var answers = Holding()

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

  /// The executor of the environment.
  public nonisolated var unownedExecutor: UnownedSerialExecutor { serialExecutor.unowned }
  /// The address of the listener.
  public nonisolated let address: SocketAddress

  /// Makes a server for the connections of `listener`. Call `start` to accept them.
  public init(
    _ environment: Environment, _ listener: any Listener, service: ServiceDescription, routes: [Route],
    metrics: Metrics, options: HTTPServerOptions
  ) {
    self.environment = environment
    self.options = options
    self.listener = listener
    address = listener.address
    if let secure = listener as? SecureListener { metrics.observe(secure) }
    serialExecutor = environment.executor.forActor("http-server")
    requestMemory = ConnectionMemory(environment.memory.strangers, proxies: options.trustedProxies)
    answerMemory = ConnectionMemory(environment.memory.members, proxies: options.trustedProxies)
    clientsChanged = Gate()
    responder = Responder(environment, service: service, routes: routes, metrics: metrics, options: options)
  }

  /// The routes, in the order of the table.
  nonisolated var routes: [Route] { responder.routes }
  /// The shape of the body of an error.
  nonisolated var errorSchema: Schema { responder.errorSchema }
  /// The events and queue messages of the service.
  nonisolated var messages: [MessageTable] { responder.messages }

  /// Starts to accept connections.
  public nonisolated func start() { environment.executor.spawn("accept") { await self.acceptAll() } }

  /// Stops accepting, closes idle connections, waits for the requests in flight, and resets the
  /// remaining connections.
  public func drain() async {
    guard !isDraining else { return }
    isDraining = true
    listener.close()
    for id in clients.keys.sorted() where clients[id]?.isBusy == false { clients[id]?.connection.close() }
    let deadline = environment.clock.now + options.drainTimeout
    while !clients.isEmpty, await clientsChanged.wait(until: deadline, in: environment) {}
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
    // A client that is gone already needs no answer.
    try? await connection.write(output, deadline: environment.clock.now + .milliseconds(100))
    connection.close()
  }

  // MARK: One connection

  private func serve(_ id: Int) async {
    guard let client = clients[id] else { return }
    let connection = client.connection
    do {
      let scope = RequestTrace.Scope()
      // The closure would run on no actor if it did not use one.
      if let rest = try await RequestTrace.$scope.withValue(scope, operation: { try await exchange(client, scope) }) {
        // An upgraded connection may last for hours. Its own task has a small stack; this task's
        // stack is as large as its largest answer needed.
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
      // The client is gone or was idle for too long. No answer is needed.
    }
    end(id)
  }

  private func run(_ rest: @Sendable () async throws -> Void, _ id: Int) async {
    // The client is gone.
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
    // The client may not wait for this answer.
    try? await connection.write(output, deadline: environment.clock.now + .seconds(1))
    connection.shutdownWrite()
    await linger(connection)
  }

  /// Reads for a moment, so that a reset does not overtake the answer (RFC 9112 §9.6).
  private func linger(_ connection: any Connection) async {
    let deadline = environment.clock.now + .milliseconds(500)
    var left = 64
    while left > 0, let bytes = try? await connection.read(atMost: 65_536, deadline: deadline), !bytes.isEmpty {
      left -= 1
    }
  }

  /// The part of a request that the server waits for, and its deadline.
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

  /// Answers requests until the connection ends. Returns the handler of an upgraded connection or a
  /// stream.
  private func exchange(
    _ client: Client, _ scope: RequestTrace.Scope
  ) async throws -> (@Sendable () async throws -> Void)? {
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
        let sequel = await responder.answer(
          request, on: connection, keepsAlive: keepsAlive, in: scope, to: &output)
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

  /// Charges the memory of a client's requests.
  private func hold(_ bytes: Int, for client: Client) throws(HTTPFailure) {
    guard bytes > ConnectionMemory.allowance || client.requests.bytes > 0 else { return }
    if !requestMemory.hold(bytes, for: client.connection.peer.host, &client.requests) {
      throw HTTPFailure(503, "too many large requests at once", fields: [("retry-after", "1")])
    }
  }

  /// Sends an answer. The part that the client does not take at once is charged until it is
  /// written.
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

  /// Each phase of a request has its own time limit, which starts with the first byte of the phase.
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
