import Environment

/// Settings of the broker.
public struct BrokerOptions: Sendable {
  /// The address to listen on.
  public var address = SocketAddress(host: "127.0.0.1", port: 5672)
  /// The password of the user `parley`. Without it, `guest` logs in with `guest`, over loopback
  /// alone.
  public var serviceToken: String?
  /// The password of the user `operator`, by which operators' commands log in. Without it there is
  /// no such user.
  public var operatorToken: String?
  /// Connections at once. Further ones are closed.
  public var maximumConnections = 10_000
  /// The largest message in bytes, at most 128 MiB. A larger one is refused (406).
  public var maximumMessage = AMQPParser.maximumBody
  /// Bytes of ready messages in memory above which bodies that are on the disk leave memory.
  public var pagingBound = 64 << 20
  /// Bytes of messages that are only in memory above which the broker stops reading from their
  /// publishers.
  public var memoryBound = 256 << 20
  /// The interval between heartbeats that is proposed to clients.
  public var heartbeat: Duration = .seconds(60)
  /// Settings of the database.
  public var database = DatabaseOptions()
  /// Hears of the database's commits.
  public var observer = DatabaseObserver()
  /// Bugs to plant, in tests and scenarios only.
  public var planted = PlantedBugs()

  /// Creates the default settings.
  public init() {}
}
