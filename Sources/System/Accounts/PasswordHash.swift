/// A stored password: the hash column and the salt column of the seed's table.
final class PasswordHash: Sendable {
  /// OWASP's figure for PBKDF2-HMAC-SHA-256 (Password Storage Cheat Sheet).
  static let defaultRounds = 600_000
  /// Beyond this a stored hash is not believed: verifying it would stop the service.
  static let maximumRounds = 10_000_000

  /// `pbkdf2-sha256$ROUNDS$HEX`, or the seed's `sha256$HEX`.
  let hash: String
  /// In hexadecimal; the seed's hash takes it as text.
  let salt: String

  /// Hashes a password. Slow on purpose: call it in the compute lane.
  init(of password: Password, salt: [UInt8], rounds: Int) {
    let key = Cryptography.pbkdf2(password: Array(password.text.utf8), salt: salt, rounds: rounds)
    hash = "pbkdf2-sha256$\(rounds)$\(Hex.encode(key))"
    self.salt = Hex.encode(salt)
    form = .pbkdf2(rounds: rounds)
  }

  /// What the table holds.
  init(hash: String, salt: String) {
    self.hash = hash
    self.salt = salt
    form = Self.form(of: hash)
  }

  /// How it was made; nil where nobody can say.
  private let form: Form?

  private enum Form {
    case pbkdf2(rounds: Int)
    case seed
  }

  private static let pbkdf2 = Array("pbkdf2-sha256$".utf8)
  private static let seed = Array("sha256$".utf8)
  /// Hexadecimal digits at the end of a hash.
  private static let digits = 2 * HMACSHA256.length

  private static func form(of hash: String) -> Form? {
    hash.withUTF8Bytes { hash in
      if hash.starts(with: seed) { return hash.count == seed.count + digits ? .seed : nil }
      guard hash.starts(with: pbkdf2), hash.count > pbkdf2.count + digits, hash[hash.count - digits - 1] == dollar
      else { return nil }
      let text = hash[pbkdf2.count..<(hash.count - digits - 1)]
      guard let rounds = Int(String(decoding: text, as: UTF8.self)), (1...maximumRounds).contains(rounds) else {
        return nil
      }
      return .pbkdf2(rounds: rounds)
    }
  }

  private static let dollar = UInt8(ascii: "$")

  /// How a password compares with a hash.
  enum Match: Sendable {
    case none
    /// It is the one, but was hashed as it came and not in the form of today.
    case unprepared
    case full
  }

  /// Compares a password with the hash. Takes the time of `rounds` rounds or more, for whatever hash: a weak one would otherwise
  /// show by its quick answer that there is such an account. Slow on purpose: call it in the compute lane.
  func match(_ password: Password, rounds: Int) -> Match {
    if matches(password.text, rounds: rounds) { return .full }
    guard let raw = password.raw, matches(raw, rounds: rounds) else { return .none }
    return .unprepared
  }

  private func matches(_ password: String, rounds: Int) -> Bool {
    let result = compare(password)
    // A row that cannot be read takes no rounds at all.
    let missing = rounds - (result == nil ? 0 : self.rounds)
    if missing > 0 { _ = Cryptography.pbkdf2(password: Array(password.utf8), salt: [], rounds: missing) }
    return result ?? false
  }

  /// Rounds of PBKDF2 that a comparison takes by itself.
  var rounds: Int { if case .pbkdf2(let rounds)? = form { rounds } else { 0 } }

  /// Whether `password` has this hash, in the same time for every wrong one; nil where the columns hold no hash.
  private func compare(_ password: String) -> Bool? {
    guard let form else { return nil }
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * HMACSHA256.length) { bytes in
      let stored = UnsafeMutableBufferPointer(rebasing: bytes[..<HMACSHA256.length])
      let shown = UnsafeMutableBufferPointer(rebasing: bytes[HMACSHA256.length...])
      guard hash.withUTF8Bytes({ Hex.decode(UnsafeBufferPointer(rebasing: $0.suffix(Self.digits)), to: stored) }),
        write(form, of: password, to: shown)
      else { return nil }
      return Cryptography.constantTimeEqual(stored, shown)
    }
  }

  /// Writes the 32 bytes that `password` gives with this salt; false where the salt is not hexadecimal.
  private func write(_ form: Form, of password: String, to output: UnsafeMutableBufferPointer<UInt8>) -> Bool {
    switch form {
    case .pbkdf2(let rounds):
      return salt.withUTF8Bytes { digits in
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: digits.count / 2) { salt in
          guard Hex.decode(digits, to: salt) else { return false }
          let hmac = password.withUTF8Bytes { HMACSHA256(key: $0) }
          hmac.write(pbkdf2Of: UnsafeBufferPointer(salt), rounds: rounds, to: output)
          return true
        }
      }
    case .seed:
      _ = output.update(from: Cryptography.sha256(Array((salt + password).utf8)))
      return true
    }
  }

  /// Whether the hash is weaker than those that are made today.
  func isOutdated(rounds: Int) -> Bool { self.rounds < rounds }

  /// Something to compare with when there is no such user, so that it takes as long.
  static func decoy(rounds: Int) -> PasswordHash {
    PasswordHash(
      hash: "pbkdf2-sha256$\(rounds)$\(String(repeating: "00", count: 32))", salt: String(repeating: "00", count: 16))
  }
}
