import Environment

/// The actor behind the routes of an HTTP server.
///
/// The routes hold the backend and the server holds the routes. The backend does not hold the
/// server, so both are freed when the last connection ends, after a drain as after a crash.
public protocol HTTPBackend: Sendable {
  /// Drains `server`, then closes the backend's own resources.
  func drain(_ server: HTTPServer) async
}

/// A service that shows the tables that it serves.
package protocol TabledService: Service {
  /// The address of the server.
  var address: SocketAddress { get }
  /// The routes, in the order of the table.
  var routes: [Route] { get }
  /// The shape of the body of an error.
  var errorSchema: Schema { get }
  /// The events and queue messages.
  var messages: [MessageTable] { get }
}

/// A running service: a backend and the HTTP server in front of it.
///
/// A service starts in four steps: it listens, builds the backend, builds the routes that call the
/// backend, and starts a server that serves them.
///
/// ```swift
/// let listener = try environment.network.listen(options.address, backlog: options.server.backlog, for: .http)
/// let greeter = Greeter(environment)
/// let server = HTTPServer(
///   environment, listener, service: description, routes: GreeterRoutes.table(greeter), metrics: metrics,
///   options: options.server)
/// return HTTPService("greeter", greeter, server)
/// ```
public struct HTTPService<Backend: HTTPBackend>: Service, TabledService {
  let backend: Backend
  let server: HTTPServer
  /// The address of the server, under the service's name.
  public let addresses: [(name: String, address: SocketAddress)]

  /// Starts `server`. Connections are accepted from now on.
  init(_ name: String, _ backend: Backend, _ server: HTTPServer) {
    self.backend = backend
    self.server = server
    addresses = [(name, server.address)]
    server.start()
  }

  package var address: SocketAddress { server.address }
  package var routes: [Route] { server.routes }
  package var errorSchema: Schema { server.errorSchema }
  package var messages: [MessageTable] { server.messages }

  /// Stops accepting, answers the requests in flight, and closes the backend.
  public func drain() async { await backend.drain(server) }
}
