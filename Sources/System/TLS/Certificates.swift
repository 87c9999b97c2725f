import COpenSSL
import Environment
import Synchronization

/// The certificates of a process, which may be replaced while it runs: its own, which its servers
/// show, and those of the authorities that it trusts.
///
/// A replacement is for connections that begin afterwards. Those that have begun keep theirs, also
/// within the handshake.
public final class Certificates: Sendable {
  /// The contents of the files.
  public struct Contents: Sendable {
    /// What servers show. The first pair is for clients that name no host or another one, and is
    /// shown to servers that ask. Without a pair, listeners do not use TLS.
    public var pairs: [CertificatePair] = []
    /// The authorities of the certificates by which clients prove that they are services.
    public var clientAuthorities: [Certificate] = []
    /// The authorities of other servers; nil for those of the system.
    public var authorities: [Certificate]?

    /// Makes contents without a certificate.
    public init() {}
  }

  private struct State {
    var contents: Contents
    /// The contexts of servers, also of a protocol without an ALPN identifier.
    var servers: [ApplicationProtocol?: ServerContext] = [:]
    var own: [ApplicationProtocol: ClientContext] = [:]
    var generation = 0

    init(_ contents: Contents, previous: [CertificatePair]) throws(TLSError) {
      self.contents = contents
      // A service of this process may still finish a handshake with a pair of before.
      var trusted: [Certificate] = []
      for leaf in (contents.pairs + previous).map(\.leaf) where !trusted.contains(leaf) { trusted.append(leaf) }
      if contents.pairs.isEmpty { return }
      for application in ApplicationProtocol.allCases + [nil] {
        servers[application] = try ServerContext(
          contents.pairs, for: application, clientAuthorities: contents.clientAuthorities)
      }
      for application in ApplicationProtocol.allCases {
        own[application] = try ClientContext(name: "", trust: .exactly(trusted), application: application)
      }
    }
  }

  private let state: Mutex<State>

  /// Makes the certificates of a process.
  /// - Throws: if one cannot be used.
  public init(_ contents: Contents) throws(TLSError) { state = Mutex(try State(contents, previous: [])) }

  /// What new connections use.
  public var contents: Contents { state.withLock { $0.contents } }

  /// The number of replacements.
  var generation: Int { state.withLock { $0.generation } }

  /// Whether servers use TLS.
  public var isServer: Bool { !contents.pairs.isEmpty }

  /// When the first certificate of a pair expires.
  public var expiry: Timestamp? { contents.pairs.flatMap(\.chain).map(\.notAfter).min() }

  /// Replaces the certificates.
  /// - Throws: if one cannot be used. Nothing is changed then.
  public func replace(with contents: Contents) throws(TLSError) {
    let before = self.contents
    guard contents.pairs.isEmpty == before.pairs.isEmpty else { throw TLSError("no certificate") }
    var next = try State(contents, previous: before.pairs)
    state.withLock { state in
      next.generation = state.generation + 1
      state = next
    }
  }

  /// The context of new connections to a server of `application`.
  func server(_ application: ApplicationProtocol?) -> ServerContext {
    state.withLock { state in
      guard let context = state.servers[application] else { fatalError("a secure listener without a certificate") }
      return context
    }
  }

  /// The context of new connections to another service of this process.
  func own(_ application: ApplicationProtocol) -> ClientContext? { state.withLock { $0.own[application] } }
}
