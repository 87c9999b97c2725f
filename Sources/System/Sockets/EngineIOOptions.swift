/// How an Engine.IO server behaves; the contract's defaults.
public struct EngineIOOptions: Sendable {
  /// Time between a client's pong and the next ping.
  public var pingInterval: Duration = .seconds(25)
  /// Time for a pong.
  public var pingTimeout: Duration = .seconds(20)
  /// Bytes of a message, and of a polling payload.
  public var maximumPayload = 1_000_000
  /// What a session may hold for a client that does not take it, in bytes and in packets.
  public var maximumBacklogBytes = 1 << 20
  /// See `maximumBacklogBytes`.
  public var maximumBacklogPackets = 1000
  /// What a session may make the node hold before it has a socket, in bytes: room for a CONNECT with a token.
  public var maximumStrangerBytes = 128 << 10
  /// What a session with a socket may make the node hold, in bytes.
  public var maximumMemberBytes = 4 << 20
  /// Bytes of the query that opens a session, which is kept with it.
  public var maximumQueryBytes = 4096
  /// Time for a client to connect to a namespace.
  public var connectTimeout: Duration = .seconds(45)
  /// Sessions at once; further ones get 503.
  public var maximumSessions = 20_000

  /// Bugs to plant; none but in tests and scenarios.
  var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}
