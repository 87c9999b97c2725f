import COpenSSL
import Environment

extension ApplicationProtocol {
  /// The list of this protocol alone, as it is on the wire.
  var list: [UInt8] { [UInt8(rawValue.utf8.count)] + rawValue.utf8 }
}

/// The settings that many connections share: versions, ciphers, certificates, trust.
///
/// TLS 1.2 with forward secrecy and authenticated encryption, and TLS 1.3. No renegotiation, no
/// compression, no early data. No tickets and no cache of sessions: they cost forward secrecy, and
/// the clients of Parley keep their connections (docs/decisions/0029-tls-over-our-buffers.md).
public class TLSContext: @unchecked Sendable {
  // Unchecked, since OpenSSL counts references atomically, and nobody changes a context after
  // `init`.
  let pointer: OpaquePointer
  /// Whether certificates of the peer have to be valid at the time of the handshake.
  var checksTime: Bool { true }

  /// The ciphers of TLS 1.2, in the order of preference.
  static let ciphers12 = [
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
  ].joined(separator: ":")
  /// The ciphers of TLS 1.3, in the order of preference.
  static let ciphers13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
  /// The groups of the key exchange, in the order of preference.
  static let groups = "X25519:P-256:P-384"
  /// The algorithms of signatures, in the order of preference.
  static let signatures =
    "ecdsa_secp256r1_sha256:ed25519:rsa_pss_rsae_sha256:rsa_pss_pss_sha256:rsa_pkcs1_sha256:"
    + "ecdsa_secp384r1_sha384:rsa_pss_rsae_sha384:rsa_pss_pss_sha384:rsa_pkcs1_sha384:"
    + "ecdsa_secp521r1_sha512:rsa_pss_rsae_sha512:rsa_pss_pss_sha512:rsa_pkcs1_sha512"

  init(_ method: OpaquePointer?) {
    guard let context = SSL_CTX_new(method) else { fatalError("OpenSSL has no memory for a context") }
    pointer = context
    let isSet =
      parley_ctx_set_versions(context, TLS1_2_VERSION, TLS1_3_VERSION) == 1
      && SSL_CTX_set_cipher_list(context, Self.ciphers12) == 1
      && SSL_CTX_set_ciphersuites(context, Self.ciphers13) == 1
      && parley_ctx_set_groups(context, Self.groups) == 1
      && parley_ctx_set_signatures(context, Self.signatures) == 1
      && SSL_CTX_set_num_tickets(context, 0) == 1
      && SSL_CTX_set_max_early_data(context, 0) == 1
    require(isSet, "OpenSSL lacks an algorithm: \(TLSError.takeReason() ?? "")")
    // Level 2 refuses keys of less than 112 bits of security, such as RSA with 1024 bits, and
    // SHA-1.
    SSL_CTX_set_security_level(context, 2)
    parley_ctx_restrict(context)
  }

  deinit { SSL_CTX_free(pointer) }

  /// Shows the certificate of `pair` to peers.
  func show(_ pair: CertificatePair) throws(TLSError) {
    ERR_clear_error()
    guard SSL_CTX_use_certificate(pointer, pair.leaf.pointer) == 1 else { throw .last("the certificate is refused") }
    guard SSL_CTX_use_PrivateKey(pointer, pair.key.pointer) == 1 else { throw .last("the private key is refused") }
    for certificate in pair.chain.dropFirst() {
      guard parley_ctx_add_chain(pointer, certificate.pointer) == 1 else { throw .last("the chain is refused") }
    }
  }

  /// Trusts these authorities.
  func trust(_ authorities: [Certificate]) throws(TLSError) {
    let store = SSL_CTX_get_cert_store(pointer)
    for authority in authorities {
      guard X509_STORE_add_cert(store, authority.pointer) == 1 else { throw .last("an authority is refused") }
    }
  }
}

/// What the connections to one listener share.
public final class ServerContext: TLSContext, @unchecked Sendable {
  /// The certificates. The first one is for clients that name no host or another one.
  let pairs: [CertificatePair]
  /// The list of the one protocol that the server speaks, as it is on the wire; nil if it has no
  /// identifier.
  private let protocols: [UInt8]?

  /// Makes the context of a server of `application`, nil for a protocol without an ALPN identifier,
  /// that shows the pair of the host that the client names, or else the first one. With
  /// `clientAuthorities`, clients may show a certificate of one of these, which then has to be
  /// valid.
  public init(
    _ pairs: [CertificatePair], for application: ApplicationProtocol?, clientAuthorities: [Certificate] = []
  ) throws(TLSError) {
    guard let first = pairs.first else { throw TLSError("no certificate") }
    guard pairs.count <= 64 else { throw TLSError("more than 64 certificates") }
    self.pairs = pairs
    protocols = application?.list
    super.init(TLS_server_method())
    try show(first)
    let own = Unmanaged.passUnretained(self).toOpaque()
    parley_ctx_on_name(
      pointer,
      { ssl, _, context in
        let context = Unmanaged<ServerContext>.fromOpaque(context!).takeUnretainedValue()
        guard let ssl, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else {
          return SSL_TLSEXT_ERR_NOACK
        }
        return context.choose(String(cString: name), for: ssl)
      }, own)
    if protocols != nil {
      SSL_CTX_set_alpn_select_cb(
        pointer,
        { _, chosen, length, offered, count, context in
          let context = Unmanaged<ServerContext>.fromOpaque(context!).takeUnretainedValue()
          return context.choose(among: UnsafeBufferPointer(start: offered, count: Int(count)), chosen!, length!)
        }, own)
    }
    guard !clientAuthorities.isEmpty else { return }
    try trust(clientAuthorities)
    SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
    for authority in clientAuthorities { SSL_CTX_add_client_CA(pointer, authority.pointer) }
  }

  private func choose(_ name: String, for ssl: OpaquePointer) -> Int32 {
    guard let pair = pairs.first(where: { $0.leaf.covers(name) }) else { return SSL_TLSEXT_ERR_NOACK }
    // Otherwise the first certificate would stay, if its key is of another kind.
    SSL_certs_clear(ssl)
    let isShown =
      SSL_use_certificate(ssl, pair.leaf.pointer) == 1 && SSL_use_PrivateKey(ssl, pair.key.pointer) == 1
      && pair.chain.dropFirst().allSatisfy { parley_add_chain(ssl, $0.pointer) == 1 }
    return isShown ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL
  }

  /// Chooses the protocol of the server. A client that offers only others is refused (RFC 7301
  /// §3.2).
  private func choose(
    among offered: UnsafeBufferPointer<UInt8>, _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>,
    _ length: UnsafeMutablePointer<UInt8>
  ) -> Int32 {
    var index = 0
    while index < offered.count {
      let next = index + 1 + Int(offered[index])
      guard next <= offered.count else { break }
      if let protocols, offered[index..<next].elementsEqual(protocols) {
        chosen.pointee = offered.baseAddress! + index + 1
        length.pointee = offered[index]
        return SSL_TLSEXT_ERR_OK
      }
      index = next
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL
  }
}

/// Whom a client believes.
public enum Trust: Sendable {
  /// The authorities of the operating system.
  case system
  /// These authorities. The server has to prove its name.
  case authorities([Certificate])
  /// Servers with one of these certificates, whatever its names and its expiry: the services of one
  /// process.
  case exactly([Certificate])
  /// Any server, without authentication. For PostgreSQL's `sslmode=require`.
  case anyone
  /// Servers with a certificate of these authorities, or of those of the system if nil, whatever
  /// its names. For PostgreSQL's `sslmode=verify-ca`.
  case anyName([Certificate]?)

  /// Whether the certificate of the server has to be for the name by which the client knows it.
  var checksName: Bool {
    switch self {
    case .system, .authorities: true
    case .exactly, .anyone, .anyName: false
    }
  }
}

/// What the connections of a client to one server share.
public final class ClientContext: TLSContext, @unchecked Sendable {
  /// The name that the server has to prove.
  let name: String
  let trust: Trust
  // A time that is set would have precedence over the flag that none counts.
  override var checksTime: Bool { if case .exactly = trust { false } else { true } }

  /// Makes the context of a client of the server `name`, a host name or an IP address.
  /// `application` is nil for a protocol without an ALPN identifier. `pair` is shown to servers
  /// that ask for a certificate.
  public init(
    name: String, trust: Trust, application: ApplicationProtocol?, pair: CertificatePair? = nil
  ) throws(TLSError) {
    self.name = name.hasSuffix(".") ? String(name.dropLast()) : name
    self.trust = trust
    super.init(TLS_client_method())
    if let pair { try show(pair) }
    SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
    switch trust {
    case .system, .anyName(nil):
      guard SSL_CTX_set_default_verify_paths(pointer) == 1 else { throw .last("the system has no authorities") }
    case .authorities(let authorities), .anyName(let authorities?): try self.trust(authorities)
    case .exactly(let certificates):
      try self.trust(certificates)
      X509_VERIFY_PARAM_set_flags(
        SSL_CTX_get0_param(pointer), UInt(X509_V_FLAG_PARTIAL_CHAIN) | UInt(X509_V_FLAG_NO_CHECK_TIME))
    case .anyone: SSL_CTX_set_verify(pointer, SSL_VERIFY_NONE, nil)
    }
    guard let application else { return }
    let list = application.list
    // This function returns 0 for success.
    guard SSL_CTX_set_alpn_protos(pointer, list, UInt32(list.count)) == 0 else { throw .last("ALPN") }
  }
}
