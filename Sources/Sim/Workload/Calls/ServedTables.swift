import Environment
import Simulation
import System

/// A route of a service, with the kinds of values that a caller has to know before it calls it, and
/// those that its answers hold.
struct CallRow {
  /// The node of the service.
  let service: String
  let address: SocketAddress
  let route: Route
  /// The fields of its input; nil for a route without input.
  let fields: [Schema.Field]?
  let needs: [String]
  let gives: [String]
  /// The statuses that the service documents for the route.
  let statuses: Set<Int>
  /// The shape of the body of an error.
  let errorShape: Schema
  /// Whether the route answers with a list of things that have a place in an order and stay.
  let isGrowing: Bool

  init(_ service: String, _ address: SocketAddress, _ route: Route, errors: Schema) {
    errorShape = errors
    self.service = service
    self.address = address
    self.route = route
    statuses = Set(route.allResponses.map(\.status))
    isGrowing = route.method == "GET" && route.responses.contains { $0.schema.map(Self.hasPlaces) ?? false }
    if case .object(let fields)? = route.body { self.fields = fields } else { fields = route.arguments }
    var needs = (fields ?? []).filter(\.isRequired).flatMap { ValueKind.all(of: $0.name) }.filter(ValueKind.isAssigned)
    if case .user = route.access { needs.append(ValueKind.accessToken) }
    self.needs = needs
    gives = route.responses.filter { $0.status < 300 }.flatMap { $0.schema.map(ValueKind.all(in:)) ?? [] }
  }

  private static func hasPlaces(_ schema: Schema) -> Bool {
    guard case .array(.object(let fields), _) = schema else { return false }
    return fields.contains { $0.name == "seq" }
  }

  /// The shape of the input; nil for a route without input.
  var shape: Schema? { route.body ?? route.arguments.map { .object($0) } }

  /// The method and the path.
  var name: String { "\(route.method) \(route.path)" }

  /// How often the route is called, relative to others. Routes without input show less, and what a
  /// DELETE or an operator ends others need.
  var weight: Int { fields == nil || route.method == "DELETE" || isForOperators ? 1 : 4 }

  /// Whether only an operator may call the route.
  private var isForOperators: Bool { if case .operators = route.access { true } else { false } }

  /// Whether only a service or an operator may call the route.
  var isForServices: Bool { route.access.excludesPages }

  /// Whether an answer does not end.
  var isStream: Bool { route.responses.contains { $0.contentType == "text/event-stream" } }
}

/// An event or a queue message that a client may send.
struct MessageCall {
  let service: String
  let row: MessageRow
  /// The exchange of the queue; nil for an event.
  let exchange: String?
}

/// The tables of the services of a run, as the services serve them.
///
/// A service has a table once it has started. It keeps it when it is down.
final class ServedTables {
  private let nodes: [SimNode]
  private var isKnown: [Bool]
  private(set) var routes: [CallRow] = []
  /// The events that clients may send.
  private(set) var events: [MessageCall] = []
  /// The events that services may send to clients.
  private(set) var emitted: [MessageRow] = []
  /// The messages of all queues.
  private(set) var messages: [MessageCall] = []

  /// The tables of the services that run on `nodes`.
  init(of nodes: [SimNode]) {
    self.nodes = nodes
    isKnown = nodes.map { _ in false }
  }

  /// Reads the tables of services that have started. Returns whether all services have.
  func read() -> Bool {
    for (index, node) in nodes.enumerated() where !isKnown[index] {
      guard let service = node.service else { continue }
      isKnown[index] = true
      if let service = service as? any TabledService { add(service, node.name) }
    }
    return isKnown.allSatisfy(\.self)
  }

  private func add(_ service: any TabledService, _ name: String) {
    let address = SocketAddress(host: name, port: service.address.port)
    routes += service.routes.map { CallRow(name, address, $0, errors: service.errorSchema) }
    for table in service.messages {
      switch table.transport {
      case .socketIO:
        emitted += table.rows.filter { $0.direction == .send }
        events += table.rows.filter { $0.direction == .receive }.map {
          MessageCall(service: name, row: $0, exchange: nil)
        }
      case .queues(let exchanges):
        // Two services know each queue, one from each end.
        for row in table.rows
        where !messages.contains(where: { $0.row.channel == row.channel && $0.row.name == row.name }) {
          messages.append(MessageCall(service: name, row: row, exchange: exchanges[row.channel]))
        }
      }
    }
  }
}

extension Access {
  /// Whether a request shows a token.
  var hasToken: Bool { if case .anyone = self { false } else { true } }
}
