import Environment

/// Encrypts connections to PostgreSQL servers, and authenticates the servers as `sslmode` says
/// (PostgreSQL 15 documentation, §34.19).
///
/// The authorities are those of the process. No certificate is shown to the server.
public final class PostgresTLS: Sendable {
  private let contexts: ClientContexts

  /// Makes the TLS of a process with these certificates.
  public init(_ certificates: Certificates) { contexts = ClientContexts(certificates) }

  /// Shakes hands over a connection to `address`, whose server has agreed to TLS.
  /// - Throws: `NetworkError.insecure` with the reason, and the errors of `connection`.
  func start(
    over connection: any Connection, to address: SocketAddress, _ mode: PostgresURL.Encryption,
    in environment: Environment, deadline: Instant
  ) async throws -> (any Connection, PostgresEncryption) {
    let context: ClientContext
    do throws(TLSError) {
      context = try contexts.context(for: address) { contents throws(TLSError) in
        try ClientContext(name: address.host, trust: Self.trust(mode, contents.authorities), application: nil)
      }
    } catch {
      throw NetworkError.insecure(error.description)
    }
    let secure = try await SecureConnection.client(context, over: connection, in: environment, deadline: deadline)
    let encryption = PostgresEncryption(
      endPoint: secure.peerCertificate?.serverEndPoint, isVerified: mode == .verifyCA || mode == .verifyFull)
    return (secure, encryption)
  }

  private static func trust(_ mode: PostgresURL.Encryption, _ authorities: [Certificate]?) -> Trust {
    switch mode {
    case .disable, .allow, .prefer, .require: .anyone
    case .verifyCA: .anyName(authorities)
    case .verifyFull: authorities.map { .authorities($0) } ?? .system
    }
  }
}
