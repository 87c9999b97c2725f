/// The options of an Engine.IO server. The defaults are those of the contract.
public struct EngineIOOptions: Sendable {
  /// Time between a pong of the client and the next ping.
  public var pingInterval: Duration = .seconds(25)
  /// Maximum time for a pong.
  public var pingTimeout: Duration = .seconds(20)
  /// Maximum size of a message and of a polling payload, in bytes.
  public var maximumPayload = 1_000_000
  /// Maximum size of the packets that wait for a client, in bytes.
  public var maximumBacklogBytes = 1 << 20
  /// Maximum number of packets that wait for a client.
  public var maximumBacklogPackets = 1000
  /// Memory of a session before its first socket, in bytes: enough for a CONNECT with a token.
  public var maximumStrangerBytes = 128 << 10
  /// Memory of a session with a socket, in bytes.
  public var maximumMemberBytes = 4 << 20
  /// Maximum size of the query that opens a session, in bytes. The session keeps it.
  public var maximumQueryBytes = 4096
  /// Maximum time for a client to connect to a namespace.
  public var connectTimeout: Duration = .seconds(45)
  /// Maximum number of sessions. Further ones get 503.
  public var maximumSessions = 20_000

  /// Bugs to plant; none but in tests and scenarios.
  var planted = PlantedBugs()

  /// The contract's defaults.
  public init() {}
}
