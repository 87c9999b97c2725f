import COpenSSL
import Environment

/// Hash functions, key derivation, and comparison of secrets.
public enum Cryptography {
  /// Returns the SHA-256 digest (FIPS 180-4) of a message: 32 bytes.
  static func sha256(_ message: [UInt8]) -> [UInt8] { digest(message, EVP_sha256(), length: 32) }

  /// Returns the SHA-1 digest (FIPS 180-4) of a message: 20 bytes. Only for the WebSocket
  /// handshake, which does not rely on its strength (RFC 6455 §10.8).
  static func sha1(_ message: [UInt8]) -> [UInt8] { digest(message, EVP_sha1(), length: 20) }

  /// Returns the MD5 digest (RFC 1321) of a message: 16 bytes. Only for PostgreSQL's older form of
  /// passwords; MD5 is broken.
  static func md5(_ message: [UInt8]) -> [UInt8] { digest(message, EVP_md5(), length: 16) }

  private static func digest(_ message: [UInt8], _ algorithm: OpaquePointer?, length: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: length) { output, count in
      require(EVP_Digest(message, message.count, output.baseAddress, nil, algorithm, nil) == 1, "a digest failed")
      count = length
    }
  }

  /// Returns whether two byte strings are equal, in time that depends only on their lengths.
  public static func constantTimeEqual(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for (x, y) in zip(a, b) { difference |= x ^ y }
    return difference == 0
  }
}
