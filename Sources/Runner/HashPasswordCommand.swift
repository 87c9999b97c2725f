import Real
import System

/// `parley hash-password`: for operators who insert rows into the accounts table.
enum HashPasswordCommand {
  static let usage = """
    parley hash-password [--password-rounds N]

    Reads a password from standard input, one line, and prints `password_hash` and `salt` as the users table
    stores them.
    """

  static let flags = [Flag(name: "password-rounds", placeholder: "N", help: "rounds of PBKDF2-HMAC-SHA-256")]

  static func run(_ words: [String]) throws(UsageError) -> Int32 {
    let arguments = try Arguments(words, flags: flags)
    guard arguments.words.isEmpty else {
      throw UsageError("the password is read from standard input, where no other user can see it")
    }
    let rounds = try arguments.int("password-rounds", in: 1...10_000_000)
    guard let password = readLine(), (8...1024).contains(password.utf8.count) else {
      throw UsageError("a password must have 8 to 1024 bytes")
    }
    let hash = StoredPassword.make(password, rounds: rounds, salt: RealEntropy().bytes(16))
    print("password_hash \(hash.hash)\nsalt \(hash.salt)")
    return 0
  }
}
