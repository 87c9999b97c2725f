import COpenSSL
import Environment

/// One end of a TLS connection, without a network: bytes from the peer in, bytes for the peer out.
///
/// The handshake, each record and every alert are OpenSSL's. After an error the stream takes and
/// gives nothing more, except the alert that tells the peer.
final class SecureStream {
  /// A result that needs more bytes from the peer first.
  enum Reading: Equatable {
    case bytes([UInt8])
    /// The peer has ended its direction with the alert `close_notify`.
    case end
    case needsInput
  }

  private enum State { case open, failed(NetworkError) }

  private let ssl: OpaquePointer
  private let wire = ByteBIO()
  private let randomness: Randomness
  /// Keeps what OpenSSL's callbacks use.
  private let context: TLSContext
  private var state = State.open
  /// Whether the handshake is complete.
  private(set) var isEstablished = false
  /// Whether this side has ended its direction.
  private(set) var isWriteEnded = false

  /// Makes the server's end. `time` decides whether a client's certificate is valid.
  convenience init(server context: ServerContext, _ randomness: Randomness, at time: Timestamp) {
    self.init(context, randomness, at: time)
    SSL_set_accept_state(ssl)
  }

  /// Makes the client's end. `time` decides whether the server's certificate is valid.
  convenience init(client context: ClientContext, _ randomness: Randomness, at time: Timestamp) {
    self.init(context, randomness, at: time)
    SSL_set_connect_state(ssl)
    let isAddress = IPAddress(context.name) != nil
    if !isAddress, !context.name.isEmpty {
      require(parley_set_name(ssl, context.name) == 1, "a host name of \(context.name.utf8.count) bytes")
    }
    guard context.trust.checksName else { return }
    let parameters = SSL_get0_param(ssl)
    X509_VERIFY_PARAM_set_hostflags(parameters, Certificate.hostFlags)
    let isSet =
      isAddress
      ? X509_VERIFY_PARAM_set1_ip_asc(parameters, context.name)
      : X509_VERIFY_PARAM_set1_host(parameters, context.name, context.name.utf8.count)
    require(isSet == 1, "a host name of \(context.name.utf8.count) bytes")
  }

  private init(_ context: TLSContext, _ randomness: Randomness, at time: Timestamp) {
    guard let ssl = randomness.lend({ SSL_new(context.pointer) }) else { fatalError("OpenSSL has no memory") }
    self.ssl = ssl
    self.context = context
    self.randomness = randomness
    let bio = wire.makeBIO()
    SSL_set_bio(ssl, bio, bio)
    if context.checksTime { X509_VERIFY_PARAM_set_time(SSL_get0_param(ssl), Int(time.seconds)) }
  }

  deinit { SSL_free(ssl) }

  // MARK: The network's side

  /// Adds bytes from the peer.
  func receive(_ bytes: [UInt8]) { wire.receive(bytes) }

  /// Notes that the peer has ended the stream below. Without `close_notify` before, that is an
  /// error of later reads.
  func receiveEnd() { wire.receiveEnd() }

  /// The number of bytes for the peer.
  var unsent: Int { wire.unsent }

  /// Removes and returns the bytes for the peer.
  func takeOutput() -> [UInt8] { wire.takeOutput() }

  // MARK: The application's side

  /// Continues the handshake. Returns whether it is complete.
  /// - Throws: `NetworkError.insecure`, `.reset` for a stream that ends within the handshake.
  func shakeHands() throws(NetworkError) -> Bool {
    try check()
    if isEstablished { return true }
    let result = call { SSL_do_handshake(ssl) }
    if result == 1 {
      isEstablished = true
      return true
    }
    if SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ { return false }
    throw fail()
  }

  /// Decrypts up to `limit` bytes.
  /// - Throws: `NetworkError.insecure` for what is not TLS; `.reset` for a stream that is cut off.
  func read(atMost limit: Int) throws(NetworkError) -> Reading {
    require(limit > 0, "a read of no bytes")
    try check()
    // A record is longer than its contents.
    let room = min(limit, wire.unread + Int(SSL_pending(ssl)))
    var result: Int32 = 1
    let bytes = [UInt8](unsafeUninitializedCapacity: max(1, room)) { buffer, count in
      repeat {
        var read = 0
        result = call { SSL_read_ex(ssl, buffer.baseAddress! + count, buffer.count - count, &read) }
        if result == 1 { count += read }
      } while result == 1 && count < buffer.count && wire.unread + Int(SSL_pending(ssl)) > 0
    }
    // An error after these bytes is found by the next read.
    if !bytes.isEmpty { return .bytes(bytes) }
    switch SSL_get_error(ssl, result) {
    case SSL_ERROR_WANT_READ: return .needsInput
    case SSL_ERROR_ZERO_RETURN: return .end
    default: throw fail()
    }
  }

  /// Encrypts bytes. The handshake has to be complete.
  /// - Throws: `NetworkError.closed` after `endWriting`; `NetworkError.insecure`.
  func write(_ bytes: ArraySlice<UInt8>) throws(NetworkError) {
    try check()
    require(isEstablished, "a write before the handshake")
    if isWriteEnded { throw .closed }
    if bytes.isEmpty { return }
    var written = 0
    let result = bytes.withUnsafeBytes { bytes in
      call { SSL_write_ex(ssl, bytes.baseAddress, bytes.count, &written) }
    }
    guard result == 1 else { throw fail() }
    require(written == bytes.count, "OpenSSL wrote a part")
  }

  /// Ends this direction with the alert `close_notify`. Idempotent.
  func endWriting() {
    guard case .open = state, !isWriteEnded else { return }
    isWriteEnded = true
    guard isEstablished else { return }
    // The result says whether the peer has ended its direction, too. That is nothing to wait for.
    _ = call { SSL_shutdown(ssl) }
    ERR_clear_error()
  }

  /// The certificate of the peer, if it showed one. It is verified, unless a client trusts anyone.
  var peerCertificate: Certificate? {
    SSL_get1_peer_certificate(ssl).map { Certificate(owning: $0) }
  }

  /// The name of the version, such as `TLSv1.3`.
  var version: String { String(cString: SSL_get_version(ssl)) }

  /// The protocol that both sides agreed on, if the client offered any.
  var application: ApplicationProtocol? {
    var name: UnsafePointer<UInt8>?
    var length: UInt32 = 0
    SSL_get0_alpn_selected(ssl, &name, &length)
    return ApplicationProtocol(
      rawValue: String(decoding: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self))
  }

  // MARK: Errors

  private func call<R>(_ body: () -> R) -> R {
    // OpenSSL decides by the queue of this thread whether a call has failed.
    ERR_clear_error()
    return randomness.lend(body)
  }

  private func check() throws(NetworkError) {
    if case .failed(let error) = state { throw error }
  }

  private func fail() -> NetworkError {
    let error = diagnosis()
    state = .failed(error)
    return error
  }

  private func diagnosis() -> NetworkError {
    let code = ERR_peek_error()
    let reason = TLSError.takeReason()
    if code == 0 || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING { return .reset }
    if ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED { return .insecure(certificateFault) }
    return .insecure(reason ?? "OpenSSL error \(code)")
  }

  /// Why the certificate of the peer is refused, for the operator who has to mend it.
  private var certificateFault: String {
    let result = SSL_get_verify_result(ssl)
    let name = (context as? ClientContext)?.name
    let whose = name.map { "the certificate of \($0)" } ?? "the client's certificate"
    switch Int32(truncatingIfNeeded: result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "\(whose) has expired"
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "\(whose) is not yet valid"
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "\(whose) is for another name"
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
      X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
      X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
      return "\(whose) is of an unknown authority"
    default:
      return "\(whose) is refused: \(String(cString: X509_verify_cert_error_string(result)))"
    }
  }
}
