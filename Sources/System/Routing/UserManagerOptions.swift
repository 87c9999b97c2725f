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
  /// Bugs to plant, for the tests that show that the oracles find them.
  public var planted: Set<PlantedManagerBug> = []

  /// The contract's defaults.
  public init() {}

  /// Time for a host to take a session that was offered again so often. A new offer ends the old one, which
  /// may be on its way, so on a slow network each has to have more time than the last, up to 16 times.
  func patience(withOffers times: Int) -> Duration { hostTimeout * (1 << min(times, 4)) }
}

/// Known mistakes that a test can put into the manager, to see that an oracle finds each. Never set outside tests.
public enum PlantedManagerBug: String, Sendable, CaseIterable {
  /// A message is acknowledged to its queue before its effects are committed.
  case acknowledgesEarly
  /// Each message is handled in a task of its own, which looks something up before.
  case taskPerMessage
  /// A user is gone when any of their connections has ended.
  case dropsOnAnyDisconnect
  /// Who is free stands in a list, and where everybody is in a dictionary; who goes offline stays in the list.
  case listBesideDictionary
}
