/// The two columns of a password in `users`, for operators who insert rows.
public struct StoredPassword: Sendable {
  /// The column `password_hash`.
  public let hash: String
  /// The column `salt`.
  public let salt: String

  /// Hashes `password`. Takes as long as a login.
  public static func make(_ password: String, rounds: Int?, salt: [UInt8]) -> StoredPassword {
    let hash = PasswordHash(of: Password(trying: password), salt: salt, rounds: rounds ?? PasswordHash.defaultRounds)
    return StoredPassword(hash: hash.hash, salt: hash.salt)
  }
}
