import Environment
import COpenSSL

/// HMAC-SHA-256 (RFC 2104) under one key, whose two blocks are hashed once and not for each message.
///
/// It and PBKDF2 are made here of OpenSSL's SHA-256: OpenSSL's own look the algorithm up by name, under locks, and allocate
/// and copy contexts for each code. That takes half of the time of a password's hash, and a short one is all of that.
struct HMACSHA256: Sendable {
  /// Bytes of a code.
  static let length = 32
  private static let block = 64

  /// After the key's first block, and after its second.
  private let inner: SHA256_CTX
  private let outer: SHA256_CTX

  init(key: [UInt8]) { self = key.withUnsafeBufferPointer { HMACSHA256(key: $0) } }

  init(key: UnsafeBufferPointer<UInt8>) {
    // A long key is hashed first.
    let hashed = key.count > Self.block ? Cryptography.sha256(key) : []
    func begin(_ pad: UInt8) -> SHA256_CTX {
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.block) { block in
        block.initialize(repeating: pad)
        for index in 0..<(hashed.isEmpty ? key.count : hashed.count) {
          block[index] ^= hashed.isEmpty ? key[index] : hashed[index]
        }
        var context = SHA256_CTX()
        SHA256_Init(&context)
        SHA256_Update(&context, block.baseAddress, block.count)
        return context
      }
    }
    inner = begin(0x36)
    outer = begin(0x5C)
  }

  /// Writes the 32 bytes of a message's code to `code`, which may be where the message is.
  func write(codeOf message: UnsafeBufferPointer<UInt8>, to code: UnsafeMutablePointer<UInt8>) {
    var context = inner
    SHA256_Update(&context, message.baseAddress, message.count)
    finish(&context, code)
  }

  private func finish(_ context: inout SHA256_CTX, _ code: UnsafeMutablePointer<UInt8>) {
    SHA256_Final(code, &context)
    context = outer
    SHA256_Update(&context, code, Self.length)
    SHA256_Final(code, &context)
  }

  /// Writes the first block of PBKDF2 (RFC 8018 §5.2) under this key, the password: 32 bytes.
  func write(
    pbkdf2Of salt: UnsafeBufferPointer<UInt8>, rounds: Int, to key: UnsafeMutableBufferPointer<UInt8>
  ) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.length) { code in
      var context = inner
      SHA256_Update(&context, salt.baseAddress, salt.count)
      var number = UInt32(1).bigEndian
      SHA256_Update(&context, &number, 4)
      finish(&context, code.baseAddress!)
      _ = key.update(from: code)
      for _ in 1..<rounds {
        write(codeOf: UnsafeBufferPointer(code), to: code.baseAddress!)
        for index in 0..<Self.length { key[index] ^= code[index] }
      }
    }
  }

  /// The 32 bytes of the code.
  func code(_ message: [UInt8]) -> [UInt8] {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.length) { code in
      message.withUnsafeBufferPointer { write(codeOf: $0, to: code.baseAddress!) }
      return Array(code)
    }
  }
}

/// Hash functions and comparisons that secrets need.
public enum Cryptography {
  /// SHA-256 (FIPS 180-4).
  static func sha256(_ message: [UInt8]) -> [UInt8] { message.withUnsafeBufferPointer { sha256($0) } }

  static func sha256(_ message: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { output, count in
      let status = EVP_Digest(message.baseAddress, message.count, output.baseAddress, nil, EVP_sha256(), nil)
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

  /// PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2); 32 bytes, which is one block of it. Takes long on purpose: call it in the compute lane.
  static func pbkdf2(password: [UInt8], salt: [UInt8], rounds: Int) -> [UInt8] {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: HMACSHA256.length) { key in
      salt.withUnsafeBufferPointer { HMACSHA256(key: password).write(pbkdf2Of: $0, rounds: rounds, to: key) }
      return Array(key)
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
