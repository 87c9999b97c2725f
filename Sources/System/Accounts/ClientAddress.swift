import Environment

/// The address that a limit counts by.
///
/// An IPv6 client is counted by its network of 64 bits, since it may take any address in that.
struct ClientAddress: Hashable, Sendable {
  private enum Value: Hashable {
    case v4(UInt64)
    case v6(network: UInt64)
    /// A host name, which only a foreign service says.
    case name(ExactText)
  }

  private let value: Value
  /// Whether it is of this machine.
  let isLoopback: Bool

  /// Reads an address; nil when it is empty, or longer than any address.
  init?(_ host: String) {
    guard (1...255).contains(host.utf8.count) else { return nil }
    guard let address = IPAddress(host) else {
      value = .name(ExactText(host))
      isLoopback = SocketAddress(host: host, port: 0).isLoopback
      return
    }
    value = address.isIPv4 || address.isLoopback ? .v4(address.low) : .v6(network: address.high)
    isLoopback = address.isLoopback
  }

  /// Reads the address of a client as another service tells it; nil when it tells none, or one of its own machine: that one
  /// may stand for everybody whom a proxy there serves.
  init?(told value: JSONValue?) {
    guard let address = value?.string.flatMap({ ClientAddress($0) }), !address.isLoopback else { return nil }
    self = address
  }
}
