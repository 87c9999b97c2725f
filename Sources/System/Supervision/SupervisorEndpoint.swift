import Environment

/// A host of supervisors with an HTTP server for its health and metrics.
public struct SupervisorEndpoint: Service {
  private let host: SupervisorHost
  private let server: HTTPServer

  /// The address of the server, under the name `supervisor`.
  public var addresses: [(name: String, address: SocketAddress)] { [("supervisor", server.address)] }

  private static let description = ServiceDescription(
    name: "supervisor", title: "Supervisor Host", version: Release.version,
    errorSchema: .object([.init("error", .string())])
  ) { ["error": .string($0)] }

  /// Starts a host, and a server at `address`.
  /// - Throws: `NetworkError`: an operator has to act.
  public static func start(
    _ environment: Environment, _ options: SupervisorHostOptions, http address: SocketAddress,
    _ server: HTTPServerOptions
  ) async throws -> SupervisorEndpoint {
    let metrics = Metrics(service: description.name)
    let listener = try environment.network.listen(address, backlog: server.backlog, for: .http)
    let host = try await SupervisorHost.start(environment, options)
    let health = CommonRoutes.health(Route.Response(503, "The broker does not answer")) {
      if let fault = await host.brokerFault() { throw HTTPFailure(503, fault) }
      return "the supervisor host is healthy"
    }
    let routes = CommonRoutes.adding(to: [health], service: description, metrics: metrics) {
      await [
        MetricFamily(
          "parley_host_sessions", .gauge, "Sessions whose supervisors run here.", Double(host.sessions.count))
      ] + server.processMetrics()
    }
    let http = HTTPServer(
      environment, listener, service: description, routes: routes, metrics: metrics, options: server)
    http.start()
    return SupervisorEndpoint(host: host, server: http)
  }

  /// Stops both.
  public func drain() async {
    await server.drain()
    await host.drain()
  }
}
