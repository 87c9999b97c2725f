/// The messages in which SASL travels, and the older forms of passwords (PostgreSQL 15
/// documentation, §55.3).
public enum PostgresSASL {
  /// Writes a SASLInitialResponse: the chosen mechanism, and the first message of it.
  static func initialResponse(_ mechanism: String, _ message: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    var writer = PostgresWriter(taking: &output)
    writer.text(mechanism)
    writer.value(message)
    return writer.bytes
  }

  /// Reads a SASLInitialResponse from the bytes of an `authentication` message.
  public static func readInitialResponse(
    _ bytes: [UInt8]
  ) throws(PostgresProtocolError) -> (mechanism: String, message: [UInt8]) {
    var reader = PostgresReader(bytes[...])
    let mechanism = try reader.text()
    let message = try reader.value()
    try reader.end()
    return (mechanism, message ?? [])
  }

  /// Writes a PasswordMessage, cleartext or MD5.
  static func passwordMessage(_ password: [UInt8]) -> [UInt8] { password + [0] }

  /// Reads a PasswordMessage from the bytes of an `authentication` message.
  public static func readPassword(_ bytes: [UInt8]) throws(PostgresProtocolError) -> [UInt8] {
    var reader = PostgresReader(bytes[...])
    let password = Array(try reader.terminated())
    try reader.end()
    return password
  }

  /// The answer to a demand for an MD5 password: `md5` and md5(md5(password + user) + salt) in
  /// hexadecimal digits.
  public static func md5(password: String, user: String, salt: [UInt8]) -> [UInt8] {
    let inner = Hex.encode(Cryptography.md5(Array(password.utf8) + Array(user.utf8)))
    return Array("md5".utf8) + Array(Hex.encode(Cryptography.md5(Array(inner.utf8) + salt)).utf8)
  }
}
