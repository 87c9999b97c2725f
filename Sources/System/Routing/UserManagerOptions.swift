import Environment

/// How the User Manager is set up.
public struct UserManagerOptions: Sendable {
  /// Where it listens.
  public var address = SocketAddress(host: "127.0.0.1", port: 20000)
  /// Where the broker is.
  public var broker = BrokerAddress(address: SocketAddress(host: "127.0.0.1", port: 5672))
  /// How the HTTP server behaves.
  public var server = HTTPServerOptions()
  /// What the database promises.
  public var database = DatabaseOptions()
  /// Time without a heartbeat after which a host is taken for dead.
  public var hostTimeout: Duration = .seconds(6)
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}

  /// Time for a host to take a session that was offered again so often. A new offer ends the old one, which
  /// may be on its way, so on a slow network each has to have more time than the last, up to 16 times.
  func patience(withOffers times: Int) -> Duration { hostTimeout * (1 << min(times, 4)) }
}
