import Environment

/// How the Chat Service is set up.
public struct ChatServiceOptions: Sendable {
  /// Where it listens.
  public var address = SocketAddress(host: "127.0.0.1", port: 5000)
  /// Where the User Service is.
  public var users = SocketAddress(host: "127.0.0.1", port: 8001)
  /// How the HTTP server behaves.
  public var server = HTTPServerOptions()
  /// How Engine.IO behaves.
  public var sockets = EngineIOOptions()
  /// What the database promises.
  public var database = DatabaseOptions()
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}
