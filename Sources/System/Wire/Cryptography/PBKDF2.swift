import COpenSSL
import Environment
import Synchronization

extension Cryptography {
  /// Derives 32 bytes from a password: PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2). Slow on purpose:
  /// call it in the compute lane.
  static func pbkdf2(password: [UInt8], salt: [UInt8], rounds: Int) -> [UInt8] {
    PBKDF2.shared.key(password: password, salt: salt, rounds: rounds)
  }
}

/// PBKDF2 with HMAC-SHA-256, by OpenSSL.
///
/// `PKCS5_PBKDF2_HMAC` looks up three algorithms by their names, under locks, for each key. That
/// takes half of the time of a key of one round. A context keeps the algorithms. Each thread that
/// derives a key borrows one, so there are as many contexts as threads that ever did so at once.
private final class PBKDF2: Sendable {
  static let shared = PBKDF2()
  private static let length = 32

  /// Unchecked, since one thread at a time has the context.
  private struct Context: @unchecked Sendable {
    let pointer: OpaquePointer
  }

  private let idle = Mutex<[Context]>([])

  func key(password: [UInt8], salt: [UInt8], rounds: Int) -> [UInt8] {
    let context = idle.withLock { $0.popLast() } ?? Self.makeContext()
    defer { idle.withLock { $0.append(context) } }
    return [UInt8](unsafeUninitializedCapacity: Self.length) { output, count in
      let status = parley_pbkdf2_sha256(
        context.pointer, password, password.count, salt, salt.count, UInt32(rounds), output.baseAddress, Self.length)
      require(status == 1, "PBKDF2 failed")
      count = Self.length
    }
  }

  private static func makeContext() -> Context {
    guard let pointer = parley_pbkdf2_sha256_new() else { fatalError("OpenSSL has no PBKDF2 with HMAC-SHA-256") }
    return Context(pointer: pointer)
  }
}
