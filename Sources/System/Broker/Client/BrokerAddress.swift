import Environment

/// The address of a broker, and the credentials to log in with.
public struct BrokerAddress: Hashable, Sendable {
  /// The address to connect to.
  public var address: SocketAddress
  /// The user name.
  public var user: String
  /// The password.
  public var password: String
  /// The time after which the broker drops a dead letter; nil to keep it.
  public var deadLetterLifetime: Duration?

  /// Creates an address with credentials.
  public init(address: SocketAddress, user: String = "guest", password: String = "guest") {
    self.address = address
    self.user = user
    self.password = password
  }
}
