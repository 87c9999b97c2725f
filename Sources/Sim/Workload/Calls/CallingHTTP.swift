import Environment
import Simulation
import System

/// The calls of a caller over HTTP: any route of any service, in any order, once, twice, at the
/// same time on two connections, pipelined, slowly, late, across a reconnect, or cut off after any
/// byte.
final class CallingHTTP {
  private enum Way { case once, twice, onTwoConnections, pipelined, slowly, again, late, cutOff }

  private static let ways: [(way: Way, weight: Int)] = [
    (.once, 20), (.twice, 2), (.onTwoConnections, 2), (.pipelined, 3), (.slowly, 1), (.again, 2), (.late, 2),
    (.cutOff, 1),
  ]
  /// Old requests that may be sent again.
  private static let mostKept = 8

  private let caller: CallerState
  private let environment: Environment
  private var connections: [CallConnection] = []
  private var kept: [CallRequest] = []

  init(_ caller: CallerState, _ environment: Environment) {
    self.caller = caller
    self.environment = environment
  }

  private var stream: ChoiceStream { caller.user.stream }
  private var known: KnownValues { caller.known }

  // MARK: What is called

  /// Calls each route that needs nothing, in the order of the tables: that registers an account and
  /// logs in. Later calls use the names of earlier ones.
  func introduce() async throws {
    var bound: CallGrammar.Bound = []
    for row in caller.routes where row.needs.isEmpty && !row.isForServices && !row.isStream {
      guard let fields = row.fields else { continue }
      let request = request(row, caller.grammar.object(fields, bound: bound, isFirst: true))
      guard let response = try await call(request), response.status < 300 else { continue }
      for member in request.arguments {
        for kind in ValueKind.all(of: member.name) where !bound.contains(where: { $0.kind == kind }) {
          bound.append((kind, member.value))
        }
      }
    }
  }

  /// Calls any route, in any way.
  func step() async throws {
    let routes = caller.routes
    let row = routes[stream.weighted(routes.map(\.weight))]
    try await prepare(row, depth: 2)
    try await send(drawn(row))
  }

  /// Calls routes whose answers hold what a route needs, if that is not known.
  private func prepare(_ row: CallRow, depth: Int) async throws {
    guard depth > 0, stream.chance(0.9) else { return }
    for kind in row.needs where !known.has(kind) {
      guard
        let source = stream.pickAny(of: caller.routes.filter { $0.gives.contains(kind) && !$0.needs.contains(kind) })
      else { continue }
      try await prepare(source, depth: depth - 1)
      _ = try await call(drawn(source))
    }
  }

  private func drawn(_ row: CallRow) -> CallRequest {
    var arguments = caller.grammar.object(row.fields ?? [])
    // A queue message over HTTP: the row of its type has the shape of its data.
    if let place = arguments.firstIndex(where: { $0.name == "DATA" }),
      let type = arguments.first(where: { $0.name == "TYPE" })?.value.string,
      case .object(let fields)? = caller.messages.first(where: { $0.row.name == type })?.row.data
    {
      arguments[place].value = .object(caller.grammar.object(fields))
    }
    return request(row, arguments)
  }

  private func request(_ row: CallRow, _ arguments: [JSONValue.Member]) -> CallRequest {
    var (token, proof): (JSONValue?, String?)
    switch row.route.access {
    case .anyone: break
    case .service, .operators: if caller.isTrusted { proof = Scenario.serviceToken }
    case .user:
      token = known.draw([ValueKind.accessToken], stream)
      proof = token?.string ?? "none"
    }
    let headers = caller.grammar.headers(row.route.parameters)
    return CallRequest(
      row, arguments, headers: headers, token: token, proof: proof,
      RequestSpelling(for: row.route, caller.spellings))
  }

  // MARK: How it is called

  private func send(_ request: CallRequest) async throws {
    caller.user.lastSeen = "calls \(request.what)"
    caller.user.tally.count(.calls)
    let way = request.row.isStream ? .cutOff : Self.ways[stream.weighted(Self.ways.map(\.weight))].way
    switch way {
    case .once: _ = try await call(request)
    case .twice:
      _ = try await call(request)
      _ = try await call(request)
    case .onTwoConnections:
      // Both are sent before the first answer is read.
      let other = try await opened(to: request.row)
      let record = begin(request)
      guard await write(request.bytes, other, [record]) else { return }
      _ = try await call(request)
      _ = try await read(request, record, other)
      other?.close()
    case .pipelined:
      let row = request.row
      let others = (0...stream.choose(2)).map { _ in
        drawn(stream.pick(caller.routes.filter { $0.service == row.service && !$0.isStream }))
      }
      try await pipeline([request] + others)
    case .slowly: _ = try await call(request, piece: stream.pick([1, 7, 40]))
    case .again:
      try await cutOff(request, after: request.bytes.count)
      _ = try await call(request)
    case .late: if let old = stream.pickAny(of: kept) { _ = try await call(old) }
    case .cutOff:
      try await cutOff(request, after: request.row.isStream ? request.bytes.count : stream.choose(request.bytes.count))
    }
    if !request.row.isStream { kept.append(request) }
    if kept.count > Self.mostKept { kept.removeFirst() }
  }

  /// Sends one request and reads its answer; nil if none comes.
  private func call(_ request: CallRequest, piece: Int? = nil) async throws -> HTTPResponse? {
    let connection = try await opened(to: request.row, isShared: true)
    let record = begin(request)
    guard await write(request.bytes, connection, [record], piece: piece) else { return nil }
    let response = try await read(request, record, connection)
    if response != nil { try await checkSurplus(connection) }
    return response
  }

  private func pipeline(_ requests: [CallRequest]) async throws {
    let connection = try await opened(to: requests[0].row, isShared: true)
    let records = requests.map(begin)
    guard await write(requests.flatMap(\.bytes), connection, records) else { return }
    for (request, record) in zip(requests, records) {
      guard try await read(request, record, connection) != nil else {
        // The others have no answer either.
        for record in records where caller.history.calls[record].interval.answered == .max {
          end(record, .connectionEnded)
        }
        return
      }
    }
    try await checkSurplus(connection)
  }

  /// Sends the first bytes of a request and hangs up.
  private func cutOff(_ request: CallRequest, after count: Int) async throws {
    guard let connection = try await opened(to: request.row) else { return }
    let record = begin(request)
    if await write(Array(request.bytes.prefix(count)), connection, [record]) {
      try await environment.clock.sleep(for: stream.duration(.zero...(.milliseconds(5))))
      end(record, .hungUp)
    }
    if stream.chance(0.5) { connection.close() } else { connection.reset() }
  }

  // MARK: Connections

  /// A new connection, or with `isShared` one that stays open; nil if none can be opened.
  private func opened(to row: CallRow, isShared: Bool = false) async throws -> CallConnection? {
    connections.removeAll(where: \.hasEnded)
    if isShared, let open = connections.first(where: { $0.service == row.service }) {
      if stream.chance(0.9) { return open }
      open.close()
      connections.removeAll(where: \.hasEnded)
    }
    do {
      let connection = try await CallConnection(to: row, environment)
      if isShared { connections.append(connection) }
      return connection
    } catch is NetworkError { return nil }
  }

  /// Closes all connections.
  func close() {
    for connection in connections { connection.close() }
    connections = []
  }

  // MARK: What is seen

  private func begin(_ request: CallRequest) -> Int {
    let (history, user) = (caller.history, caller.user)
    // The nodes of a service are one service.
    var service = request.row.service
    if user.behavior.usersNodes.contains(service) { service = Scenario.usersNode }
    if user.behavior.chatNodes.contains(service) { service = Scenario.chatNode }
    let log = user.log.begin(
      user.name, at: service, request.row.name, request.sent, token: request.proof, isMalformed: request.isMalformed)
    history.calls.append(
      CallerRequest(
        person: user.name, row: request.row, what: request.what, isMalformed: request.isMalformed,
        spelling: request.spelling, interval: history.begin(), log: log))
    return history.calls.count - 1
  }

  private func end(_ record: Int, _ ending: CallerRequest.Ending) {
    caller.history.calls[record].ending = ending
    if case .answered(let response) = ending { caller.user.log.end(caller.history.calls[record].log, response) }
    caller.history.end(&caller.history.calls[record].interval)
  }

  /// Writes requests; false if that failed.
  private func write(
    _ bytes: [UInt8], _ connection: CallConnection?, _ records: [Int], piece: Int? = nil
  ) async -> Bool {
    do {
      guard let connection else { throw NetworkError.closed }
      try await connection.write(bytes, piece: piece)
      return true
    } catch {
      // An answer may be on the way, as 408 or 413: the caller does not wait for it.
      connection?.reset()
      for record in records { end(record, .connectionEnded) }
      return false
    }
  }

  /// Reads the answer to a request; nil if none comes.
  /// - Throws: `NodeDown`, `CancellationError`.
  private func read(_ request: CallRequest, _ record: Int, _ connection: CallConnection?) async throws -> HTTPResponse?
  {
    guard let connection else { return nil }
    do {
      let response = try await connection.answer(until: environment.clock.now + caller.user.behavior.patience)
      end(record, .answered(response))
      learn(request, response)
      return response
    } catch NetworkError.timedOut {
      end(record, .unanswered)
    } catch is NetworkError {
      end(record, .connectionEnded)
    } catch let error as HTTPError {
      end(record, .garbled("\(error)"))
    }
    connection.reset()
    return nil
  }

  private func checkSurplus(_ connection: CallConnection?) async throws {
    guard let connection, stream.chance(0.2) else { return }
    do {
      let bytes = try await connection.surplus()
      if !bytes.isEmpty {
        caller.history.surplus.append(
          "\(connection.service) sends \(String(decoding: bytes.prefix(200), as: UTF8.self))")
        connection.reset()
      }
    } catch is NetworkError { connection.reset() }
  }

  private func learn(_ request: CallRequest, _ response: HTTPResponse) {
    switch response.status {
    case ..<300:
      known.learn(.object(request.arguments), named: "")
      if let body = try? JSONParser.parse(response.body) { known.learn(body, named: "") }
    case 401:
      if let token = request.token { known.lose(token, named: ValueKind.accessToken) }
      lose(request) { ValueKind.isPass($0) }
    case 404: lose(request) { !ValueKind.isPass($0) }
    default: break
    }
  }

  private func lose(_ request: CallRequest, where isLost: (String) -> Bool) {
    for member in request.arguments where ValueKind.all(of: member.name).contains(where: isLost) {
      known.lose(member.value, named: member.name)
    }
  }
}
