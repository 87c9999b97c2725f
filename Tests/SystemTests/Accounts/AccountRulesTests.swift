import Testing

@testable import System

@Suite("The rules of accounts")
struct AccountRulesTests {
  @Test(
    "emails that EmailStr accepts",
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

  @Test("emails and usernames are compared in NFC and regardless of case")
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
      ("a\u{200B}b", false), ("a\u{202E}b", false), ("a" + String(repeating: "\u{301}", count: 20_000), false),
    ])
  func usernames(raw: String, isGood: Bool) {
    #expect(((try? Username(parsing: raw)) != nil) == isGood)
  }

  @Test(
    "names that are equal under full case folding",
    arguments: [
      ("ΝΙΚΟΣ", "νικος"), ("STRASSE", "straße"), ("Ann", "ANN"), ("É", "e\u{301}"), ("ﬁn", "FIN"), ("Ǆ", "ǆ"),
      ("ẞ", "ss"), ("Ꭰ", "ꭰ"), ("ſ", "S"), ("ᾳ", "ΑΙ"), ("K", "k"),
    ])
  func folded(one: String, other: String) throws {
    #expect(try Username(parsing: one).key == Username(parsing: other).key)
    #expect(try Username(parsing: one).key == AccountName(other)?.key)
  }

  @Test("names that differ under full case folding", arguments: [("ı", "i"), ("o", "ö"), ("а", "a")])
  func apart(one: String, other: String) throws {
    #expect(try Username(parsing: one).key != Username(parsing: other).key)
  }

  @Test("an email folds its local part and keeps its domain")
  func foldedEmails() throws {
    #expect(try EmailAddress(parsing: "ΝΙΚΟΣ@Example.com").key == EmailAddress(parsing: "νικος@example.com").key)
    #expect(try EmailAddress(parsing: "a@STRASSE.example").key != EmailAddress(parsing: "a@straße.example").key)
    #expect(AccountName("ΝΙΚΟΣ@Example.com")?.key == AccountName("νικος@example.com")?.key)
  }

  @Test("a name that is too long is refused before it is normalized")
  func longNames() {
    let marks = "a" + String(repeating: "\u{301}\u{323}", count: 500_000)
    let clock = ContinuousClock()
    let time = clock.measure {
      #expect(AccountName(marks) == nil)
      #expect(throws: Username.Invalid.self) { try Username(parsing: marks) }
      #expect(throws: EmailAddress.Invalid.self) { try EmailAddress(parsing: marks + "@example.com") }
      #expect(throws: Password.Invalid.self) { try Password(choosing: marks) }
      #expect(Password(trying: marks).text.isEmpty)
    }
    #expect(time < .seconds(1))
  }

  @Test(
    "join controls are allowed where RFC 5892 allows them",
    arguments: [
      // After a virama: क्‍ष, क्‌ष.
      ("\u{915}\u{94D}\u{200D}\u{937}", true), ("\u{915}\u{94D}\u{200C}\u{937}", true),
      // Between letters that would join: نامه‌ای, with and without a mark.
      ("\u{646}\u{627}\u{645}\u{647}\u{200C}\u{627}\u{6CC}", true), ("\u{628}\u{64E}\u{200C}\u{64E}\u{627}", true),
      // A joiner needs the virama.
      ("\u{628}\u{200D}\u{627}", false),
      // After a letter that does not join forwards, at an end, between other letters.
      ("\u{627}\u{200C}\u{628}", false), ("\u{628}\u{200C}", false), ("\u{200C}\u{628}", false), ("a\u{200C}b", false),
      ("a\u{200D}b", false), ("\u{200D}", false), ("\u{628}\u{200C}\u{200C}\u{628}", false),
    ])
  func joinControls(raw: String, isGood: Bool) {
    #expect(((try? Username(parsing: raw)) != nil) == isGood)
  }
}
