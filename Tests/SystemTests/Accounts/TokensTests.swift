@testable import Environment
import Testing

@testable import System

@Suite("Tokens of other issuers")
struct TokensTests {
  private static let secret = Array("a secret of thirty-two bytes or more".utf8)
  private let now = Timestamp(seconds: 1_000_000)

  private func issuer(_ change: (inout UserServiceOptions) -> Void = { _ in }) -> TokenIssuer {
    var options = UserServiceOptions()
    options.secrets = [Self.secret]
    change(&options)
    return TokenIssuer(options)
  }

  /// The claims of a valid token, with some of them replaced. An empty text removes a claim.
  private func token(_ changes: [String: String]) -> String {
    var claims = ["sub": "\"ann\"", "type": "\"access\"", "exp": "1000060", "iat": "1000000", "jti": "\"f.u\""]
    claims.merge(changes) { $1 }
    let text = claims.filter { !$0.value.isEmpty }.map { "\"\($0.key)\":\($0.value)" }.sorted().joined(separator: ",")
    return sign("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "{\(text)}")
  }

  private func sign(_ header: String, _ claims: String) -> String {
    func encode(_ bytes: [UInt8]) -> String {
      String(
        decoding: Base64.encode(bytes).utf8.compactMap { byte -> UInt8? in
          switch byte {
          case UInt8(ascii: "+"): UInt8(ascii: "-")
          case UInt8(ascii: "/"): UInt8(ascii: "_")
          case UInt8(ascii: "="): nil
          default: byte
          }
        }, as: UTF8.self)
    }
    let message = encode(Array(header.utf8)) + "." + encode(Array(claims.utf8))
    return message + "." + encode(HMACSHA256(key: Self.secret).code(Array(message.utf8)))
  }

  private func isGood(_ token: String, _ issuer: TokenIssuer) -> Bool {
    if case .success = issuer.read(token, as: .access, at: now) { true } else { false }
  }

  @Test(
    "claims that are accepted and refused",
    arguments: [
      (["exp": "1000000.5"], true), (["exp": "999999.5"], false), (["exp": "1000000"], false), (["exp": "1e308"], true),
      (["exp": "-1e308"], false), (["exp": "-1"], false), (["exp": "9223372036854775807"], true),
      (["exp": "9223372036854775808"], true), (["exp": "-9223372036854775808"], false), (["exp": "1e12"], true),
      (["exp": "\"1000060\""], false), (["exp": "true"], false), (["exp": "null"], false), (["exp": ""], false),
      (["iat": "999999.25"], true), (["iat": "\"x\""], false), (["iat": ""], false), (["iat": "1e300"], true),
      (["nbf": "1000000"], true), (["nbf": "999999.5"], true), (["nbf": "1000000.5"], false), (["nbf": "1e308"], false),
      (["nbf": "\"1\""], false), (["nbf": "-9223372036854775808"], true),
      (["jti": "\"7d1e\""], true), (["jti": "\"a.b.c\""], true), (["jti": "\".\""], true), (["jti": "\"x.\""], true),
      (["jti": "\"é \\n\""], true), (["jti": "\"\""], false), (["jti": "7"], false), (["jti": ""], false),
      (["jti": "\"" + String(repeating: "x", count: 255) + "\""], true),
      (["jti": "\"" + String(repeating: "x", count: 256) + "\""], false),
      (["sub": "\"\""], false), (["sub": "7"], false), (["sub": ""], false),
      (["sub": "\"" + String(repeating: "x", count: 256) + "\""], false), (["type": "\"refresh\""], false),
      (["iss": "\"anybody\"", "aud": "[\"a\",7]"], true), (["scope": "\"all\"", "azp": "null"], true),
    ] as [([String: String], Bool)])
  func claims(changes: [String: String], isGood: Bool) {
    #expect(self.isGood(token(changes), issuer()) == isGood, "\(changes)")
  }

  @Test(
    "the issuer and the audience are checked when both the setting and the claim exist",
    arguments: [
      ([:], true), (["iss": "\"us\""], true), (["iss": "\"them\""], false), (["iss": "7"], false),
      (["iss": "null"], false),
      (["aud": "\"here\""], true), (["aud": "[\"there\",\"here\"]"], true), (["aud": "\"there\""], false),
      (["aud": "[\"there\"]"], false), (["aud": "[]"], false), (["aud": "7"], false), (["aud": "[7,\"here\"]"], true),
    ] as [([String: String], Bool)])
  func audience(changes: [String: String], isGood: Bool) {
    let issuer = issuer {
      $0.issuer = "us"
      $0.audience = "here"
    }
    #expect(self.isGood(token(changes), issuer) == isGood, "\(changes)")
    let own = issuer.issue(to: AccountID("ann"), family: nil, generation: 0, at: now, entropy: FixedEntropy())
    let access = (try? JSONParser.parse(own))?["access_token"]?.string ?? ""
    #expect(self.isGood(access, issuer))
  }

  @Test(
    "headers that are accepted and refused",
    arguments: [
      ("{\"alg\":\"HS256\"}", true), ("{\"typ\":\"at+jwt\",\"alg\":\"HS256\"}", true),
      ("{\"alg\":\"HS256\",\"typ\":7}", true),
      ("{\"alg\":\"HS256\",\"kid\":\"1\",\"cty\":\"JWT\"}", true), ("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", false),
      ("{\"alg\":\"HS256\",\"crit\":[]}", false), ("{\"alg\":\"hs256\"}", false), ("{\"alg\":\"none\"}", false),
      ("{\"alg\":\"HS512\"}", false), ("{}", false), ("{\"alg\":[\"HS256\"]}", false), ("[]", false),
      ("{\"alg\":\"HS256\",\"alg\":\"HS256\"}", false),
    ])
  func headers(header: String, isGood: Bool) {
    let claims = #"{"sub":"ann","type":"access","exp":1000060,"iat":1000000,"jti":"f.u"}"#
    #expect(self.isGood(sign(header, claims), issuer()) == isGood, "\(header)")
  }

  @Test(
    "a token made by refreshing belongs to the same login",
    arguments: [("f.u", "f"), ("7d1e", "7d1e"), ("a.b.c", "a.b"), (".", "."), ("x.", "x"), (".x", ".x")])
  func families(text: String, family: String) throws {
    let id = try #require(TokenID(text))
    #expect(id.family.value == family && id.text == text)
    let next = try #require(TokenID(id.family.value + ".0123456789abcdef01234567"))
    #expect(next.family.value == family)
  }
}

/// Returns the same bytes each time.
private struct FixedEntropy: Entropy {
  func fill(_ buffer: UnsafeMutableRawBufferPointer) {
    for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index) }
  }
}
