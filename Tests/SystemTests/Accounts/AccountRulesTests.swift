import Testing

@testable import System

@Suite("The rules of accounts")
struct AccountRulesTests {
  @Test(
    "emails that EmailStr takes",
    arguments: [
      ("user@example.com", "user@example.com"), ("User+tag@Example.COM", "User+tag@example.com"),
      ("a.b-c_d@x-y.example.org", "a.b-c_d@x-y.example.org"),
      ("o'neil@example.com", "o'neil@example.com"), ("jos\u{65}\u{301}@example.com", "jos\u{E9}@example.com"),
      ("Ann Lee <ann@example.com>", "ann@example.com"),
      ("  ann@example.com ", "ann@example.com"), ("a@b.co", "a@b.co"), ("x@bücher.example", "x@bücher.example"),
    ])
  func emails(raw: String, text: String) throws {
    #expect(try EmailAddress(parsing: raw).text == text)
  }

  @Test(
    "emails that EmailStr refuses",
    arguments: [
      "", "a", "@b.com", "a@", "a@b", "a@.com", "a@b.com.", "a..b@c.com", ".a@c.com", "a.@c.com", "a b@c.com",
      "a@b c.com", "a@-b.com", "a@b-.com",
      "a@b..com", "a@localhost", "a@x.local", "a@x.test", "a@x.invalid", "a@1.2.3.4", "a@[1.2.3.4]", "\"a\"@b.com",
      "a@b.com\n<x>", "a\u{0}@b.com",
      "a@ab--cd.com", "a,b@c.com", "a@b@c.com", String(repeating: "a", count: 250) + "@b.com",
      "a@" + String(repeating: "b", count: 64) + ".com",
      "a@" + String(repeating: "b.", count: 130) + "com", "a@b.c0", "(a)@b.com", "a;b@c.com", "a@b.com\n",
    ])
  func badEmails(raw: String) {
    #expect(throws: EmailAddress.Invalid.self) { try EmailAddress(parsing: raw) }
  }

  @Test("emails and usernames are one without regard to case, and in NFC")
  func keys() throws {
    #expect(try EmailAddress(parsing: "A@EXAMPLE.com").key == EmailAddress(parsing: "a@example.com").key)
    #expect(try Username(parsing: "É").key == Username(parsing: "e\u{301}").key)
    #expect(try Username(parsing: "e\u{301}").text.unicodeScalars.count == 1)
  }

  @Test(
    "usernames",
    arguments: [
      ("a", true), (String(repeating: "é", count: 150), true), ("two words", true), ("名前", true), ("", false),
      (String(repeating: "a", count: 151), false),
      (" a", false), ("a ", false), ("a\u{A0}", false), ("a\tb", false), ("a@b", false), ("a\u{7F}", false),
      ("a\u{200B}b", false), ("a\u{202E}b", false),
    ])
  func usernames(raw: String, isGood: Bool) {
    #expect(((try? Username(parsing: raw)) != nil) == isGood)
  }

  @Test("the seed's hash still matches and is outdated")
  func seedHash() {
    let digest = Hex.encode(Cryptography.sha256(Array("cafepassword123".utf8)))
    let stored = PasswordHash(hash: "sha256$\(digest)", salt: "cafe")
    #expect(stored.matches("password123"))
    #expect(!stored.matches("password124"))
    #expect(stored.isOutdated(rounds: 1))
  }

  @Test("a hash matches its password alone, and fewer rounds are outdated")
  func hash() {
    let stored = PasswordHash(of: "password123", salt: [1, 2, 3], rounds: 10)
    #expect(stored.matches("password123"))
    #expect(!stored.matches("password12"))
    #expect(!stored.isOutdated(rounds: 10))
    #expect(stored.isOutdated(rounds: 11))
    #expect(!PasswordHash(hash: "nonsense", salt: "").matches("password123"))
    #expect(!PasswordHash(hash: "pbkdf2-sha256$999999999999$00", salt: "").matches("x"))
  }

  @Test("ten failures for an account, a hundred for an address, within a quarter of an hour")
  func throttle() {
    var throttle = LoginThrottle(.init())
    let start = Instant(nanoseconds: 0)
    for _ in 0..<10 {
      #expect(throttle.wait(account: "a", address: "1", at: start) == nil)
      throttle.failed(account: "a", address: "1", at: start)
    }
    #expect(throttle.wait(account: "a", address: "2", at: start) == .seconds(900))
    #expect(throttle.wait(account: "b", address: "1", at: start) == nil)
    #expect(throttle.wait(account: "a", address: "2", at: start + .seconds(900)) == nil)
    for index in 0..<90 { throttle.failed(account: "x\(index)", address: "1", at: start) }
    #expect(throttle.wait(account: "fresh", address: "1", at: start) != nil)
    throttle.succeeded(account: "a")
    #expect(throttle.wait(account: "a", address: "2", at: start) == nil)
  }

  @Test("made-up names do not fill the memory")
  func throttleIsBounded() {
    var throttle = LoginThrottle(.init())
    for index in 0..<(LoginThrottle.maximumKeys + 10) {
      throttle.failed(account: "x\(index)", address: "1", at: Instant(nanoseconds: 0))
    }
    #expect(throttle.count <= LoginThrottle.maximumKeys)
  }
}
