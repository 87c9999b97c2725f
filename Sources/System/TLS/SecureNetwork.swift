import Environment

/// A server that a node reaches by TLS.
public struct SecurePeer: Sendable {
  /// How the server is authenticated.
  public enum Identity: Sendable {
    /// It is in this process, and shows one of the process's own certificates.
    case own
    /// It proves the host name of its address by a certificate of an authority that the process
    /// trusts.
    case named
    /// It shows one of these certificates.
    case showing([Certificate])
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
  private let peers: [SocketAddress: SecurePeer]
  private let contexts: ClientContexts

  /// Secures the network of `environment`. Listeners are secure if `certificates` has a pair.
  /// Connections to `peers` are secure, and others are not.
  public init(_ environment: Environment, certificates: Certificates, peers: [SocketAddress: SecurePeer]) {
    network = environment.network
    node = SecureConnection.Node(environment)
    self.certificates = certificates
    contexts = ClientContexts(certificates)
    self.peers = peers
  }

  /// Opens a listening socket, whose clients may offer no protocol but `application` (RFC 7301).
  public func listen(
    _ address: SocketAddress, backlog: Int, for application: ApplicationProtocol?
  ) throws(NetworkError) -> any Listener {
    let listener = try network.listen(address, backlog: backlog, for: application)
    guard certificates.isServer else { return listener }
    return SecureListener(listener, node, certificates, application)
  }

  /// Connects to `address`, and shakes hands if it is one of the secure peers.
  /// - Throws: also `NetworkError.insecure`.
  public func connect(to address: SocketAddress, deadline: Instant) async throws -> any Connection {
    guard let peer = peers[address] else { return try await network.connect(to: address, deadline: deadline) }
    let context: ClientContext
    do throws(TLSError) { context = try self.context(for: address, peer) } catch {
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

  private func context(for address: SocketAddress, _ peer: SecurePeer) throws(TLSError) -> ClientContext {
    if case .own = peer.identity {
      guard let context = certificates.own(peer.application) else { throw TLSError("this process has no certificate") }
      return context
    }
    return try contexts.context(for: address) { contents throws(TLSError) in
      let trust: Trust
      if case .showing(let known) = peer.identity {
        trust = .exactly(known)
      } else {
        trust = contents.authorities.map { .authorities($0) } ?? .system
      }
      return try ClientContext(
        name: address.host, trust: trust, application: peer.application, pair: contents.pairs.first)
    }
  }
}

/// A listener whose connections use TLS.
public struct SecureListener: Listener {
  private let listener: any Listener
  private let node: SecureConnection.Node
  private let certificates: Certificates
  private let application: ApplicationProtocol?

  init(
    _ listener: any Listener, _ node: SecureConnection.Node, _ certificates: Certificates,
    _ application: ApplicationProtocol?
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
