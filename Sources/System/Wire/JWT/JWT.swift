import Environment

/// JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256 (RFC 7515, `HS256`), and nothing else: a verifier that looks at
/// `alg` to decide how to verify has been the hole in many (RFC 8725 §2.1).
struct JWT {
  /// A token longer than this is refused unread; ours have about 330 bytes.
  static let maximumLength = 4096

  enum Failure: Error, Hashable {
    /// Not three parts of base64url with JSON objects in the first two.
    case malformed
    /// Another algorithm than HS256, or a `crit` that is not understood.
    case algorithm
    /// No known key made the signature.
    case signature
  }

  private static let header = Array("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.".utf8)
  private let keys: [HMACSHA256]

  /// The first of `secrets` signs, any of them verifies.
  init(secrets: [[UInt8]]) {
    require(!secrets.isEmpty, "a JWT needs a secret")
    keys = secrets.map(HMACSHA256.init)
  }

  func sign(_ claims: JSONValue) -> String {
    String(expecting: 512) { sign(to: &$0) { claims.write(to: &$0) } }
  }

  /// Appends the token with the claims that `body` writes as JSON.
  func sign(to output: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
    let start = output.count
    Self.header.withUnsafeBufferPointer { output.append($0) }
    withByteWriter(expecting: 512) { claims in
      body(&claims)
      Base64URL.encode(claims.written, to: &output)
    }
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: HMACSHA256.length) { code in
      let message = UnsafeBufferPointer(rebasing: output.written[start...])
      keys[0].write(codeOf: message, to: code.baseAddress!)
      output.append(UInt8(ascii: "."))
      Base64URL.encode(UnsafeBufferPointer(code), to: &output)
    }
  }

  /// The claims of a token with a good signature. What they claim is for the caller to judge.
  func verify(_ token: String) throws(Failure) -> JSONValue {
    guard token.utf8.count <= Self.maximumLength else { throw .malformed }
    let bytes = Array(token.utf8)
    let dot = UInt8(ascii: ".")
    guard let first = bytes.firstIndex(of: dot), let second = bytes.lastIndex(of: dot), first < second,
      !bytes[(first + 1)..<second].contains(dot), let signature = Base64URL.decode(bytes[(second + 1)...])
    else { throw .malformed }
    guard bytes.starts(with: Self.header) || isHS256(bytes[..<first]) else { throw .algorithm }
    let message = Array(bytes[..<second])
    guard keys.contains(where: { Cryptography.constantTimeEqual($0.code(message), signature) }) else {
      throw .signature
    }
    guard let payload = Base64URL.decode(bytes[(first + 1)..<second]), let claims = try? JSONParser.parse(payload),
      claims.members != nil
    else { throw .malformed }
    return claims
  }

  /// Whether a header names HS256 and no extension that would have to be understood (RFC 7515 §4.1.11). What else it says
  /// (`typ`, `cty`, `kid` …) decides nothing here: the kind of a token is in its claims.
  private func isHS256(_ part: ArraySlice<UInt8>) -> Bool {
    guard let bytes = Base64URL.decode(part), let header = try? JSONParser.parse(bytes) else { return false }
    return header["alg"]?.string == "HS256" && header["crit"] == nil
  }
}
