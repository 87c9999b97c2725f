import Environment

/// JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256 (`HS256`, RFC 7515). No other algorithm is
/// accepted: verifiers that choose the algorithm by the token's `alg` have been a common
/// vulnerability (RFC 8725 §2.1).
///
/// ```swift
/// let jwt = JWT(secrets: [secret])
/// let token = jwt.sign(["sub": "ann", "exp": 1_900_000_000])
/// let claims = try jwt.verify(token)
/// ```
struct JWT: Sendable {
  /// The maximum length of a token in bytes. Longer ones are refused unread; Parley's have about
  /// 330.
  static let maximumLength = 4096

  enum Failure: Error, Hashable {
    /// Not three parts of base64url with JSON objects in the first two.
    case malformed
    /// An algorithm other than HS256, or a `crit` header.
    case algorithm
    /// The signature is not of a known key.
    case signature
  }

  private static let header = Array("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.".utf8)
  private let keys: [HMACSHA256]

  /// The first of `secrets` signs; each of them verifies.
  init(secrets: [[UInt8]]) {
    require(!secrets.isEmpty, "a JWT needs a secret")
    keys = secrets.map(HMACSHA256.init)
  }

  func sign(_ claims: JSONValue) -> String {
    String(expecting: 512) { sign(to: &$0) { claims.write(to: &$0) } }
  }

  /// Appends a token with the claims that `body` writes as JSON.
  func sign(to output: inout ByteWriter, _ body: (inout ByteWriter) -> Void) {
    let start = output.count
    output.append(Self.header.span)
    withByteWriter(expecting: 512) { claims in
      body(&claims)
      Base64URL.encode(claims.written.span, to: &output)
    }
    let code = keys[0].code(output.written[start...])
    output.append(UInt8(ascii: "."))
    Base64URL.encode(code.span, to: &output)
  }

  /// Returns the claims of a token with a valid signature. The caller checks the claims.
  func verify(_ token: String) throws(Failure) -> JSONValue {
    guard token.utf8.count <= Self.maximumLength else { throw .malformed }
    let bytes = Array(token.utf8)
    let dot = UInt8(ascii: ".")
    guard let first = bytes.firstIndex(of: dot), let second = bytes[(first + 1)...].firstIndex(of: dot),
      !bytes[(second + 1)...].contains(dot), let signature = Base64URL.decode(bytes[(second + 1)...])
    else { throw .malformed }
    guard bytes[...first] == Self.header[...] || isHS256(bytes[..<first]) else { throw .algorithm }
    let message = bytes[..<second]
    guard keys.contains(where: { Cryptography.constantTimeEqual($0.code(message), signature) }) else {
      throw .signature
    }
    guard let payload = Base64URL.decode(bytes[(first + 1)..<second]), let claims = try? JSONParser.parse(payload),
      claims.members != nil
    else { throw .malformed }
    return claims
  }

  /// Whether a header names HS256 and no critical extension (RFC 7515 §4.1.11). Its other members
  /// (`typ`, `cty`, `kid` …) are ignored: the kind of a token is in its claims.
  private func isHS256(_ part: ArraySlice<UInt8>) -> Bool {
    guard let bytes = Base64URL.decode(part), let header = try? JSONParser.parse(bytes) else { return false }
    return header["alg"]?.string == "HS256" && header["crit"] == nil
  }
}
