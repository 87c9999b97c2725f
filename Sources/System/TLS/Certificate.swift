import COpenSSL
import Environment

/// An X.509 certificate (RFC 5280).
public final class Certificate: Sendable, Hashable {
  /// Unchecked, since OpenSSL counts references atomically and nobody changes the certificate.
  private struct Reference: @unchecked Sendable { let pointer: OpaquePointer }

  private let reference: Reference
  var pointer: OpaquePointer { reference.pointer }

  /// Takes over one reference to a certificate.
  init(owning pointer: OpaquePointer) { reference = Reference(pointer: pointer) }

  deinit { X509_free(pointer) }

  /// Parses the certificates of a PEM file (RFC 7468 §5), in the order of the file.
  /// - Throws: for a file without a certificate, or with a broken one.
  public static func parse(pem: [UInt8]) throws(TLSError) -> [Certificate] {
    guard let bio = BIO_new_mem_buf(pem, Int32(clamping: pem.count)) else { throw .last("no memory") }
    defer { BIO_free(bio) }
    var certificates: [Certificate] = []
    ERR_clear_error()
    while let next = PEM_read_bio_X509(bio, nil, PrivateKey.noPassword, nil) {
      certificates.append(Certificate(owning: next))
    }
    let isAtEnd = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE
    guard isAtEnd else { throw .last("a certificate cannot be read") }
    ERR_clear_error()
    if certificates.isEmpty { throw TLSError("no certificate in PEM form") }
    return certificates
  }

  /// The certificate in PEM form.
  public var pem: [UInt8] { PrivateKey.bytes { PEM_write_bio_X509($0, pointer) } }

  /// The certificate in DER form.
  public var der: [UInt8] {
    let length = i2d_X509(pointer, nil)
    require(length > 0, "a certificate has no DER form")
    return [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
      var next = buffer.baseAddress
      count = Int(i2d_X509(pointer, &next))
    }
  }

  /// When the certificate becomes valid.
  public var notBefore: Timestamp { Self.time(X509_get0_notBefore(pointer)) }
  /// When the certificate expires.
  public var notAfter: Timestamp { Self.time(X509_get0_notAfter(pointer)) }

  private static func time(_ time: UnsafePointer<ASN1_TIME>?) -> Timestamp {
    let epoch = ASN1_TIME_set(nil, 0)
    defer { ASN1_STRING_free(epoch) }
    var days: Int32 = 0
    var seconds: Int32 = 0
    require(ASN1_TIME_diff(&days, &seconds, epoch, time) == 1, "a certificate has no valid time")
    return Timestamp(seconds: Int64(days) * 86_400 + Int64(seconds))
  }

  /// Whether the certificate is for the host `name`, by its subject alternative names only (RFC
  /// 9525 §6). A wildcard stands for the whole first label.
  public func covers(_ name: String) -> Bool {
    if IPAddress(name) != nil { return X509_check_ip_asc(pointer, name, 0) == 1 }
    return X509_check_host(pointer, name, name.utf8.count, Self.hostFlags, nil) == 1
  }

  /// RFC 9525 allows neither names in the subject nor a wildcard for a part of a label.
  static let hostFlags = UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)

  /// The channel binding `tls-server-end-point` (RFC 5929 §4.1) of a server with this certificate:
  /// its hash by the hash function of its signature, SHA-256 in place of MD5 and SHA-1. Nil for a
  /// signature without a hash function of its own, such as Ed25519, for which none is defined.
  public var serverEndPoint: [UInt8]? {
    var digest: Int32 = 0
    guard X509_get_signature_info(pointer, &digest, nil, nil, nil) == 1, digest != NID_undef else { return nil }
    let isWeak = digest == NID_md5 || digest == NID_sha1
    guard let function = isWeak ? EVP_sha256() : EVP_get_digestbyname(OBJ_nid2sn(digest)) else { return nil }
    return [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { buffer, count in
      var length: UInt32 = 0
      require(X509_digest(pointer, function, buffer.baseAddress, &length) == 1, "a digest failed")
      count = Int(length)
    }
  }

  /// Whether two certificates have the same bytes.
  public static func == (a: Certificate, b: Certificate) -> Bool { X509_cmp(a.pointer, b.pointer) == 0 }

  /// Hashes the certificate's bytes.
  public func hash(into hasher: inout Hasher) { hasher.combine(der) }
}

/// The private key of a certificate.
public final class PrivateKey: Sendable {
  /// Unchecked, since OpenSSL counts references atomically and nobody changes the key.
  private struct Reference: @unchecked Sendable { let pointer: OpaquePointer }

  private let reference: Reference
  var pointer: OpaquePointer { reference.pointer }

  /// Takes over one reference to a key.
  init(owning pointer: OpaquePointer) { reference = Reference(pointer: pointer) }

  deinit { EVP_PKEY_free(pointer) }

  /// Parses a key in PEM form (RFC 7468 §10), without a password.
  public convenience init(pem: [UInt8]) throws(TLSError) {
    guard let bio = BIO_new_mem_buf(pem, Int32(clamping: pem.count)) else { throw .last("no memory") }
    defer { BIO_free(bio) }
    ERR_clear_error()
    guard let key = PEM_read_bio_PrivateKey(bio, nil, Self.noPassword, nil) else {
      if pem.firstRange(of: Array("ENCRYPTED".utf8)) != nil {
        ERR_clear_error()
        throw TLSError("the private key has a password: remove it with openssl pkey")
      }
      throw .last("no private key in PEM form")
    }
    self.init(owning: key)
  }

  /// A new key on the curve P-256, which every client of TLS 1.2 and later knows.
  static func p256() -> PrivateKey {
    guard let key = parley_make_p256() else { fatalError("OpenSSL has no curve P-256") }
    return PrivateKey(owning: key)
  }

  /// The key in PEM form (PKCS #8), without a password.
  public var pem: [UInt8] { Self.bytes { PEM_write_bio_PKCS8PrivateKey($0, pointer, nil, nil, 0, nil, nil) } }

  /// Refuses to ask for a password: OpenSSL would ask on the terminal.
  static let noPassword:
    @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 =
      { _, _, _, _ in -1 }

  /// The bytes that `write` writes to a BIO.
  fileprivate static func bytes(_ write: (OpaquePointer) -> Int32) -> [UInt8] {
    let bio = ByteBIO()
    let pointer = bio.makeBIO()
    defer { BIO_free(pointer) }
    require(write(pointer) == 1, "OpenSSL could not write a PEM")
    return bio.takeOutput()
  }
}

/// A certificate with the chain above it and its private key: what proves the name of a server.
public struct CertificatePair: Sendable {
  /// The certificate of the server, and then those of the authorities above it.
  public let chain: [Certificate]
  /// The key of the first certificate.
  let key: PrivateKey

  /// The key in PEM form. A secret.
  public var keyPEM: [UInt8] { key.pem }

  /// The certificate of the server.
  public var leaf: Certificate { chain[0] }

  /// Makes a pair of its parts.
  init(chain: [Certificate], key: PrivateKey) {
    self.chain = chain
    self.key = key
  }

  /// Parses the contents of a certificate file and a key file.
  /// - Throws: if one cannot be read, or if the key is not that of the first certificate.
  public init(certificate: [UInt8], key: [UInt8]) throws(TLSError) {
    let chain = try Certificate.parse(pem: certificate)
    guard chain.count <= 16 else { throw TLSError("a chain of more than 16 certificates") }
    let key = try PrivateKey(pem: key)
    guard X509_check_private_key(chain[0].pointer, key.pointer) == 1 else {
      ERR_clear_error()
      throw TLSError("the private key is not that of the certificate")
    }
    self.init(chain: chain, key: key)
  }
}

extension Array where Element == UInt8 {
  fileprivate func firstRange(of word: [UInt8]) -> Range<Int>? {
    guard count >= word.count else { return nil }
    return (0...(count - word.count)).first { self[$0..<($0 + word.count)].elementsEqual(word) }
      .map { $0..<($0 + word.count) }
  }
}
