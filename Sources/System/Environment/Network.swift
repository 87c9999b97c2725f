/// A node's network interface: byte streams between nodes.
///
/// The simulator replaces this protocol, so every protocol above it runs unchanged in both worlds.
public protocol Network: Sendable {
  /// Opens a listening socket. For port 0 the system chooses a free port; see `Listener.address`.
  /// - Parameters:
  ///   - backlog: the maximum number of connections that wait for `accept`.
  ///   - application: the protocol that is spoken on the connections, for networks that use TLS;
  ///     nil
  ///     for one without an ALPN identifier.
  /// - Throws: `NetworkError.addressInUse`, `.unreachable`, `.permissionDenied`.
  func listen(
    _ address: SocketAddress, backlog: Int, for application: ApplicationProtocol?
  ) throws(NetworkError) -> any Listener

  /// Connects to `address`.
  /// - Throws: `NetworkError.refused`, `.timedOut` at `deadline`, `.unreachable`;
  ///   `CancellationError`; `NodeDown`.
  func connect(to address: SocketAddress, deadline: Instant) async throws -> any Connection
}

extension Network {
  /// Opens a listening socket for a protocol without an ALPN identifier.
  public func listen(_ address: SocketAddress, backlog: Int) throws(NetworkError) -> any Listener {
    try listen(address, backlog: backlog, for: nil)
  }
}

/// The protocol that is spoken on a connection, by its ALPN identifier (RFC 7301).
public enum ApplicationProtocol: String, Sendable, CaseIterable {
  case http = "http/1.1"
  case amqp = "amqp"
}

/// A listening socket.
public protocol Listener: Sendable {
  /// The address of the socket, with the port that the system chose if 0 was given.
  var address: SocketAddress { get }
  /// Waits for the next connection.
  /// - Throws: `NetworkError.closed` after `close()`, `.exhausted`.
  func accept() async throws -> any Connection
  /// Stops listening. Connections that were not accepted yet are reset.
  func close()
}

/// One end of a byte stream. At most one task may read and at most one may write at a time.
public protocol Connection: Sendable {
  /// The address of the other end.
  var peer: SocketAddress { get }

  /// Whether the peer is known to have ended its direction or closed the connection. False for a
  /// peer that crashed silently.
  var hasEnded: Bool { get }

  /// Whether the bytes are encrypted.
  var isSecure: Bool { get }

  /// Whether the peer has proved by a certificate that it is a service.
  var isAuthenticated: Bool { get }

  /// Waits for bytes and returns between 1 and `limit` of them, or an empty array at the end of the
  /// stream.
  /// - Throws: `NetworkError.reset`, `.timedOut` at `deadline`, `.closed` after `close()`;
  ///   `CancellationError`.
  func read(atMost limit: Int, deadline: Instant?) async throws -> [UInt8]

  /// Writes all of `bytes`, and waits while the peer does not read (back-pressure).
  /// - Throws: the errors of `read`. The number of bytes that the peer received is then unknown.
  func write(_ bytes: [UInt8], deadline: Instant?) async throws

  /// Writes as many of `bytes` as the network accepts without waiting, and returns their number.
  /// - Throws: `NetworkError.reset`, `.closed` after `close()`.
  func writeNow(_ bytes: ArraySlice<UInt8>) throws -> Int

  /// Ends the stream in this direction (a TCP FIN). The peer reads all written bytes, and then the
  /// end.
  func shutdownWrite()

  /// Closes the connection. Bytes that were written are still sent. Idempotent.
  func close()

  /// Aborts the connection (a TCP RST) and drops unsent bytes.
  func reset()
}

extension Connection {
  /// False: a connection without TLS is not encrypted.
  public var isSecure: Bool { false }
  /// False: a connection without TLS authenticates nobody.
  public var isAuthenticated: Bool { false }
}

/// A host name or address, and a port.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// An IPv4 or IPv6 address without brackets, a host name, or in the simulator a node's name.
  public var host: String
  /// The port. With 0, `listen` chooses a free one.
  public var port: UInt16

  /// Creates an address. Does not resolve the host.
  public init(host: String, port: UInt16) {
    self.host = host
    self.port = port
  }

  /// `host:port`, with brackets around an IPv6 address (RFC 3986 §3.2.2).
  public var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Whether the host is `localhost`, in 127.0.0.0/8 or `::1`, which other machines cannot reach.
  public var isLoopback: Bool {
    if let address = IPAddress(host) { return address.isLoopback }
    return host.utf8.count == 9 && host.lowercased() == "localhost"
  }
}

/// An error of the network.
public enum NetworkError: Error, Hashable, Sendable {
  /// No socket listens at the address.
  case refused
  /// The deadline passed.
  case timedOut
  /// The peer, or a device on the path, aborted the connection.
  case reset
  /// This side has closed the connection or the listener.
  case closed
  /// The host does not exist, or there is no route to it.
  case unreachable(String)
  /// Another listener has the address.
  case addressInUse(SocketAddress)
  /// The process may not listen at the address.
  case permissionDenied(SocketAddress)
  /// The node has no file descriptors or buffers left.
  case exhausted(String)
  /// The peer could not be authenticated, or does not speak TLS as agreed. The text is for the
  /// operator.
  case insecure(String)
}

/// The caller's node has crashed. Only the simulator throws this error; further actions of the
/// caller have no effect.
public struct NodeDown: Error, Hashable, Sendable {
  /// Creates the error.
  public init() {}
}
