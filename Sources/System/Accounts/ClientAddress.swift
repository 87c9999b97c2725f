import Environment

/// The address of a client, as limits count it.
///
/// An IPv6 client is counted by its network of 64 bits, since it may use any address in it.
struct ClientAddress: Hashable, Sendable {
  private enum Value: Hashable {
    case v4(UInt64)
    case v6(network: UInt64)
    /// A host name, which only a foreign service sends.
    case name(ExactText)
  }

  private let value: Value
  /// Whether it is an address of this machine.
  let isLoopback: Bool

  /// Reads an address; nil if it is empty or too long.
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

  /// Reads the address of a client from another service's request; nil if it has none, or a
  /// loopback address, which may be a proxy for all its clients.
  init?(told value: JSONValue?) {
    guard let address = value?.string.flatMap({ ClientAddress($0) }), !address.isLoopback else { return nil }
    self = address
  }
}
