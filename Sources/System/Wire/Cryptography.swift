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

  init(key: [UInt8]) {
    let key = key.count > Self.block ? Cryptography.sha256(key) : key
    func begin(_ pad: UInt8) -> SHA256_CTX {
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.block) { block in
        block.initialize(repeating: pad)
        for (index, byte) in key.enumerated() { block[index] ^= byte }
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
    SHA256_Final(code, &context)
    context = outer
    SHA256_Update(&context, code, Self.length)
    SHA256_Final(code, &context)
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

  /// PBKDF2 with HMAC-SHA-256 (RFC 8018 §5.2); 32 bytes, which is one block of it. Takes long on purpose: call it in the compute lane.
  static func pbkdf2(password: [UInt8], salt: [UInt8], rounds: Int) -> [UInt8] {
    let hmac = HMACSHA256(key: password)
    let number: [UInt8] = [0, 0, 0, 1]
    var code = hmac.code(salt + number)
    var key = code
    code.withUnsafeMutableBufferPointer { code in
      for _ in 1..<rounds {
        hmac.write(codeOf: UnsafeBufferPointer(code), to: code.baseAddress!)
        for index in 0..<HMACSHA256.length { key[index] ^= code[index] }
      }
    }
    return key
  }

  /// Whether two byte strings are equal, in time that depends on their lengths alone.
  public static func constantTimeEqual(_ a: some Collection<UInt8>, _ b: some Collection<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for (x, y) in zip(a, b) { difference |= x ^ y }
    return difference == 0
  }
}
