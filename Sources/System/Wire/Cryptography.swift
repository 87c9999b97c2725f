import COpenSSL

/// HMAC-SHA-256 (RFC 2104) under one key. Not Sendable: it keeps OpenSSL's context between calls, which spares the key
/// schedule on every token.
final class HMACSHA256 {
  private let context: OpaquePointer

  init(key: [UInt8]) {
    let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
    context = EVP_MAC_CTX_new(algorithm)
    EVP_MAC_free(algorithm)
    var digest = Array("SHA256".utf8CString)
    let status = digest.withUnsafeMutableBufferPointer { digest in
      var parameters = [
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.baseAddress, 0), OSSL_PARAM_construct_end(),
      ]
      return EVP_MAC_init(context, key.isEmpty ? [0] : key, key.count, &parameters)
    }
    require(status == 1, "OpenSSL has no HMAC-SHA-256")
  }

  deinit { EVP_MAC_CTX_free(context) }

  /// The 32 bytes of the code.
  func code(_ message: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { output, count in
      let status =
        EVP_MAC_init(context, nil, 0, nil) & EVP_MAC_update(context, message.baseAddress, message.count)
        & EVP_MAC_final(context, output.baseAddress, &count, 32)
      require(status == 1 && count == 32, "HMAC failed")
    }
  }

  func code(_ message: [UInt8]) -> [UInt8] { message.withUnsafeBufferPointer { code($0) } }
}

/// Hash functions and comparisons that secrets need.
public enum Cryptography {
  /// SHA-256 (FIPS 180-4).
  static func sha256(_ message: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { output, count in
      let status = EVP_Digest(message, message.count, output.baseAddress, nil, EVP_sha256(), nil)
      require(status == 1, "SHA-256 failed")
      count = 32
    }
  }

  /// SHA-1 (FIPS 180-4): for the WebSocket handshake, which asks for nothing stronger (RFC 6455 §10.8).
  static func sha1(_ message: [UInt8]) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 20) { output, count in
      let status = EVP_Digest(message, message.count, output.baseAddress, nil, EVP_sha1(), nil)
      require(status == 1, "SHA-1 failed")
      count = 20
    }
  }

  /// PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2); 32 bytes. Takes long on purpose: call it in the compute lane.
  static func pbkdf2(password: [UInt8], salt: [UInt8], rounds: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { output, count in
      let status = password.withUnsafeBytes { bytes in
        PKCS5_PBKDF2_HMAC(
          bytes.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(password.count), salt, Int32(salt.count),
          Int32(clamping: rounds), EVP_sha256(), 32, output.baseAddress)
      }
      require(status == 1, "PBKDF2 failed")
      count = 32
    }
  }

  /// Whether two byte strings are equal, in time that depends on their lengths alone.
  public static func constantTimeEqual(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for (x, y) in zip(a, b) { difference |= x ^ y }
    return difference == 0
  }
}
