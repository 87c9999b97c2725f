import Environment

/// Turns a request into the bytes of its answer: routing, access, validation, errors, log and
/// metrics. Used on the server's executor only.
final class Responder: @unchecked Sendable {
  /// The use of the connection after the answer.
  enum Sequel {
    /// The next request. `read` is the part of it that arrived before the answer was ready.
    case nextRequest(read: [UInt8] = [])
    case stream(@Sendable (StreamWriter) async throws -> Void)
    case upgrade(@Sendable (any Connection, [UInt8]) async throws -> Void)
  }

  let metrics: Metrics
  private let environment: Environment
  private let service: ServiceDescription
  private let router: Router
  private let services: ServiceAccess
  private let options: HTTPServerOptions
  private let requestIDPrefix: [UInt8]
  private var requests: UInt64 = 0
  private var date: (second: Int64, text: [UInt8]) = (.min, [])

  init(
    _ environment: Environment, service: ServiceDescription, routes: [Route], metrics: Metrics,
    options: HTTPServerOptions
  ) {
    self.environment = environment
    self.service = service
    self.options = options
    self.metrics = metrics
    services = ServiceAccess(token: options.serviceToken, operatorToken: options.operatorToken)
    requestIDPrefix = Array(Hex.encode(environment.entropy.bytes(8)).utf8) + [UInt8(ascii: "-")]
    router = Router(routes)
    metrics.setRoutes(routes.map { "\($0.method) \($0.path)" })
  }

  var routes: [Route] { router.routes }
  var messages: [MessageTable] { service.messages }
  var errorSchema: Schema { service.errorSchema }

  /// Appends the answer to `output`, and returns the use of the connection after it. `scope` is
  /// that of the running task.
  func answer(
    _ request: HTTPRequest, on connection: any Connection, keepsAlive: Bool, in scope: RequestTrace.Scope,
    to output: inout [UInt8]
  ) async -> Sequel {
    let trace = trace(of: request)
    let client = options.trustedProxies.client(of: request.fields, from: connection.peer)
    let begin = environment.clock.now
    var index: Int?
    let reply: Reply
    do {
      switch try prepare(request, on: connection, client, route: &index) {
      case .reply(let ready): reply = ready
      case .handle(let handler, let call):
        scope.trace = trace
        defer { scope.trace = nil }
        reply = try await handler(call)
      }
    } catch {
      reply = .response(response(failure(error, request, trace)))
    }
    var sequel = Sequel.nextRequest()
    var framing = request.method == "HEAD" ? HTTPResponseFraming.headOnly : .whole
    var response: HTTPResponse
    switch reply {
    case .response(let whole): response = whole
    case .stream(let head, let producer):
      response = head
      if case .whole = framing {
        framing = .untilEnd
        sequel = .stream(producer)
      }
    case .waiting(let answer, let gone):
      let watch = ConnectionWatch(environment, connection, gone: gone)
      scope.trace = trace
      response = await answer()
      scope.trace = nil
      sequel = .nextRequest(read: await watch.stop())
    case .upgrade(let head, let handler):
      response = head
      sequel = .upgrade(handler)
    }
    if let origin = request.fields["origin"], !router.isForServices(request.path) {
      response.fields += options.cors.fields(for: origin)
    }
    let persistence: HTTPPersistence =
      switch sequel {
      case .stream: .closes
      case .upgrade: .persists
      case .nextRequest: !keepsAlive ? .closes : request.isVersion10 ? .persistsAsAsked : .persists
      }
    response.write(
      to: &output, framing: framing, persistence: persistence, date: currentDate(), requestID: trace.requestID)
    let took = environment.clock.now - begin
    metrics.answered(route: index, status: response.status, in: took)
    environment.log.write(
      index.map { router.routes[$0].isQuiet } ?? false ? .debug : .info, "request",
      [
        "method": .string(request.method),
        "path": .string(index == nil ? RequestLog.blanked(path: request.path) : request.path),
        "query": .string(request.query.map(RequestLog.blanked(query:)) ?? ""), "status": .int(Int64(response.status)),
        "microseconds": .int(took.nanoseconds / 1000), "client": .string("\(client)"),
      ], of: trace)
    return sequel
  }

  /// Appends the answer to bytes that are not a request.
  func writeFailure(_ failure: HTTPFailure, to output: inout [UInt8]) {
    response(failure).write(
      to: &output, framing: .whole, persistence: .closes, date: currentDate(), requestID: nextRequestID())
  }

  // MARK: The answer

  /// The result of routing and validation, which do not wait.
  private enum Prepared {
    case reply(Reply)
    case handle(Route.Handler, Call)
  }

  private func prepare(
    _ request: HTTPRequest, on connection: any Connection, _ client: SocketAddress, route index: inout Int?
  ) throws -> Prepared {
    if request.method == "OPTIONS" { return .reply(preflight(request)) }
    switch router.match(request.method, request.path) {
    case .notFound: throw HTTPFailure(404, "no such path: \(request.path)")
    case .methodNotAllowed(let allow):
      throw HTTPFailure(405, "method not allowed: \(request.method)", fields: [("allow", allow)])
    case .found(let entry):
      index = entry.index
      return .handle(
        entry.route.handler,
        try call(
          entry, Call(request: request, peer: connection.peer, client: client),
          on: connection))
    }
  }

  private func call(_ entry: Router.Entry, _ call: consuming Call, on connection: any Connection) throws -> Call {
    let request = call.request
    switch entry.route.access {
    case .anyone: break
    case .user(let authenticate): call.principal = try authenticate(call)
    case .service:
      try services.check(
        request, bearer: call.bearerToken, peer: call.peer, isAuthenticated: connection.isAuthenticated,
        isSecure: connection.isSecure)
    case .operators:
      try services.checkOperator(bearer: call.bearerToken, isAuthenticated: connection.isAuthenticated)
    }
    try RequestBody.checkFields(request, entry.route.parameters)
    if let schema = entry.route.body {
      call.body = try RequestBody.value(request, schema, takesPropertyLists: entry.route.takesPropertyLists)
    }
    if let fields = entry.route.arguments { call.body = try RequestBody.arguments(request, fields) }
    return call
  }

  private func preflight(_ request: HTTPRequest) -> Reply {
    guard let allow = router.allow(request.path) else {
      return .response(response(HTTPFailure(404, "no such path: \(request.path)")))
    }
    var fields: [(name: String, value: String)] = [("allow", allow)]
    if let origin = request.fields["origin"], request.fields["access-control-request-method"] != nil,
      !router.isForServices(request.path)
    {
      // `answer` adds the common fields to every response.
      let common = options.cors.fields(for: origin).map(\.name)
      fields += options.cors.preflightFields(
        for: origin, allow: allow, headers: request.fields["access-control-request-headers"]
      ).filter { !common.contains($0.name) }
    }
    return .response(HTTPResponse(status: 204, fields: fields))
  }

  private func failure(_ error: any Error, _ request: HTTPRequest, _ trace: RequestTrace) -> HTTPFailure {
    switch error {
    case let failure as HTTPFailure: return failure
    case let refusal as any HTTPRefusal: return refusal.failure
    case let error as DatabaseError where error.isUnavailable: return HTTPFailure(503, "the database is not available")
    case is NodeDown, is CancellationError: return HTTPFailure(503, "the service is stopping")
    default:
      environment.log.write(
        .error, "request-failed", ["error": .string("\(error)"), "path": .string(request.path)], of: trace)
      return HTTPFailure(500, "internal error")
    }
  }

  private func response(_ failure: HTTPFailure) -> HTTPResponse {
    HTTPResponse(
      status: failure.status, fields: [("content-type", "application/json")] + failure.fields,
      body: service.errorBody(failure.message).bytes)
  }

  // MARK: Fields of every answer

  private func trace(of request: HTTPRequest) -> RequestTrace {
    let parents = request.fields.all("traceparent")
    let context = TraceContext(
      parents: parents, states: parents.isEmpty ? [] : request.fields.all("tracestate"),
      requestID: request.fields["x-request-id"])
    return context.trace(from: environment.identifiers, requestID: nextRequestID())
  }

  /// A random prefix of this server and a counter: unique without entropy for each request.
  private func nextRequestID() -> String {
    requests += 1
    var id = requestIDPrefix
    let digits = max(1, (67 - requests.leadingZeroBitCount) / 4)
    for digit in (0..<digits).reversed() { id.append(Hex.digit(UInt8(requests >> UInt64(4 * digit) & 15))) }
    return String(decoding: id, as: UTF8.self)
  }

  private func currentDate() -> [UInt8] {
    let now = environment.clock.wallTime
    if now.seconds != date.second { date = (now.seconds, now.httpDate) }
    return date.text
  }
}
