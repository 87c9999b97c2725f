import Environment
import Simulation
import System

/// What the parts of a caller share.
final class CallerState {
  let user: UserState
  let known: KnownValues
  let history: CallerHistory
  let grammar: CallGrammar
  /// Whether there are no other users. Among others a caller leaves alone what a client may take
  /// from them: the pool of users.
  let isAlone: Bool
  /// Whether the caller is trusted as a service is: it shows the service token, and speaks for any
  /// service over the queues.
  let isTrusted: Bool
  /// A stream of its own, so that the spelling of requests changes nothing else of a run.
  let spellings: ChoiceStream
  fileprivate let tables: ServedTables

  init(
    _ user: UserState, _ known: KnownValues, _ history: CallerHistory, _ tables: ServedTables, isAlone: Bool,
    spellings: ChoiceStream
  ) {
    self.spellings = spellings
    self.user = user
    self.known = known
    self.history = history
    self.tables = tables
    self.isAlone = isAlone
    isTrusted = isAlone && user.behavior.isTrusted
    grammar = CallGrammar(user.stream, known, name: user.name)
  }

  private func isOpen(_ service: String) -> Bool {
    isAlone || user.behavior.chatNodes.contains(service) || user.behavior.usersNodes.contains(service)
  }

  /// The routes that the caller calls.
  var routes: [CallRow] { tables.routes.filter { isOpen($0.service) } }
  /// The events that it emits.
  var events: [MessageCall] { tables.events.filter { namespaces.contains($0.row.channel) } }
  /// The queue messages that it publishes.
  var messages: [MessageCall] { isTrusted ? tables.messages : [] }

  /// The namespaces that it connects to. Among others it does not join the pool of users.
  var namespaces: [String] {
    var found: [String] = []
    for event in tables.events where !found.contains(event.row.channel) { found.append(event.row.channel) }
    return isAlone ? found : Array(found.prefix(1))
  }

  /// The address of a node of the service with events; nil if there is none.
  var socketAddress: SocketAddress? {
    var nodes: [String] = []
    for event in tables.events where !nodes.contains(event.service) { nodes.append(event.service) }
    guard let service = nodes.count > 1 ? user.stream.pick(nodes) : nodes.first else { return nil }
    return tables.routes.first { $0.service == service }?.address
  }
}

/// A user who calls everything that the services serve, from the tables that serve it, and mostly
/// in valid ways: it makes friends and groups, blocks, removes, leaves, talks, asks for sessions
/// and ends them, in any order.
final class Caller: SimulatedUser {
  let state: UserState
  private let caller: CallerState
  private var agenda: Agenda<ConnectionKind>

  init(_ caller: CallerState, agenda: Agenda<ConnectionKind>) {
    self.caller = caller
    self.agenda = agenda
    state = caller.user
  }

  func live(_ environment: Environment) async throws {
    let begin = environment.clock.now
    while !caller.tables.read() {
      state.lastSeen = "waits until every service has started once"
      try await environment.clock.sleep(for: .milliseconds(50))
    }
    let http = CallingHTTP(caller, environment)
    let sockets = CallingSockets(caller, environment)
    let queues = CallingQueues(caller, environment)
    let broker = CallingBroker(caller, environment)
    try await http.introduce()
    while let kind = try await agenda.next(since: begin, environment) {
      switch kind {
      case .http: try await http.step()
      case .sockets: try await sockets.step()
      case .queues: try await queues.step()
      case .amqp: try await broker.step()
      }
    }
    // So that the sockets are told of the last changes, and abandoned ones end.
    if sockets.areOpen { try await environment.clock.sleep(for: CallLog.news * 3) }
    try await sockets.close()
    http.close()
    await queues.close()
    broker.close(inOrder: true)
    try await goOn(environment)
    state.isServed = true
  }

  /// Asks each service for its health until it is well: whoever has called it can go on.
  private func goOn(_ environment: Environment) async throws {
    for row in caller.routes where row.route.path == "/health" {
      let client = HTTPClient(environment, address: row.address)
      var status: Int?
      while status != 200 {
        do {
          status = try await client.send("GET", row.route.path, timeout: state.behavior.patience).status
        } catch is NetworkError {} catch is HTTPError {}
        state.lastSeen = "\(row.service): GET /health: \(status ?? 0)"
        if status != 200 { try await environment.clock.sleep(for: .milliseconds(500)) }
      }
      client.close()
    }
  }
}
