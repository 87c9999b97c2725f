import COpenSSL
import Environment

/// Makes certificates: one that signs itself, for trying TLS, and those of a small authority, for
/// tests and simulations.
public struct CertificateMaker {
  /// The certificate and the key that sign.
  private let issuer: CertificatePair
  /// The pair of the authority.
  public var authority: Certificate { issuer.leaf }

  /// Makes an authority, whose own certificate is valid from `start` to `end`.
  public init(
    authority name: String, from start: Timestamp, to end: Timestamp, entropy: any Entropy
  ) throws(TLSError) {
    let key = Self.ed25519(entropy)
    let draft = try Draft(name, names: [], isAuthority: true, start, end, key, entropy)
    issuer = CertificatePair(chain: [try draft.signed(by: key, of: nil, entropy)], key: key)
  }

  /// Makes a certificate for `names`, host names and IP addresses, that the authority has signed.
  public func pair(
    for names: [String], from start: Timestamp, to end: Timestamp, entropy: any Entropy
  ) throws(TLSError) -> CertificatePair {
    let key = Self.ed25519(entropy)
    let draft = try Draft(names[0], names: names, isAuthority: false, start, end, key, entropy)
    return CertificatePair(chain: [try draft.signed(by: issuer.key, of: issuer.leaf, entropy)], key: key)
  }

  /// Makes a certificate for `names` that signs itself. Its key is on P-256, since browsers know no
  /// Ed25519.
  public static func selfSigned(
    for names: [String], from start: Timestamp, to end: Timestamp, entropy: any Entropy
  ) throws(TLSError) -> CertificatePair {
    let key = Randomness(entropy).lend { PrivateKey.p256() }
    let draft = try Draft(names[0], names: names, isAuthority: false, start, end, key, entropy)
    return CertificatePair(chain: [try draft.signed(by: key, of: nil, entropy)], key: key)
  }

  private static func ed25519(_ entropy: any Entropy) -> PrivateKey {
    guard let key = Randomness(entropy).lend({ parley_make_ed25519() }) else { fatalError("OpenSSL has no Ed25519") }
    return PrivateKey(owning: key)
  }

  /// A certificate without a signature.
  private struct Draft {
    let certificate: Certificate

    init(
      _ subject: String, names: [String], isAuthority: Bool, _ start: Timestamp, _ end: Timestamp, _ key: PrivateKey,
      _ entropy: any Entropy
    ) throws(TLSError) {
      guard let pointer = X509_new() else { fatalError("OpenSSL has no memory for a certificate") }
      certificate = Certificate(owning: pointer)
      // Version 3.
      X509_set_version(pointer, 2)
      // RFC 5280 §4.1.2.2: positive, at most 20 octets.
      let number = [entropy.bytes(1)[0] & 0x3F | 0x40] + entropy.bytes(15)
      let serial = BN_bin2bn(number, Int32(number.count), nil)
      defer { BN_free(serial) }
      let isSet =
        BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(pointer)) != nil
        && ASN1_TIME_set(X509_getm_notBefore(pointer), Int(start.seconds)) != nil
        && ASN1_TIME_set(X509_getm_notAfter(pointer), Int(end.seconds)) != nil
        && X509_set_pubkey(pointer, key.pointer) == 1
        && X509_NAME_add_entry_by_txt(
          X509_get_subject_name(pointer), "CN", MBSTRING_UTF8, String(subject.prefix(64)), -1, -1, 0) == 1
      guard isSet else { throw .last("a certificate cannot be made") }
      if isAuthority {
        try add(NID_basic_constraints, "critical,CA:TRUE")
        try add(NID_key_usage, "critical,keyCertSign,cRLSign")
      } else {
        try add(NID_basic_constraints, "critical,CA:FALSE")
        try add(NID_key_usage, "critical,digitalSignature")
        try add(NID_ext_key_usage, "serverAuth,clientAuth")
        try add(NID_subject_alt_name, names.map { (IPAddress($0) == nil ? "DNS:" : "IP:") + $0 }.joined(separator: ","))
      }
      try add(NID_subject_key_identifier, "hash")
    }

    private func add(_ kind: Int32, _ value: String) throws(TLSError) {
      var context = X509V3_CTX()
      X509V3_set_ctx(&context, certificate.pointer, certificate.pointer, nil, nil, 0)
      guard let part = X509V3_EXT_conf_nid(nil, &context, kind, value) else { throw .last("\"\(value)\" is refused") }
      defer { X509_EXTENSION_free(part) }
      guard X509_add_ext(certificate.pointer, part, -1) == 1 else { throw .last("a certificate cannot be made") }
    }

    func signed(by key: PrivateKey, of issuer: Certificate?, _ entropy: any Entropy) throws(TLSError) -> Certificate {
      let pointer = certificate.pointer
      let name = X509_get_subject_name((issuer ?? certificate).pointer)
      let digest = EVP_PKEY_get_id(key.pointer) == EVP_PKEY_ED25519 ? nil : EVP_sha256()
      let isSigned = Randomness(entropy).lend {
        X509_set_issuer_name(pointer, name) == 1 && X509_sign(pointer, key.pointer, digest) > 0
      }
      guard isSigned else { throw .last("a certificate cannot be signed") }
      return certificate
    }
  }
}
