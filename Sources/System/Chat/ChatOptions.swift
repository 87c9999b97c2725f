import Environment

/// The settings of the Chat Service.
public struct ChatServiceOptions: Sendable {
  /// The address on which it listens.
  public var address = SocketAddress(host: "127.0.0.1", port: 5000)
  /// The address of the User Service.
  public var users = SocketAddress(host: "127.0.0.1", port: 8001)
  /// The settings of the HTTP server.
  public var server = HTTPServerOptions()
  /// The settings of Engine.IO.
  public var sockets = EngineIOOptions()
  /// The settings of the database.
  public var database = DatabaseOptions()
  /// Whether other nodes of the service share the database, which has to be on a server.
  public var isOneOfSeveral = false
  /// How long messages are kept.
  public var retention = Retention()
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}
