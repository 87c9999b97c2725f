import COpenSSL
import Environment
import Synchronization

/// HMAC-SHA-256 (RFC 2104) under one key, by OpenSSL.
///
/// The context keeps the state of the key, to which each code returns, so it serves one caller at a
/// time. A mutex guards it: one executor uses it, so the mutex is free, and costs less than a
/// nanosecond. A code costs 1.3 times what it costs by OpenSSL's bare SHA-256, and a copy of the
/// context for each code would cost 2.2 times (docs/decisions/0024-hmac-over-sha256.md).
final class HMACSHA256: Sendable {
  /// Bytes of a code.
  static let length = 32

  /// The sole owner of a context. Unchecked, since the compiler knows nothing of what a C pointer
  /// shares.
  private struct Context: ~Copyable, @unchecked Sendable {
    let pointer: OpaquePointer

    deinit { EVP_MAC_CTX_free(pointer) }
  }

  private let context: Mutex<Context>

  init(key: [UInt8]) {
    let algorithm = EVP_MAC_fetch(nil, "HMAC", nil)
    defer { EVP_MAC_free(algorithm) }
    guard let context = EVP_MAC_CTX_new(algorithm), parley_hmac_sha256_init(context, key, key.count) == 1 else {
      fatalError("OpenSSL has no HMAC-SHA-256")
    }
    self.context = Mutex(Context(pointer: context))
  }

  /// Returns the 32 bytes of a message's code.
  func code(_ message: some Collection<UInt8>) -> [UInt8] {
    message.withContiguousStorageIfAvailable { code($0) } ?? Array(message).withUnsafeBufferPointer { code($0) }
  }

  private func code(_ message: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    [UInt8](expecting: Self.length) { writer in
      writer.append(atMost: Self.length) { output in
        var count = 0
        let isDone = context.withLock { context in
          let context = context.pointer
          // Without a key, the context returns to the one that it has.
          return EVP_MAC_init(context, nil, 0, nil) == 1
            && EVP_MAC_update(context, message.baseAddress, message.count) == 1
            && EVP_MAC_final(context, output, &count, Self.length) == 1
        }
        require(isDone, "HMAC-SHA-256 failed")
        return count
      }
    }
  }
}
