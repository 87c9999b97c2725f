/// A stored password: the columns `password_hash` and `salt` of the seed's table.
final class PasswordHash: Sendable {
  /// OWASP's recommendation for PBKDF2-HMAC-SHA-256 (Password Storage Cheat Sheet).
  static let defaultRounds = 600_000
  /// A stored hash with more rounds matches nothing: to verify it would stop the service.
  static let maximumRounds = 10_000_000

  /// `pbkdf2-sha256$ROUNDS$HEX`, or the seed's `sha256$HEX`.
  let hash: String
  /// Hexadecimal digits. The seed's hash uses them as text.
  let salt: String

  /// Hashes a password. Slow on purpose: call it in the compute lane.
  init(of password: Password, salt: [UInt8], rounds: Int) {
    let key = Cryptography.pbkdf2(password: Array(password.text.utf8), salt: salt, rounds: rounds)
    hash = "pbkdf2-sha256$\(rounds)$\(Hex.encode(key))"
    self.salt = Hex.encode(salt)
    form = .pbkdf2(rounds: rounds)
  }

  /// Takes the two columns of a row.
  init(hash: String, salt: String) {
    self.hash = hash
    self.salt = salt
    form = Self.form(of: hash)
  }

  /// The algorithm of the hash; nil if the column holds none.
  private let form: Form?

  private enum Form {
    case pbkdf2(rounds: Int)
    case seed
  }

  /// Hexadecimal digits at the end of a hash.
  private static let digits = 64

  private static func form(of hash: String) -> Form? {
    let text = hash.utf8.span
    let (seed, named): (StaticString, StaticString) = ("sha256$", "pbkdf2-sha256$")
    let first = text.count - digits
    guard first > 0 else { return nil }
    if first == seed.utf8CodeUnitCount, text.starts(0..<first, with: seed) { return .seed }
    guard text.starts(0..<first, with: named), first > named.utf8CodeUnitCount, text[first - 1] == UInt8(ascii: "$"),
      let rounds = Int(text.text(named.utf8CodeUnitCount..<first - 1)), (1...maximumRounds).contains(rounds)
    else { return nil }
    return .pbkdf2(rounds: rounds)
  }

  /// The result of a comparison with a password.
  enum Match: Sendable {
    case none
    /// The password matches as an earlier release hashed it: as typed, not in its prepared form.
    case unprepared
    case full
  }

  /// Compares a password with the hash. Takes the time of at least `rounds` rounds whatever the
  /// hash: otherwise a quick answer would reveal that an account with a weak hash exists. Slow on
  /// purpose: call it in the compute lane.
  func match(_ password: Password, rounds: Int) -> Match {
    if matches(password.text, rounds: rounds) { return .full }
    guard let raw = password.raw, matches(raw, rounds: rounds) else { return .none }
    return .unprepared
  }

  private func matches(_ password: String, rounds: Int) -> Bool {
    let result = compare(password)
    // A row that is not a valid hash takes no rounds.
    let missing = rounds - (result == nil ? 0 : self.rounds)
    if missing > 0 { _ = Cryptography.pbkdf2(password: Array(password.utf8), salt: [], rounds: missing) }
    return result ?? false
  }

  /// The rounds of PBKDF2 in the hash.
  var rounds: Int { if case .pbkdf2(let rounds)? = form { rounds } else { 0 } }

  /// Whether `password` has this hash, in the same time for each wrong one; nil if the columns hold
  /// no valid hash.
  private func compare(_ password: String) -> Bool? {
    guard let form, let stored = Hex.decode(hash.utf8.suffix(Self.digits)) else { return nil }
    switch form {
    case .pbkdf2(let rounds):
      guard let salt = Hex.decode(salt.utf8) else { return nil }
      let key = Cryptography.pbkdf2(password: Array(password.utf8), salt: salt, rounds: rounds)
      return Cryptography.constantTimeEqual(stored, key)
    case .seed:
      return Cryptography.constantTimeEqual(stored, Cryptography.sha256(Array((salt + password).utf8)))
    }
  }

  /// Whether the hash has fewer rounds than new ones get.
  func isOutdated(rounds: Int) -> Bool { self.rounds < rounds }

  /// A hash to compare with when no account has the name, so that the answer takes as long.
  static func decoy(rounds: Int) -> PasswordHash {
    PasswordHash(
      hash: "pbkdf2-sha256$\(rounds)$\(String(repeating: "00", count: 32))", salt: String(repeating: "00", count: 16))
  }
}
