import Environment

/// A broker with an HTTP server for its health and metrics.
public struct BrokerEndpoint: Service {
  private let broker: Broker
  private let server: HTTPServer

  /// The address for AMQP, and that for HTTP under the name `broker`.
  public var addresses: [(name: String, address: SocketAddress)] { broker.addresses + [("broker", server.address)] }

  private static let description = ServiceDescription(
    name: "broker", title: "Message Broker", version: Release.version,
    errorSchema: .object([.init("error", .string())])
  ) { ["error": .string($0)] }

  /// Starts a broker, and a server at `address`.
  /// - Throws: `DatabaseError`, `NetworkError`: an operator has to act.
  public static func start(
    _ environment: Environment, _ options: BrokerOptions, http address: SocketAddress, _ server: HTTPServerOptions
  ) async throws -> BrokerEndpoint {
    let metrics = Metrics(service: description.name)
    var options = options
    options.observer = metrics.databaseObserver
    let listener = try environment.network.listen(address, backlog: server.backlog, for: .http)
    let broker = try await Broker.start(environment, options)
    let health = CommonRoutes.health(Route.Response(503, "The broker's database is not available")) {
      guard await broker.database.checkHealth() else {
        throw HTTPFailure(503, "the broker's database is not available")
      }
      return "the broker is healthy"
    }
    let routes = CommonRoutes.adding(to: [health], service: description, metrics: metrics) {
      await broker.metrics() + server.processMetrics()
    }
    let http = HTTPServer(
      environment, listener, service: description, routes: routes, metrics: metrics, options: server)
    http.start()
    return BrokerEndpoint(broker: broker, server: http)
  }

  /// Stops both.
  public func drain() async {
    await server.drain()
    await broker.drain()
  }
}
