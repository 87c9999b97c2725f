/// Byte streams to other nodes. The network is cut at this level so that every protocol above it runs unchanged, byte
/// for byte, in both worlds.
public protocol Network: Sendable {
  /// Opens a listening socket. `port` 0 takes a free one; see `Listener.address`.
  /// - Throws: `NetworkError.addressInUse`, `.unreachable`, `.permissionDenied`.
  func listen(_ address: SocketAddress, backlog: Int) throws(NetworkError) -> any Listener

  /// Connects to `address`.
  /// - Throws: `NetworkError.refused`, `.timedOut` at `deadline`, `.unreachable`; `CancellationError`; `NodeDown`.
  func connect(to address: SocketAddress, deadline: Instant) async throws -> any Connection
}

/// A listening socket.
public protocol Listener: Sendable {
  /// Where it listens; the port is the real one also when 0 was asked for.
  var address: SocketAddress { get }
  /// Waits for the next connection. Throws `NetworkError.closed` after `close()`.
  func accept() async throws -> any Connection
  /// Stops listening. Connections in the backlog that were not accepted are reset.
  func close()
}

/// One end of a byte stream. At most one task reads and at most one writes at a time.
public protocol Connection: Sendable {
  /// The address of the other end.
  var peer: SocketAddress { get }

  /// Whether it is known here that the peer has ended its direction or given the connection up. A peer that died silently is not known to.
  var hasEnded: Bool { get }

  /// Waits for bytes: at least one and at most `limit`, or none when the peer has shut down its side.
  /// - Throws: `NetworkError.reset`, `.timedOut` at `deadline`, `.closed` after `close()`; `CancellationError`.
  func read(atMost limit: Int, deadline: Instant?) async throws -> [UInt8]

  /// Hands all of `bytes` to the network, waiting while the peer does not take them (back-pressure).
  /// - Throws: as `read`; how much the peer got is then unknown.
  func write(_ bytes: [UInt8], deadline: Instant?) async throws

  /// Hands to the network what it takes of `bytes` at once. Returns how many those are: less than all of them when the peer is slow.
  /// - Throws: `NetworkError.reset`, `.closed` after `close()`.
  func writeNow(_ bytes: ArraySlice<UInt8>) throws -> Int

  /// Ends the stream in this direction (a TCP FIN); the peer reads the end after what was written.
  func shutdownWrite()

  /// Gives the connection up. Bytes already written are still sent; the peer then reads the end. Idempotent.
  func close()

  /// Gives the connection up at once (a TCP RST); what was not yet sent is dropped.
  func reset()
}

/// A host name or address, and a port.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// An IPv4 or IPv6 address without brackets, a host name, or in the simulator a node's name.
  public var host: String
  /// The port; 0 asks `listen` for a free one.
  public var port: UInt16

  /// Makes an address out of its parts; nothing is looked up.
  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// `host:port`, with brackets around an IPv6 address (RFC 3986 §3.2.2).
  public var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Whether the address cannot be reached from another machine: `localhost`, 127.0.0.0/8 or `::1`.
  public var isLoopback: Bool {
    if let address = IPAddress(host) { return address.isLoopback }
    return host.utf8.count == 9 && host.lowercased() == "localhost"
  }
}

/// Why the network did not do what was asked.
public enum NetworkError: Error, Hashable, Sendable {
  /// Nobody listens there.
  case refused
  /// The deadline passed.
  case timedOut
  /// The peer, or something on the way, gave the connection up.
  case reset
  /// This side closed it before.
  case closed
  /// There is no such host, or no way to it.
  case unreachable(String)
  /// Another listener has the address.
  case addressInUse(SocketAddress)
  /// The system does not let this process listen there.
  case permissionDenied(SocketAddress)
  /// The node has no file descriptors or buffers left.
  case exhausted(String)
}

/// The node died under the caller: in the simulator, at a crash. Nothing it does from here on has an effect.
public struct NodeDown: Error, Hashable, Sendable {
  /// Makes the error.
  public init() {}
}
