import COpenSSL
import Environment

/// HMAC-SHA-256 (RFC 2104) under one key, by OpenSSL.
///
/// The context keeps the state of the key, to which each code returns, so it serves one executor at a time. A code costs
/// 1.3 times what it costs by OpenSSL's bare SHA-256, and a copy of the context for each code would cost 2.2 times
/// (docs/decisions/0024-hmac-over-sha256.md).
final class HMACSHA256 {
  /// Bytes of a code.
  static let length = 32

  private let context: OpaquePointer

  init(key: [UInt8]) {
    let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
    defer { EVP_MAC_free(algorithm) }
    guard let context = EVP_MAC_CTX_new(algorithm), parley_hmac_sha256_init(context, key, key.count) == 1 else {
      fatalError("OpenSSL has no HMAC-SHA-256")
    }
    self.context = context
  }

  deinit { EVP_MAC_CTX_free(context) }

  /// Returns the 32 bytes of a message's code.
  func code(_ message: some Collection<UInt8>) -> [UInt8] {
    message.withContiguousStorageIfAvailable { code($0) } ?? Array(message).withUnsafeBufferPointer { code($0) }
  }

  private func code(_ message: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.length) { output, count in
      // Without a key, the context returns to the one that it has.
      let isDone =
        EVP_MAC_init(context, nil, 0, nil) == 1 && EVP_MAC_update(context, message.baseAddress, message.count) == 1
        && EVP_MAC_final(context, output.baseAddress, &count, Self.length) == 1
      require(isDone, "HMAC-SHA-256 failed")
    }
  }
}
