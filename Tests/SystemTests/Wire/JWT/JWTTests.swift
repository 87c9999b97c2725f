import Testing

@testable import System

@Suite("JWT")
struct JWTTests {
  private let jwt = JWT(secrets: [Array("a secret of at least thirty-two bytes".utf8)])
  private let claims: JSONValue = ["sub": "u", "exp": 4_000_000_000]

  private func token(header: String, signer: JWT? = nil) -> String {
    var text: [UInt8] = []
    Base64URL.encode(Array(header.utf8), to: &text)
    text.append(UInt8(ascii: "."))
    Base64URL.encode(claims.bytes, to: &text)
    let code = HMACSHA256(key: Array("a secret of at least thirty-two bytes".utf8)).code(text)
    text.append(UInt8(ascii: "."))
    Base64URL.encode(code, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  @Test("a signed token verifies, also with another spelling of its header")
  func roundTrip() throws {
    #expect(try jwt.verify(jwt.sign(claims)) == claims)
    #expect(try jwt.verify(token(header: #"{ "typ":"JWT", "alg":"HS256" }"#)) == claims)
  }

  @Test(
    "another algorithm is refused even with a valid signature",
    arguments: [
      #"{"alg":"none"}"#, #"{"alg":"HS512"}"#, #"{"alg":"RS256"}"#, #"{"alg":"hs256"}"#, #"{}"#,
      #"{"alg":"HS256","crit":["x"]}"#, "[]",
    ])
  func algorithms(header: String) {
    #expect(throws: JWT.Failure.algorithm) { try jwt.verify(token(header: header)) }
  }

  @Test("an old secret verifies, and an unknown one does not")
  func rotation() throws {
    let new = JWT(secrets: [[1], Array("a secret of at least thirty-two bytes".utf8)])
    #expect(try new.verify(jwt.sign(claims)) == claims)
    #expect(throws: JWT.Failure.signature) { try jwt.verify(new.sign(claims)) }
  }

  @Test("every changed or missing byte is detected")
  func tampering() {
    let good = Array(jwt.sign(claims).utf8)
    for index in good.indices {
      var bytes = good
      bytes[index] = bytes[index] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      #expect(throws: JWT.Failure.self) { try jwt.verify(String(decoding: bytes, as: UTF8.self)) }
      #expect(throws: JWT.Failure.self) { try jwt.verify(String(decoding: good[..<index], as: UTF8.self)) }
    }
    #expect(throws: JWT.Failure.malformed) { try jwt.verify(String(repeating: "A", count: 100_000)) }
  }
}
