import Glibc
import Testing

@testable import System

@Suite("Passwords")
struct PasswordTests {
  private func matches(_ stored: PasswordHash, _ password: String) -> Bool {
    stored.match(Password(trying: password), rounds: 1) != .none
  }

  private func hash(_ password: String, rounds: Int = 10) -> PasswordHash {
    PasswordHash(of: Password(trying: password), salt: [1, 2, 3], rounds: rounds)
  }

  @Test("the seed's hash still matches and is outdated")
  func seedHash() {
    let digest = Hex.encode(Cryptography.sha256(Array("cafepassword123".utf8)))
    let stored = PasswordHash(hash: "sha256$\(digest)", salt: "cafe")
    #expect(matches(stored, "password123"))
    #expect(!matches(stored, "password124"))
    #expect(stored.isOutdated(rounds: 1))
  }

  @Test("a hash matches only its password, and fewer rounds are outdated")
  func roundsCount() {
    let stored = hash("password123")
    #expect(matches(stored, "password123"))
    #expect(!matches(stored, "password12"))
    #expect(!stored.isOutdated(rounds: 10))
    #expect(stored.isOutdated(rounds: 11))
  }

  @Test(
    "a new password has no control characters, and an old one with some still logs in",
    arguments: ["pass\u{0}word1", "pass\tword1", "password1\n", "pass\u{7F}word1", "pass\u{85}word1"])
  func controlCharacters(password: String) {
    #expect(throws: Password.Invalid.self) { try Password(choosing: password) }
    #expect(matches(hash(password), password))
  }

  @Test(
    "emoji and combining marks are allowed",
    arguments: ["❤️❤️❤️❤️", "👩‍👩‍👧‍👦 family", "e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}e\u{301}"])
  func marks(password: String) {
    #expect(throws: Never.self) { try Password(choosing: password) }
  }

  @Test(
    "rows without a valid hash match nothing",
    arguments: [
      ("nonsense", ""), ("", ""), ("sha256$", ""), ("sha256$00", "00"), ("pbkdf2-sha256$999999999999$00", ""),
      ("pbkdf2-sha256$9223372036854775808$" + String(repeating: "0", count: 64), "00"),
      ("pbkdf2-sha256$9223372036854775807$" + String(repeating: "0", count: 64), "00"),
      ("pbkdf2-sha256$-1$" + String(repeating: "0", count: 64), "00"),
      ("pbkdf2-sha256$0$" + String(repeating: "0", count: 64), "00"),
      ("pbkdf2-sha256$$" + String(repeating: "0", count: 64), "00"),
      ("pbkdf2-sha256$2$" + String(repeating: "é", count: 32), "00"),
      ("pbkdf2-sha256$2$" + String(repeating: "0", count: 64), "0"),
      ("pbkdf2-sha256$2$" + String(repeating: "0", count: 64), "zz"),
    ])
  func badRows(hash: String, salt: String) {
    let stored = PasswordHash(hash: hash, salt: salt)
    #expect(!matches(stored, "password123"))
    #expect(!matches(stored, ""))
  }

  /// The processor time of this thread, which other processes do not change.
  private static var processorTime: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  @Test("a wrong password takes the time of a strong hash, whatever the row holds")
  func time() {
    let zeros = String(repeating: "0", count: 64)
    let rounds = 20_000
    func best(_ hash: String, _ salt: String) -> Duration {
      let stored = PasswordHash(hash: hash, salt: salt)
      return (0..<3).map { _ in
        let begin = Self.processorTime
        _ = stored.match(Password(trying: "wrong guess"), rounds: rounds)
        return Self.processorTime - begin
      }.min()!
    }
    let strong = best("pbkdf2-sha256$\(rounds)$\(zeros)", "00")
    let others = [
      ("sha256$\(zeros)", "cafe"), ("pbkdf2-sha256$10$\(zeros)", "00"), ("pbkdf2-sha256$\(rounds)$\(zeros)", "zz"),
      ("nonsense", ""),
    ]
    for (hash, salt) in others {
      let time = best(hash, salt)
      #expect(time > strong / 2 && time < strong * 2, "\(hash): \(time) against \(strong)")
    }
  }

  @Test(
    "a password matches in each of its Unicode forms",
    arguments: [
      ("pässword1", "pa\u{308}ssword1"), ("ångström1", "a\u{30A}ngstro\u{308}m1"), ("two words1", "two\u{A0}words1"),
      ("한국어비밀번호입니다", "한국어비밀번호입니다".decomposed),
    ])
  func forms(composed: String, other: String) {
    #expect(matches(hash(composed), other))
    #expect(matches(hash(other), composed))
  }

  @Test("a hash of the raw bytes, from an earlier release, matches and is upgraded")
  func unprepared() {
    let raw = "pa\u{308}ssword1"
    let key = Cryptography.pbkdf2(password: Array(raw.utf8), salt: [0xCA], rounds: 10)
    let stored = PasswordHash(hash: "pbkdf2-sha256$10$\(Hex.encode(key))", salt: "ca")
    #expect(stored.match(Password(trying: raw), rounds: 10) == .unprepared)
    #expect(stored.match(Password(trying: "pässword1"), rounds: 10) == .none)
    #expect(hash("pässword1").match(Password(trying: raw), rounds: 10) == .full)
  }

  @Test(
    "a password has 8 characters to 1,024 bytes, counted in form C",
    arguments: [
      ("1234567", false), ("12345678", true), (String(repeating: "a\u{308}", count: 7), false),
      (String(repeating: "a\u{308}", count: 8), true), (String(repeating: "a", count: 1024), true),
      (String(repeating: "a", count: 1025), false), (String(repeating: "e\u{301}", count: 512), true),
      (String(repeating: "é", count: 513), false), (String(repeating: "e\u{301}", count: 500_000), false),
    ])
  func lengths(raw: String, isGood: Bool) {
    #expect(((try? Password(choosing: raw)) != nil) == isGood)
  }
}

extension String {
  /// The Hangul syllables as their letters.
  fileprivate var decomposed: String {
    String(
      String.UnicodeScalarView(
        unicodeScalars.flatMap { scalar -> [Unicode.Scalar] in
          let index = scalar.value - 0xAC00
          let parts = [0x1100 + index / 588, 0x1161 + index % 588 / 28, 0x11A7 + index % 28]
          return parts.filter { $0 != 0x11A7 }.compactMap(Unicode.Scalar.init)
        }))
  }
}
