import Environment
import Synchronization

/// A server that a node reaches by TLS.
public struct SecurePeer: Sendable {
  /// How the server is authenticated.
  public enum Identity: Sendable {
    /// It is in this process, and shows one of the process's own certificates.
    case own
    /// It proves the host name of its address by a certificate of an authority that the process
    /// trusts.
    case named
  }

  let application: ApplicationProtocol
  let identity: Identity

  /// Makes a description of a server.
  public init(_ application: ApplicationProtocol, _ identity: Identity) {
    self.application = application
    self.identity = identity
  }
}

/// A network whose listeners and connections use TLS.
///
/// Everything above it is the same with TLS and without.
public struct SecureNetwork: Network {
  private let network: any Network
  private let node: SecureConnection.Node
  private let certificates: Certificates
  private let application: ApplicationProtocol
  private let peers: [SocketAddress: SecurePeer]
  private let contexts = ClientContexts()

  /// Secures the network of `environment`. Listeners are secure if `certificates` has a
  /// pair, and then serve `application`. Connections to `peers` are secure, and others are not.
  public init(
    _ environment: Environment, certificates: Certificates, application: ApplicationProtocol,
    peers: [SocketAddress: SecurePeer]
  ) {
    network = environment.network
    node = SecureConnection.Node(environment)
    self.certificates = certificates
    self.application = application
    self.peers = peers
  }

  /// Opens a listening socket.
  public func listen(_ address: SocketAddress, backlog: Int) throws(NetworkError) -> any Listener {
    let listener = try network.listen(address, backlog: backlog)
    guard certificates.isServer else { return listener }
    return SecureListener(listener, node, certificates, application)
  }

  /// Connects to `address`, and shakes hands if it is one of the secure peers.
  /// - Throws: also `NetworkError.insecure`.
  public func connect(to address: SocketAddress, deadline: Instant) async throws -> any Connection {
    guard let peer = peers[address] else { return try await network.connect(to: address, deadline: deadline) }
    let context: ClientContext
    do throws(TLSError) { context = try contexts.context(for: address, peer, certificates) } catch {
      throw NetworkError.insecure(error.description)
    }
    let connection = try await network.connect(to: address, deadline: deadline)
    do {
      return try await SecureConnection.client(context, over: connection, on: node, deadline: deadline)
    } catch NetworkError.insecure(let reason) {
      // An operator has to mend it, and retrying does not help.
      node.environment.log.warning(
        "tls-server-refused", ["address": .string("\(address)"), "reason": .string(reason)])
      throw NetworkError.insecure(reason)
    }
  }
}

/// The contexts of a node's clients. They are made at the first connection, and again when the
/// certificate that they show was replaced.
private final class ClientContexts: Sendable {
  private let made = Mutex<[SocketAddress: (generation: Int, context: ClientContext)]>([:])

  func context(
    for address: SocketAddress, _ peer: SecurePeer, _ certificates: Certificates
  ) throws(TLSError) -> ClientContext {
    if case .own = peer.identity {
      guard let context = certificates.own(peer.application) else { throw TLSError("this process has no certificate") }
      return context
    }
    let (generation, contents) = (certificates.generation, certificates.contents)
    if let known = made.withLock({ $0[address] }), known.generation == generation { return known.context }
    let context = try ClientContext(
      name: address.host, trust: contents.authorities.map { .authorities($0) } ?? .system,
      application: peer.application, pair: contents.pairs.first)
    made.withLock { $0[address] = (generation, context) }
    return context
  }
}

/// A listener whose connections use TLS.
public struct SecureListener: Listener {
  private let listener: any Listener
  private let node: SecureConnection.Node
  private let certificates: Certificates
  private let application: ApplicationProtocol

  init(
    _ listener: any Listener, _ node: SecureConnection.Node, _ certificates: Certificates,
    _ application: ApplicationProtocol
  ) {
    self.listener = listener
    self.node = node
    self.certificates = certificates
    self.application = application
  }

  /// The address of the socket.
  public var address: SocketAddress { listener.address }

  /// Waits for the next connection. Its handshake begins with its first read or write.
  public func accept() async throws -> any Connection {
    let connection = try await listener.accept()
    return SecureConnection(server: certificates.server(application), node, connection)
  }

  /// Stops listening.
  public func close() { listener.close() }

  /// The numbers of handshakes so far, and when the first certificate expires.
  var state: (handshakes: HandshakeLimit.Counts, expiry: Timestamp?) {
    (node.handshakes.counts, certificates.expiry)
  }
}
