/// A stored password: the hash column and the salt column of the seed's table.
struct PasswordHash: Sendable, Equatable {
  /// OWASP's figure for PBKDF2-HMAC-SHA-256 (Password Storage Cheat Sheet).
  static let defaultRounds = 600_000
  /// Beyond this a stored hash is not believed: verifying it would stop the service.
  static let maximumRounds = 10_000_000

  /// `pbkdf2-sha256$ROUNDS$HEX`, or the seed's `sha256$HEX`.
  let hash: String
  /// In hexadecimal; the seed's hash takes it as text.
  let salt: String

  /// Hashes a password. Slow on purpose: call it in the compute lane.
  init(of password: String, salt: [UInt8], rounds: Int) {
    let key = Cryptography.pbkdf2(password: Array(password.utf8), salt: salt, rounds: rounds)
    hash = "pbkdf2-sha256$\(rounds)$\(Hex.encode(key))"
    self.salt = Hex.encode(salt)
    form = .pbkdf2(rounds: rounds, key: key, salt: salt)
  }

  /// What the table holds.
  init(hash: String, salt: String) {
    self.hash = hash
    self.salt = salt
    form = Self.parse(hash, salt)
  }

  private let form: Form?

  private enum Form: Equatable {
    case pbkdf2(rounds: Int, key: [UInt8], salt: [UInt8])
    case seed(digest: [UInt8])
  }

  private static func parse(_ hash: String, _ salt: String) -> Form? {
    hash.withUTF8Bytes { hash in
      if hash.starts(with: pbkdf2) {
        let rest = hash[pbkdf2.count...]
        guard let dollar = rest.firstIndex(of: UInt8(ascii: "$")),
          let rounds = Int(String(decoding: rest[..<dollar], as: UTF8.self)), (1...maximumRounds).contains(rounds),
          let key = Hex.decode(UnsafeBufferPointer(rebasing: rest[(dollar + 1)...])),
          let salt = salt.withUTF8Bytes(Hex.decode)
        else { return nil }
        return .pbkdf2(rounds: rounds, key: key, salt: salt)
      }
      guard hash.starts(with: seed), let digest = Hex.decode(UnsafeBufferPointer(rebasing: hash[seed.count...])) else {
        return nil
      }
      return .seed(digest: digest)
    }
  }

  private static let pbkdf2 = Array("pbkdf2-sha256$".utf8)
  private static let seed = Array("sha256$".utf8)

  /// Whether `password` is the one, in the same time for every wrong one. Slow on purpose: call it in the compute lane.
  func matches(_ password: String) -> Bool {
    switch form {
    case .pbkdf2(let rounds, let key, let salt):
      Cryptography.constantTimeEqual(
        Cryptography.pbkdf2(password: Array(password.utf8), salt: salt, rounds: rounds), key)
    case .seed(let digest):
      Cryptography.constantTimeEqual(Cryptography.sha256(Array((salt + password).utf8)), digest)
    case nil: false
    }
  }

  /// Whether the hash is weaker than what is made today.
  func isOutdated(rounds: Int) -> Bool {
    if case .pbkdf2(let own, _, _) = form { own < rounds } else { true }
  }

  /// Something to compare with when there is no such user, so that it takes as long.
  static func decoy(rounds: Int) -> PasswordHash {
    PasswordHash(
      hash: "pbkdf2-sha256$\(rounds)$\(String(repeating: "00", count: 32))", salt: String(repeating: "00", count: 16))
  }
}
