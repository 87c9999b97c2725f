import Environment

/// The random key of the tokens in the data directory, for a configuration without keys.
enum SecretFile {
  static let path = "jwt-secret"
  private static let length = 64

  /// Reads the key, or makes it. Only the owner of the directory can read the file.
  static func read(_ environment: Environment) async throws -> [UInt8] {
    let fresh = Array(Hex.encode(environment.entropy.bytes(length / 2)).utf8)
    return try await environment.executor.offload(.disk) { [storage = environment.storage] in
      try readOrMake(storage, fresh)
    }
  }

  private static func readOrMake(_ storage: any Storage, _ fresh: [UInt8]) throws -> [UInt8] {
    if try storage.exists(path) {
      let file = try storage.open(path, create: false)
      defer { file.close() }
      var secret = [UInt8](repeating: 0, count: length)
      let count = try secret.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
      // A shorter file was cut off by a crash before the first token was signed.
      if count == length { return secret }
    }
    let temporary = path + ".new"
    let file = try storage.open(temporary, create: true)
    defer { file.close() }
    try fresh.withUnsafeBytes { try file.write($0, at: 0) }
    try file.sync()
    try storage.rename(temporary, to: path)
    try storage.syncDirectory()
    return fresh
  }
}
