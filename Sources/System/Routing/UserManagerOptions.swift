import Environment

/// The settings of the User Manager.
public struct UserManagerOptions: Sendable {
  /// The address to listen on.
  public var address = SocketAddress(host: "127.0.0.1", port: 20000)
  /// The host by which other nodes reach this one; nil for that of `address`.
  public var advertisedHost: String?
  /// The broker.
  public var broker = BrokerAddress(address: SocketAddress(host: "127.0.0.1", port: 5672))
  /// The settings of the HTTP server.
  public var server = HTTPServerOptions()
  /// The settings of the database.
  public var database = DatabaseOptions()
  /// Time without a heartbeat after which a host counts as lost.
  public var hostTimeout: Duration = .seconds(6)
  /// How long dead letters are kept.
  public var deadLetters = Retention()
  /// How long sessions that have ended are kept.
  public var retention = Retention()
  /// The services of which the page shows and changes something; nil for none.
  public var services: PageServices?
  /// Bugs to plant; none but in tests and scenarios.
  public var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}

  /// Time for a host to take a session that was offered again `times` times.
  ///
  /// A new offer voids the last one, which may still be on its way. So the time doubles with each
  /// offer, up to 16 times the first, until a slow network has delivered one.
  func patience(withOffers times: Int) -> Duration { hostTimeout * (1 << min(times, 4)) }
}
