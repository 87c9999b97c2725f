import Environment

/// The settings of a host of Session Supervisors.
public struct SupervisorHostOptions: Sendable {
  /// The broker.
  public var broker = BrokerAddress(address: SocketAddress(host: "127.0.0.1", port: 5672))
  /// The host's name, to which a random part is added. The default is the node's name.
  public var name: String?
  /// Time between two heartbeats.
  public var heartbeat: Duration = .seconds(2)

  /// The contract's defaults.
  public init() {}
}
