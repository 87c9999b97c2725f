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
  /// Bugs to plant, for the tests that show that the oracles find them.
  public var planted: Set<PlantedChatBug> = []

  /// The contract's defaults.
  public init() {}
}

/// Known mistakes that a test can put into the service, to see that an oracle finds each. Never set outside tests.
public enum PlantedChatBug: String, Sendable, CaseIterable {
  /// A message is emitted before it is stored.
  case emitsBeforeCommit
  /// Messages go out in the order in which their transactions were heard of, not in that of `seq`.
  case emitsInArrivalOrder
  /// Who is in a group is remembered for a while after it has changed.
  case leavesRoomLate
  /// Whether a `client_id` was used is asked in one transaction, and the message stored in another.
  case clientIDInTwoSteps
  /// A user is offline when any socket closes.
  case presenceByLastEvent
  /// What waits when the transport changes is dropped.
  case dropsOnUpgrade
  /// A session is believed for as long as it was asked for once.
  case trustsSessionsForever
  /// Whether a connection is in a namespace already is asked before it is let in, and not while it is.
  case admitsTwice
  /// That a user is gone is told once, and forgotten when it could not be.
  case forgetsDepartures
}
