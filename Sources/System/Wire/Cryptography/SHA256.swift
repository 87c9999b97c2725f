import COpenSSL
import Environment

/// A SHA-256 digest (FIPS 180-4) of a message that comes in parts.
public final class SHA256 {
  private let context: OpaquePointer

  /// Begins a message.
  public init() {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      fatalError("OpenSSL has no SHA-256")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  /// Adds bytes to the message.
  public func add(_ bytes: UnsafeRawBufferPointer) {
    require(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1, "SHA-256 failed")
  }

  /// Ends the message. Returns its digest, 32 bytes.
  public func finish() -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: 32) { output, count in
      require(EVP_DigestFinal_ex(context, output.baseAddress, nil) == 1, "SHA-256 failed")
      count = 32
    }
  }
}
