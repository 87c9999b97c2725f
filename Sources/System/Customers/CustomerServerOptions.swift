import Environment

/// The settings of the Customer Server.
public struct CustomerServerOptions: Sendable {
  /// The address to listen on.
  public var address = SocketAddress(host: "127.0.0.1", port: 5500)
  /// The credential server, which checks emails and passwords.
  public var credentials = SocketAddress(host: "127.0.0.1", port: 8001)
  /// The User Manager, for `/health`; nil if it is not known.
  public var manager: SocketAddress?
  /// The broker.
  public var broker = BrokerAddress(address: SocketAddress(host: "127.0.0.1", port: 5672))
  /// The settings of the HTTP server.
  public var server = HTTPServerOptions()
  /// The settings of the database.
  public var database = DatabaseOptions()
  /// Time for a supervisor to take a session.
  public var initializeTimeout: Duration = .seconds(5)
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}
