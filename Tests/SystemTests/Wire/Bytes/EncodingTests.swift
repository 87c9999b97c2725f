@testable import Environment
import COpenSSL
import Testing

@testable import System

@Suite("Encodings")
struct EncodingTests {
  @Test(
    "base64url encodes and decodes the examples of RFC 4648 §10, without padding",
    arguments: [
      ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
      ("foobar", "Zm9vYmFy"),
    ])
  func base64(plain: String, encoded: String) {
    var output: [UInt8] = []
    Base64URL.encode(Array(plain.utf8), to: &output)
    #expect(output == Array(encoded.utf8))
    #expect(Base64URL.decode(encoded.utf8) == Array(plain.utf8))
  }

  @Test("base64url refuses text that is not canonical", arguments: ["Zg==", "Zh", "Z", "Zm9v+", "Zm9v/", "Zm 9"])
  func base64Refuses(text: String) { #expect(Base64URL.decode(text.utf8) == nil) }

  @Test("hexadecimal round trips")
  func hex() {
    #expect(Hex.encode([0, 255, 16]) == "00ff10")
    #expect(Hex.decode("00FF10".utf8) == [0, 255, 16])
    #expect(Hex.decode("0".utf8) == nil)
    #expect(Hex.decode("0g".utf8) == nil)
  }

  @Test("base64 round trips for every number of bytes")
  func lengths() {
    for count in 0..<70 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
      var text: [UInt8] = []
      Base64URL.encode(bytes, to: &text)
      #expect(text.count == (count * 4 + 2) / 3)
      #expect(Base64URL.decode(text) == bytes)
      #expect(Hex.decode(Hex.encode(bytes).utf8) == bytes)
      #expect(Base64.decode(Base64.encode(bytes).utf8) == bytes)
    }
  }

  @Test("decimal numbers of every length, and with leading zeros")
  func decimals() {
    var numbers: [Int64] = [.min, .min + 1, .max, 0]
    var power: Int64 = 1
    for _ in 0..<18 {
      power *= 10
      numbers += [power - 1, power, power + 1, -power, 1 - power]
    }
    for number in numbers { #expect(String(expecting: 4) { $0.append(decimal: number) } == "\(number)") }
    #expect(String(expecting: 4) { $0.append(decimal: 7, width: 2) } == "07")
    #expect(String(expecting: 4) { $0.append(decimal: 1234, width: 2) } == "1234")
    #expect(String(expecting: 4) { $0.append(decimal: 5, width: 20) } == String(repeating: "0", count: 19) + "5")
  }

  @Test("a writer takes more bytes than expected")
  func growth() {
    let text = String(repeating: "äöü\"\\ and more ", count: 200)
    let value: JSONValue = ["a": .string(text), "b": .array([.string(text), 1])]
    let written = String(expecting: 1) { value.write(to: &$0) }
    #expect(written == value.text)
    #expect((try? JSONParser.parse(Array(written.utf8))) == value)
    #expect([UInt8](expecting: 0) { $0.append(utf8: text) } == Array(text.utf8))
  }

  @Test("percent-encoding and forms")
  func percent() throws {
    #expect(PercentEncoding.decode("a%20b+c".utf8, plusIsSpace: true) == "a b c")
    #expect(PercentEncoding.decode("a+b".utf8, plusIsSpace: false) == "a+b")
    #expect(PercentEncoding.decode("%zz".utf8, plusIsSpace: true) == nil)
    #expect(PercentEncoding.decode("%ff".utf8, plusIsSpace: true) == nil)
    #expect(PercentEncoding.encode("a b/é") == "a%20b%2F%C3%A9")
    let form = try #require(PercentEncoding.decodeForm("a=1&b=x%3Dy&c".utf8))
    #expect(form.map(\.name) == ["a", "b", "c"])
    #expect(form.map(\.value) == ["1", "x=y", ""])
  }

  @Test(
    "times are written as in RFC 3339 and RFC 9110",
    arguments: [
      (0, "1970-01-01T00:00:00.000000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
      (784_111_777_000_001, "1994-11-06T08:49:37.000001Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
      (951_782_400_000_000, "2000-02-29T00:00:00.000000Z", "Tue, 29 Feb 2000 00:00:00 GMT"),
      (-1, "1969-12-31T23:59:59.999999Z", "Wed, 31 Dec 1969 23:59:59 GMT"),
    ])
  func dates(microseconds: Int64, rfc3339: String, http: String) {
    let time = Timestamp(microseconds: microseconds)
    #expect(time.rfc3339 == rfc3339)
    #expect(String(decoding: time.httpDate, as: UTF8.self) == http)
    if microseconds >= 0 { #expect(Timestamp(rfc3339: rfc3339) == Timestamp(seconds: time.seconds)) }
  }

  @Test(
    "a time in another form is none",
    arguments: ["", "t", "2026-11-28", "2026-13-01T00:00:00Z", "2026-11-28T00:00:60Z", "2026-11-28T00:00:00+01:00"])
  func noTime(text: String) { #expect(Timestamp(rfc3339: text) == nil) }

  @Test("every day is read as it is written")
  func everyDay() {
    for day in 0..<60_000 as Range<Int64> {
      let time = Timestamp(seconds: day * 86_400 + day % 86_400)
      #expect(Timestamp(rfc3339: time.rfc3339) == time)
    }
  }

  @Test(
    "durations", arguments: [("200ms", 200_000_000), ("1.5s", 1_500_000_000), ("0", 0), ("7d", 604_800_000_000_000)])
  func durations(text: String, nanoseconds: Int64) {
    #expect(DurationText.parse(text)?.nanoseconds == nanoseconds)
    #expect(DurationText.parse(DurationText.format(.nanoseconds(nanoseconds))) == .nanoseconds(nanoseconds))
  }

  @Test("a duration in nanoseconds is truncated and saturates")
  func nanoseconds() {
    #expect(Duration.seconds(60).nanoseconds == 60_000_000_000)
    #expect(Duration.seconds(-60).nanoseconds == -60_000_000_000)
    #expect(Duration(secondsComponent: 0, attosecondsComponent: 1_999_999_999).nanoseconds == 1)
    #expect(Duration(secondsComponent: 0, attosecondsComponent: -1_999_999_999).nanoseconds == -1)
    #expect(Duration(secondsComponent: 10, attosecondsComponent: 1_999_999_999).nanoseconds == 10_000_000_001)
    #expect(Duration(secondsComponent: -10, attosecondsComponent: -1_999_999_999).nanoseconds == -10_000_000_001)
    for years in [1, 270, 281, 291] as [Int64] {
      let seconds = years * 31_556_952
      #expect(Duration.seconds(seconds).nanoseconds == seconds * 1_000_000_000)
      #expect(Duration.seconds(-seconds).nanoseconds == -seconds * 1_000_000_000)
    }
    #expect(Duration.nanoseconds(Int64.max).nanoseconds == .max)
    #expect(Duration.nanoseconds(Int64.min).nanoseconds == .min)
    #expect(Duration.seconds(Int64.max).nanoseconds == .max)
    #expect(Duration.seconds(Int64.min).nanoseconds == .min)
  }

  @Test("invalid durations are refused", arguments: ["", "s", "1", "-1s", "1 s", "1w", "1e9s", "200000d"])
  func noDuration(text: String) { #expect(DurationText.parse(text) == nil) }

  @Test("the nearest word is suggested")
  func spelling() {
    #expect(Spelling.nearest(to: "usrs-port", among: ["users-port", "data"]) == "users-port")
    #expect(Spelling.nearest(to: "zebra", among: ["users-port", "data"]) == nil)
  }
}

@Suite("Cryptography")
struct CryptographyTests {
  @Test("HMAC-SHA-256 equals OpenSSL's HMAC function, for keys and messages around its block size")
  func hmacOfOpenSSL() {
    for keyLength in [0, 1, 31, 32, 63, 64, 65, 128, 200] {
      for length in [0, 1, 32, 54, 55, 56, 63, 64, 65, 119, 120, 300] {
        let key = (0..<keyLength).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 1) }
        let message = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 13 &+ 5) }
        var code = [UInt8](repeating: 0, count: 32)
        // A null key would mean the key of the last call.
        HMAC(EVP_sha256(), key.isEmpty ? [0] : key, Int32(key.count), message, message.count, &code, nil)
        #expect(HMACSHA256(key: key).code(message) == code)
      }
    }
  }

  @Test("HMAC-SHA-256 of RFC 4231, test case 2, twice with one key")
  func hmac() {
    let hmac = HMACSHA256(key: Array("Jefe".utf8))
    for _ in 0..<2 {
      let code = hmac.code(Array("what do ya want for nothing?".utf8))
      #expect(Hex.encode(code) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }
  }

  @Test("PBKDF2-HMAC-SHA-256 of RFC 7914 §11")
  func pbkdf2() {
    let key = Cryptography.pbkdf2(password: Array("passwd".utf8), salt: Array("salt".utf8), rounds: 1)
    #expect(Hex.encode(key) == "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc")
  }

  @Test("SHA-256 of no bytes")
  func sha256() {
    #expect(Hex.encode(Cryptography.sha256([])) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
  }

  @Test("constant-time comparison finds equal and different bytes")
  func equal() {
    #expect(Cryptography.constantTimeEqual([1, 2], [1, 2]))
    #expect(!Cryptography.constantTimeEqual([1, 2], [1, 3]))
    #expect(!Cryptography.constantTimeEqual([1, 2], [1]))
  }
}
